"""Refinement in small diffeomorphic steps, composed: up the local correlation of the images, or down the difference of
their features.

Every step moves along the derivative of the similarity, smoothed; the whole field is smoothed a little and its changes
of volume evened out after it, so that the number of steps decides how far data and smoothness are traded (the scheme of
greedy diffeomorphic registration: Christensen et al., IEEE TIP 1996; Avants et al., Medical Image Analysis 2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..fields.algebra import compose
from ..fields.extension import extend_smoothly
from ..fields.jacobian import difference
from ..fields.sampling import warp
from ..fields.slabs import by_slabs
from ..fields.smoothing import gaussian_smooth
from ..fields.volume_damping import damp_volume_changes
from ..options import Border, DescentOptions
from .local_correlation import LocalCorrelation

_LONGEST_STEP = 1.5
"""Of an update with its momentum, voxels: steps of this length on smoothed updates still do not fold."""
_UNIFORM = 0.02
"""Local standard deviation, as a share of the whole image's, at which a place is half known."""
_INFORMATION_RADIUS = 2


class Data(Protocol):
    """What is compared. force: the direction (3, Z, Y, X) of steepest improvement for the field (3, Z, Y, X), of any
    length; 0 where nothing is known.
    """

    def force(self, displacement: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ImageCorrelation:
    """The local correlation of a fixed image with `moving` (Z, Y, X), each trusted, (Z, Y, X) float, None for all."""

    similarity: LocalCorrelation
    moving: Tensor
    fixed_trust: Tensor | None
    moving_trust: Tensor | None

    @classmethod
    def of(
        cls, fixed: Tensor, moving: Tensor, trusts: tuple[Tensor | None, Tensor | None], options: DescentOptions
    ) -> ImageCorrelation:
        """fixed, moving: (Z, Y, X) of one kind of contrast or another, any unit; trusts (Z, Y, X), bool."""
        scale = image_scale(fixed, trusts[0])
        similarity = LocalCorrelation.of(fixed / scale, options.radius, options.noise**2)
        return cls(similarity, moving / scale, *(None if trust is None else trust.to(fixed.dtype) for trust in trusts))

    def force(self, displacement: Tensor) -> Tensor:
        warped = warp(self.moving[None], displacement)[0]
        share = self.fixed_trust
        if self.moving_trust is not None:
            there = warp(self.moving_trust[None], displacement, Border.ZERO)[0]
            share = there if share is None else share * there
        rise = self.similarity.gradient(warped, share)
        return _along_gradient(rise[None], warped[None])


@dataclass(frozen=True)
class FeatureDifference:
    """The squared difference of feature maps (C, Z, Y, X), each trusted, (Z, Y, X) float, None for all."""

    fixed: Tensor
    moving: Tensor
    fixed_trust: Tensor | None
    moving_trust: Tensor | None

    @classmethod
    def of(cls, fixed: Tensor, moving: Tensor, trusts: tuple[Tensor | None, Tensor | None]) -> FeatureDifference:
        """fixed, moving: (C, Z, Y, X); trusts (Z, Y, X), bool."""
        return cls(fixed, moving, *(None if trust is None else trust.to(fixed.dtype) for trust in trusts))

    def force(self, displacement: Tensor) -> Tensor:
        warped = warp(self.moving, displacement)
        rise = self.fixed - warped
        if self.fixed_trust is not None:
            rise.mul_(self.fixed_trust)
        if self.moving_trust is not None:
            rise.mul_(warp(self.moving_trust[None], displacement, Border.ZERO))
        return _along_gradient(rise, warped)


def descend(
    displacement: Tensor,
    data: Data,
    iterations: int,
    options: DescentOptions,
    report: Callable[[int, Tensor], None] = lambda index, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Tensor:
    """The displacement (3, Z, Y, X), voxels, after `iterations` steps on `data`.

    `report` is called after every step with its number from 1 and the field; `checkpoint` before each, what it raises
    ends the descent.
    """
    speed: Tensor | None = None
    for index in range(iterations):
        checkpoint()
        update = gaussian_smooth(data.force(displacement), options.update_sigma)
        longest = _longest(update)
        if longest == 0.0:
            return displacement
        update.mul_(options.step / longest)
        if options.momentum > 0.0:
            speed = update if speed is None else speed.mul_(options.momentum).add_(update)
            update = speed * min(1.0, _LONGEST_STEP / max(_longest(speed), _LONGEST_STEP))
        displacement = compose(displacement, update)
        displacement = gaussian_smooth(displacement, options.field_sigma)
        displacement = damp_volume_changes(displacement, options.volume_damping)
        report(index + 1, displacement)
    return displacement


def extended(displacement: Tensor, fixed: Tensor, trust: Tensor | None, passes: int) -> Tensor:
    """The displacement (3, Z, Y, X), following from its surroundings where `fixed` (Z, Y, X) is uniform or unknown."""
    if passes == 0:
        return displacement
    local = LocalCorrelation.of(fixed, _INFORMATION_RADIUS, 0.0).variance
    known = local.div(local + (_UNIFORM * image_scale(fixed, trust)) ** 2)
    if trust is not None:
        known.mul_(trust)
    return extend_smoothly(displacement, known, passes) if bool(known.any()) else displacement


def image_scale(image: Tensor, trust: Tensor | None) -> float:
    """Standard deviation of the trusted values of an image (Z, Y, X), its unit; 1 if it has none."""
    values = image if trust is None or not bool(trust.any()) else image[trust]
    scale = float(values.std())
    return scale if scale > 0.0 else 1.0


def _along_gradient(rise: Tensor, warped: Tensor) -> Tensor:
    """Sum over channels of `rise` times the gradient of `warped`, both (C, Z, Y, X): (3, Z, Y, X)."""

    def part(rise: Tensor, warped: Tensor) -> Tensor:
        return torch.stack([(rise * difference(warped, axis)).sum(dim=0) for axis in (-3, -2, -1)])

    return by_slabs(part, (rise, warped), 1)


def _longest(vectors: Tensor) -> float:
    """Length of the longest vector of (3, Z, Y, X)."""
    return float(vectors.square().sum(dim=0).max()) ** 0.5
