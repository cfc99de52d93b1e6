"""Fractions of a voxel: along each axis the scores of a voxel and its two neighbours are taken as a parabola.

Discrete candidates move by whole voxels, and strong coupling rounds whatever lies between; a last step at the finest
level maximises the parabolas under the same coupling and the same messages, in closed form. No score exceeds 0, a
perfect match, so no voxel moves further than its parabola takes to get there: what matches exactly stays exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ..fields.algebra import exponential
from ..kernels.coupling import parabola_peaks
from ..kernels.runtime import compiles, fused, fuses
from ..options import VoxelOptOptions
from .driver import Level
from .message_passing import entropy_filter
from .scoring import scores_and_entropy

_LEFT_AND_RIGHT = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1))
_LONGEST_STEP = 1.0
"""Voxels along an axis: how far a parabola is believed."""
_LEAST_CURVATURE = 1e-3
"""Per voxel^2, of similarity: keeps a flat or inverted parabola from moving its voxel further than its slope says."""


def subvoxel_step(fixed: Level, moving: Level, options: VoxelOptOptions, checkpoint: Callable[[], None]) -> Tensor:
    """Residual displacement (3, Z, Y, X), at most about one voxel, of features that match to within a voxel."""
    axes = torch.eye(3, dtype=fixed.features.dtype, device=fixed.features.device)
    candidates = torch.cat([torch.zeros_like(axes[:1]), axes, -axes])
    how = (options.border, options.sharpness, options.entropy_scale)
    scores, entropy = scores_and_entropy(fixed, moving, candidates, *how, offsets=_LEFT_AND_RIGHT)
    checkpoint()
    messages = entropy_filter(entropy, options.sigma_low, options.sigma_high, options.border, options.smoothing)
    scores = messages.smooth_(scores, options.prefilter_passes)
    smooth = torch.zeros_like(scores[:3])
    peaks = _peaks_of(scores)
    for coupling in options.couplings:
        checkpoint()
        smooth = messages.smooth_(peaks(smooth, coupling), options.passes)
    return exponential(smooth, options.squarings, options.border, _LONGEST_STEP)


def _peaks_of(scores: Tensor) -> Callable[[Tensor, float], Tensor]:
    """The maxima of the parabolas coupled to a smooth displacement (3, Z, Y, X), by that and the coupling."""
    if compiles(scores) and not fuses(scores):
        return lambda smooth, coupling: parabola_peaks(scores, smooth, coupling, _LEAST_CURVATURE)
    plain = cache(lambda: _peaks(scores))

    def peaks(smooth: Tensor, coupling: float) -> Tensor:
        fast = fused("subvoxel.parabola_peaks", scores, smooth, coupling, _LEAST_CURVATURE)
        return plain()(smooth, coupling) if fast is None else fast

    return peaks


def _peaks(scores: Tensor) -> Callable[[Tensor, float], Tensor]:
    stay, ahead, behind = scores[:1], scores[1:4], scores[4:]
    slope = (ahead - behind) * 0.5
    curvature = (2.0 * stay - ahead - behind).clamp_min_(_LEAST_CURVATURE)
    reach = (-2.0 * stay / curvature).clamp_(0.0, 1.0).sqrt_()
    return lambda smooth, coupling: (
        (slope + 2.0 * coupling * smooth).div_(curvature + 2.0 * coupling).clamp_(-reach, reach)
    )
