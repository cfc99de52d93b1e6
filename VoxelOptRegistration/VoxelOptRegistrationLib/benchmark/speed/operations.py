"""The operations that may have a kernel, each as one call on generated volumes.

A new one is a function here that prepares its volumes and returns the call, decorated with its name and with the
float32 numbers per voxel that it has to read and write at least. Which kernels it then uses is found by watching it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...features.mind import mind_ssc
from ...fields.algebra import compose, exponential, make_inverse_consistent
from ...fields.extension import extend_smoothly
from ...fields.folds import make_invertible
from ...fields.jacobian import jacobian_determinant
from ...fields.sampling import warp
from ...fields.smoothing import gaussian_smooth
from ...fields.volume_damping import damp_volume_changes
from ...options import Border, EntropyScale, Smoothing, Ties
from ...refinement.local_correlation import LocalCorrelation
from ...solvers.boxes import box_smooth
from ...solvers.candidates import candidate_displacements, similarity_scores
from ...solvers.coupling import best_displacement
from ...solvers.entropy import displacement_entropy
from ...solvers.message_passing import ThreeTapFilter, entropy_filter
from .generated import feature_pair, smooth_field

CANDIDATES = 27
_SQUARINGS = 6


@dataclass(frozen=True)
class Volumes:
    """What the operations work on: grid (Z, Y, X), feature channels, torch's device."""

    shape: tuple[int, int, int]
    channels: int
    device: str

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        """Fixed and moving, (C, Z, Y, X)."""
        return feature_pair(self.channels, self.shape, self.device)

    @cached_property
    def field(self) -> Tensor:
        """A displacement (3, Z, Y, X), voxels."""
        return smooth_field(self.shape, 4.0, 2).to(self.device)

    @cached_property
    def candidates(self) -> Tensor:
        """(K, 3), voxels."""
        return candidate_displacements(1, self.device)

    @cached_property
    def scores(self) -> Tensor:
        """(K, Z, Y, X)."""
        return similarity_scores(*self.features, self.candidates, Border.REPLICATE)

    @cached_property
    def messages(self) -> ThreeTapFilter:
        """The filter that follows from the scores' entropy."""
        entropy = displacement_entropy(self.scores, 10.0, EntropyScale.CANDIDATES)
        return entropy_filter(entropy, 0.1, 0.5, Border.REPLICATE, Smoothing.ADAPTIVE)


Prepare = Callable[[Volumes], Callable[[], object]]


@dataclass(frozen=True)
class Operation:
    """prepare: makes the volumes and returns the call. floats: numbers per voxel that it reads and writes, given the
    channels.
    """

    prepare: Prepare
    floats: Callable[[int], int]


OPERATIONS: dict[str, Operation] = {}


def operation(name: str, floats: Callable[[int], int]) -> Callable[[Prepare], Prepare]:
    """Adds what it decorates to `OPERATIONS`."""

    def add(prepare: Prepare) -> Prepare:
        OPERATIONS[name] = Operation(prepare, floats)
        return prepare

    return add


@operation("MIND-SSC", lambda channels: 1 + 12)
def _mind(volumes: Volumes) -> Callable[[], object]:
    image = volumes.features[0][0].contiguous()
    return lambda: mind_ssc(image, radius=1, dilation=2)


@operation("scores of 27 candidates", lambda channels: 2 * channels + CANDIDATES)
def _scores(volumes: Volumes) -> Callable[[], object]:
    fixed, moving = volumes.features
    return lambda: similarity_scores(fixed, moving, volumes.candidates, Border.REPLICATE)


@operation("entropy", lambda channels: CANDIDATES + 1)
def _entropy(volumes: Volumes) -> Callable[[], object]:
    scores = volumes.scores
    return lambda: displacement_entropy(scores, 10.0, EntropyScale.CANDIDATES)


@operation("filter of the scores, 3 passes", lambda channels: 3 * (2 * CANDIDATES + 1))
def _prefilter(volumes: Volumes) -> Callable[[], object]:
    messages, scores = volumes.messages, volumes.scores.clone()
    return lambda: messages.smooth_(scores, 3)


@operation("filter of a field, 5 passes", lambda channels: 5 * (2 * 3 + 1))
def _filter(volumes: Volumes) -> Callable[[], object]:
    messages, field = volumes.messages, volumes.field.clone()
    return lambda: messages.smooth_(field, 5)


@operation("coupled argmax", lambda channels: CANDIDATES + 3 + 3)
def _argmax(volumes: Volumes) -> Callable[[], object]:
    scores, smooth = volumes.scores, volumes.field / 4.0
    return lambda: best_displacement(scores, volumes.candidates, Ties.CENTRE, smooth, 0.1)


@operation("warp of the features", lambda channels: 2 * channels + 3)
def _warp(volumes: Volumes) -> Callable[[], object]:
    moving, field = volumes.features[1], volumes.field
    return lambda: warp(moving, field)


@operation("composition", lambda channels: 3 * 3)
def _composition(volumes: Volumes) -> Callable[[], object]:
    outer, inner = volumes.field, volumes.field.flip(1).contiguous()
    return lambda: compose(outer, inner)


@operation("exponential", lambda channels: _SQUARINGS * 2 * 3)
def _exponential(volumes: Volumes) -> Callable[[], object]:
    velocity = volumes.field / 4.0
    return lambda: exponential(velocity, _SQUARINGS)


@operation("inverse consistency, 5 sweeps", lambda channels: 5 * 4 * 3)
def _consistency(volumes: Volumes) -> Callable[[], object]:
    forward, backward = volumes.field, -volumes.field
    return lambda: make_inverse_consistent(forward, backward, 5)


@operation("mending of folds", lambda channels: 2 * 3)
def _mending(volumes: Volumes) -> Callable[[], object]:
    rough = volumes.field.clone()
    middle = rough[(slice(None), *(slice(n // 2, n // 2 + max(2, n // 8)) for n in volumes.shape))]
    middle += 0.5 * torch.randn(middle.shape, generator=torch.Generator().manual_seed(3)).to(volumes.device)
    return lambda: make_invertible(rough)


@operation("Jacobian determinant", lambda channels: 3 + 1)
def _jacobian(volumes: Volumes) -> Callable[[], object]:
    field = volumes.field
    return lambda: jacobian_determinant(field)


@operation("local correlation's gradient", lambda channels: 4 + 1)
def _correlation(volumes: Volumes) -> Callable[[], object]:
    fixed, moving = (maps[0].contiguous() for maps in volumes.features)
    similarity = LocalCorrelation.of(fixed, 2, 1e-3)
    return lambda: similarity.gradient(moving)


@operation("Gaussian smoothing of a field", lambda channels: 2 * 3)
def _gaussian(volumes: Volumes) -> Callable[[], object]:
    field = volumes.field
    return lambda: gaussian_smooth(field, 1.7)


@operation("damping of volume changes", lambda channels: 2 * 3)
def _damping(volumes: Volumes) -> Callable[[], object]:
    field = volumes.field
    return lambda: damp_volume_changes(field, 0.15)


@operation("extension into uniform places", lambda channels: 2 * 3 + 1)
def _extension(volumes: Volumes) -> Callable[[], object]:
    field = volumes.field
    known = (volumes.features[0][:1] > 0.5).to(field.dtype)[0]
    return lambda: extend_smoothly(field, known)


@operation("means of 3 x 3 x 3", lambda channels: 2 * 3)
def _boxes(volumes: Volumes) -> Callable[[], object]:
    field = volumes.field
    return lambda: box_smooth(field, 1, Border.REPLICATE)
