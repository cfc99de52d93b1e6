"""The maxima of parabolas through scores; the twin of what `solvers.subvoxel` does."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, launch
from .places import own_places

_BLOCK = 256


def parabola_peaks(scores: Tensor, smooth: Tensor, coupling: float, least: float) -> Tensor:
    """Along each axis the maximum of the parabola through three scores, coupled to `smooth`: (3, Z, Y, X) float32.

    scores (7, Z, Y, X): staying, one voxel ahead along every axis, one behind; smooth (3, Z, Y, X); `least` curvature.
    Reading the seven scores each time is less than keeping slope, curvature and reach of three axes.
    """
    scores, smooth = scores.contiguous(), smooth.contiguous()
    result = smooth.new_empty(smooth.shape)
    programs, block = blocks(scores, _BLOCK)
    numbers = (scores[0].numel(), float(coupling), float(least))
    launch(_peaks, (programs,), scores, smooth, result, *numbers, BLOCK=block)
    return result


@triton.jit
def _peaks(
    scores: tl.tensor,
    smooth: tl.tensor,
    result: tl.tensor,
    voxels: tl.tensor,
    coupling: tl.tensor,
    least: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    stay = tl.load(scores + place, mask=inside, other=0.0).to(tl.float32)
    ahead = scores + place + voxels
    behind = ahead + voxels
    behind += voxels
    behind += voxels
    smooth += place
    result += place
    for _ in tl.static_range(3):
        first = tl.load(ahead, mask=inside, other=0.0).to(tl.float32)
        last = tl.load(behind, mask=inside, other=0.0).to(tl.float32)
        curvature = tl.maximum(2.0 * stay - first - last, least)
        reach = tl.sqrt(tl.minimum(tl.maximum(-2.0 * stay / curvature, 0.0), 1.0))
        slope = (first - last) * 0.5 + 2.0 * coupling * tl.load(smooth, mask=inside, other=0.0)
        peak = slope / (curvature + 2.0 * coupling)
        tl.store(result, tl.minimum(tl.maximum(peak, -reach), reach), mask=inside)
        ahead += voxels
        behind += voxels
        smooth += voxels
        result += voxels
