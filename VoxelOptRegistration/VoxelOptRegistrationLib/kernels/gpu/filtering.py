"""Message passing, the three axes of a pass at once; the twin of `solvers.message_passing`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, launch

_BLOCK = 128


def smooth(volume: Tensor, side: Tensor, passes: int, border: Border) -> Tensor:
    """volume (C, Z, Y, X) after `passes` passes along the axes 0, 1 and 2 with taps (side, 1 - 2 side, side) at the
    voxel written, side (Z, Y, X) float32. The memory of `volume` may be written over.

    Each pass reads and writes every voxel once; it finds anew what the first axes give its neighbours.
    """
    source, target = volume.contiguous(), torch.empty_like(volume, memory_format=torch.contiguous_format)
    side = side.contiguous()
    channels, depth, height, width = volume.shape
    programs, block = blocks(volume, _BLOCK)
    for _ in range(passes):
        launch(
            _pass,
            (programs, channels),
            *(source, side, target, depth, height, width, source[0].numel()),
            HELD=int(border is Border.REPLICATE),
            BLOCK=block,
        )
        source, target = target, source
    return source


def side_weights(entropy: Tensor, sigma_low: float, sigma_high: float) -> Tensor:
    """The side weight of every voxel's taps for its entropy (Z, Y, X); see `entropy_filter`, adaptive."""
    entropy = entropy.contiguous()
    side = torch.empty_like(entropy)
    programs, block = blocks(entropy[None], _BLOCK)
    numbers = (entropy.numel(), float(sigma_low), float(sigma_high - sigma_low))
    launch(_side_weights, (programs,), entropy, side, *numbers, BLOCK=block)
    return side


@triton.jit
def _side_weights(
    entropy: tl.tensor,
    side: tl.tensor,
    voxels: tl.tensor,
    low: tl.tensor,
    span: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    sigma = low + tl.log2(1.0 + tl.load(entropy + place, mask=inside, other=0.0)) * span
    tap = tl.exp(-0.5 / (sigma * sigma))
    tl.store(side + place, tap / (1.0 + 2.0 * tap), mask=inside)


@triton.jit
def _across_slices(
    source: tl.tensor,
    side: tl.tensor,
    above: tl.tensor,
    here: tl.tensor,
    below: tl.tensor,
    place: tl.tensor,
    fits: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
) -> tl.tensor:
    """What the first axis gives at slice `here`, and the side weight there."""
    weight = tl.load(side + here + place, mask=fits, other=0.0)
    centre = tl.load(source + here + place, mask=fits, other=0.0).to(tl.float32)
    first = tl.load(source + above + place, mask=fits & low, other=0.0).to(tl.float32)
    last = tl.load(source + below + place, mask=fits & high, other=0.0).to(tl.float32)
    return centre + weight * (first + last - 2.0 * centre), weight


@triton.jit
def _across_rows(
    source: tl.tensor,
    side: tl.tensor,
    above: tl.tensor,
    here: tl.tensor,
    below: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    fits: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    HELD: tl.constexpr,
) -> tl.tensor:
    """What the first two axes give at row y and column x of slice `here`, and the side weight there."""
    before, after = tl.maximum(y - 1, 0) * width + x, tl.minimum(y + 1, height - 1) * width + x
    centre, weight = _across_slices(source, side, above, here, below, y * width + x, fits, low, high)
    first, _ = _across_slices(source, side, above, here, below, before, fits & (y + HELD > 0), low, high)
    last, _ = _across_slices(source, side, above, here, below, after, fits & (y - HELD < height - 1), low, high)
    return centre + weight * (first + last - 2.0 * centre), weight


@triton.jit
def _pass(
    source: tl.tensor,
    side: tl.tensor,
    target: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    HELD: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Programs over blocks of voxels, and channels. HELD: 1 where the border goes on outside, 0 for zeros."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1).to(tl.int64) * voxels
    source += channel
    target += channel
    plane = height * width
    fits = place < voxels
    z, y, x = place // plane, place // width % height, place % width
    above, here, below = tl.maximum(z - 1, 0) * plane, z * plane, tl.minimum(z + 1, depth - 1) * plane
    low, high = z + HELD > 0, z - HELD < depth - 1
    before, after = tl.maximum(x - 1, 0), tl.minimum(x + 1, width - 1)
    left, right = fits & (x + HELD > 0), fits & (x - HELD < width - 1)
    centre, weight = _across_rows(source, side, above, here, below, y, x, height, width, fits, low, high, HELD)
    first, _ = _across_rows(source, side, above, here, below, y, before, height, width, left, low, high, HELD)
    last, _ = _across_rows(source, side, above, here, below, y, after, height, width, right, low, high, HELD)
    tl.store(target + place, centre + weight * (first + last - 2.0 * centre), mask=fits)
