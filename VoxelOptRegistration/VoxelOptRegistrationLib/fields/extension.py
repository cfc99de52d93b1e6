"""Carrying a field or an image from where it is known into where it is not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels.memory_reuse import reused_memory
from ..kernels.runtime import compiles
from ..kernels.smoothing import convolve
from .smoothing import gaussian_smooth, gaussian_weights

_GAIN = 4.0
"""A coarse voxel counts as known in full once a quarter of its neighbourhood is."""


@reused_memory()
def extend_smoothly(maps: Tensor, known: Tensor, passes: int = 5) -> Tensor:
    """Maps (C, Z, Y, X), kept where `known` (Z, Y, X) is 1 and following from their surroundings where it is 0, in
    between a mixture; as they are where nothing is known.

    Pull-push over a pyramid (Gortler et al., The Lumigraph, SIGGRAPH 1996), then `passes` Gaussians of one voxel there.
    """
    if not bool(known.any()):
        return maps
    filled = _pulled_and_pushed(maps, known[None])
    for _ in range(passes):
        filled = _smoothed_between(filled, maps, known)
    return filled


def _smoothed_between(filled: Tensor, maps: Tensor, known: Tensor) -> Tensor:
    """`filled` smoothed by one voxel, and `maps` where known."""
    if compiles(filled, maps, known):
        return convolve(filled, (gaussian_weights(1.0),) * 3, maps, known)
    return torch.lerp(gaussian_smooth(filled, 1.0), maps, known)


def _pulled_and_pushed(values: Tensor, known: Tensor) -> Tensor:
    if max(known.shape[1:]) == 1:
        return values
    share = _halved(known)
    coarse = _halved(values * known).div_(share.clamp_min(1e-6))
    coarse = _pulled_and_pushed(coarse, (share * _GAIN).clamp_(max=1.0))
    surroundings = F.interpolate(coarse[None], size=known.shape[1:], mode="trilinear", align_corners=False)[0]
    return torch.lerp(surroundings, values, known)


def _halved(volume: Tensor) -> Tensor:
    if min(volume.shape[1:]) < 3:  # torch pools nothing that is smaller than the window.
        return F.avg_pool3d(F.pad(volume, (1,) * 6)[None], 3, 2)[0]
    return F.avg_pool3d(volume[None], 3, 2, padding=1)[0]
