"""Message passing, the three axes of a pass at once; the twin of `solvers.message_passing`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, kernel, launch
from .places import own_places

_BLOCK = 128
_MOST_SLICES = 16
"""Of one program: it reads two more."""
_ENOUGH_PROGRAMS = 4096
"""Of 128 threads each: more than the largest GPUs run at once."""


def smooth(volume: Tensor, side: Tensor, passes: int, border: Border) -> Tensor:
    """volume (C, Z, Y, X) after `passes` passes along the axes 0, 1 and 2 with taps (side, 1 - 2 side, side) at the
    voxel written, side (Z, Y, X) float32. The memory of `volume` may be written over.

    Each pass reads and writes every voxel once; it finds anew what the first axes give its neighbours.
    """
    source, target = volume.contiguous(), torch.empty_like(volume, memory_format=torch.contiguous_format)
    side = side.contiguous()
    channels, depth, height, width = volume.shape
    programs, block = blocks(volume[:, 0], _BLOCK)
    slices = _slices(depth, programs * channels) if volume.is_cuda else -(-depth // 2)
    for _ in range(passes):
        launch(
            _pass,
            (programs, -(-depth // slices), channels),
            *(source, side, target, depth, height, width, source[0].numel(), slices),
            HELD=border is Border.REPLICATE,
            BLOCK=block,
        )
        source, target = target, source
    return source


def _slices(depth: int, programs: int) -> int:
    """How many slices a program goes through where one slice takes `programs`. The more, the less is read twice, as
    long as there are programs enough to keep a GPU busy.
    """
    return max(1, min(_MOST_SLICES, depth, depth * programs // _ENOUGH_PROGRAMS))


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
    place, inside = own_places(voxels, BLOCK)
    sigma = low + tl.log2(1.0 + tl.load(entropy + place, mask=inside, other=0.0)) * span
    tap = tl.exp(-0.5 / (sigma * sigma))
    tl.store(side + place, tap / (1.0 + 2.0 * tap), mask=inside)


@triton.jit
def _filtered(weight: tl.tensor, first: tl.tensor, centre: tl.tensor, last: tl.tensor) -> tl.tensor:
    return centre + weight * (first + last - 2.0 * centre)


@triton.jit
def _three(
    row: tl.tensor,
    left: tl.tensor,
    right: tl.tensor,
    there: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    HELD: tl.constexpr,
) -> tl.tensor:
    """What stands left of, at and right of `row`, pointers to a voxel each; zero outside unless HELD."""
    if HELD:
        first, centre, last = tl.load(row - left), tl.load(row), tl.load(row + right)
    else:
        first = tl.load(row - left, mask=there & low, other=0.0)
        centre = tl.load(row, mask=there, other=0.0)
        last = tl.load(row + right, mask=there & high, other=0.0)
    return first.to(tl.float32), centre.to(tl.float32), last.to(tl.float32)


@kernel
def _pass(
    source: tl.tensor,
    side: tl.tensor,
    target: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    slices: tl.tensor,
    HELD: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Programs over blocks of a slice, over stacks of `slices`, and over channels. HELD: the border goes on outside,
    where zeros stand otherwise.

    On its way through the slices a program keeps three of them: nine voxels each, of the rows above (u), here (r) and
    below (d). Each is read once, which is less than half the instructions of finding every voxel's 27 anew.
    """
    plane = height * width
    place, fits = own_places(plane, BLOCK)
    place = tl.minimum(place, plane - 1)
    channel = tl.program_id(2).to(tl.int64) * voxels
    zero = tl.zeros([BLOCK], tl.int32)
    y, x = place // width, place % width
    low, high, above, below = x > 0, x < width - 1, y > 0, y < height - 1
    left, right = tl.where(low, 1, 0), tl.where(high, 1, 0)
    up, down = tl.where(above, width, 0), tl.where(below, width, 0)
    start = tl.program_id(1) * slices
    stop = tl.minimum(start + slices, depth)
    source += channel + place
    here = source + start * plane
    u3, u4, u5 = _three(here - up, left, right, above, low, high, HELD)
    r3, r4, r5 = _three(here, left, right, fits, low, high, HELD)
    d3, d4, d5 = _three(here + down, left, right, below, low, high, HELD)
    near = zero + start > 0
    here = source + tl.maximum(start - 1, 0) * plane
    u0, u1, u2 = _three(here - up, left, right, above & near, low, high, HELD)
    r0, r1, r2 = _three(here, left, right, fits & near, low, high, HELD)
    d0, d1, d2 = _three(here + down, left, right, below & near, low, high, HELD)
    target += channel + place
    side += place
    for z in range(start, stop):
        near = zero + z < depth - 1
        after = source + tl.minimum(z + 1, depth - 1) * plane
        u6, u7, u8 = _three(after - up, left, right, above & near, low, high, HELD)
        r6, r7, r8 = _three(after, left, right, fits & near, low, high, HELD)
        d6, d7, d8 = _three(after + down, left, right, below & near, low, high, HELD)
        weights = side + z * plane
        a0, a1, a2 = _three(weights - up, left, right, above, low, high, HELD)
        b0, b1, b2 = _three(weights, left, right, fits, low, high, HELD)
        c0, c1, c2 = _three(weights + down, left, right, below, low, high, HELD)
        first = _filtered(b0, _filtered(a0, u0, u3, u6), _filtered(b0, r0, r3, r6), _filtered(c0, d0, d3, d6))
        centre = _filtered(b1, _filtered(a1, u1, u4, u7), _filtered(b1, r1, r4, r7), _filtered(c1, d1, d4, d7))
        last = _filtered(b2, _filtered(a2, u2, u5, u8), _filtered(b2, r2, r5, r8), _filtered(c2, d2, d5, d8))
        tl.store(target + z * plane, _filtered(b1, first, centre, last), mask=fits)
        u0, u1, u2, u3, u4, u5 = u3, u4, u5, u6, u7, u8
        r0, r1, r2, r3, r4, r5 = r3, r4, r5, r6, r7, r8
        d0, d1, d2, d3, d4, d5 = d3, d4, d5, d6, d7, d8
