"""Trilinear warping in one pass; the twin of `fields.sampling.warp`."""

from __future__ import annotations

from torch import Tensor

from ..options import Border
from .memory_reuse import empty
from .runtime import arrays, in_slabs


def warp(volume: Tensor, displacement: Tensor, border: Border) -> Tensor:
    """volume (C, Z, Y, X) at x + u(x) for displacement (3, Z', Y', X'), voxels: (C, Z', Y', X')."""
    from .loops import warping

    result = empty((volume.shape[0], *displacement.shape[1:]))
    loop = warping.warp_replicated if border is Border.REPLICATE else warping.warp_zero
    in_slabs(loop, displacement.shape[1:], *arrays(volume, displacement, result))
    return result
