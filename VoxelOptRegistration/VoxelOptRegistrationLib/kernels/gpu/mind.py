"""MIND-SSC without anything kept between; the twin of `features.mind.mind_ssc`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, kernel, launch
from .places import coordinates, held, own_places

_BLOCK = 256


def mind_ssc(image: Tensor, radius: int, dilation: int, floor: float) -> Tensor:
    """Descriptor (12, Z, Y, X) of an image (Z, Y, X), see the twin.

    The image is read twice, the descriptor written once: what a voxel is divided by needs the average over the volume,
    and finding its differences again moves less than keeping them. Every voxel reads its whole window: for small radii.
    """
    image = image.contiguous()
    descriptor = image.new_empty((12, *image.shape))
    programs, block = blocks(descriptor, _BLOCK)
    parts = image.new_empty(programs)
    numbers = (*image.shape, image.numel(), 2 * radius + 1, float(floor))
    shape = {"DILATION": dilation, "BLOCK": block}
    launch(_describe, (programs,), image, parts, parts, *numbers, DESCRIBE=False, **shape)
    average = (parts.sum(dtype=torch.float64) / image.numel()).to(image.dtype)
    launch(_describe, (programs,), image, average, descriptor, *numbers, DESCRIBE=True, **shape)
    return descriptor


@triton.jit
def _at(
    image: tl.tensor,
    z: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    fits: tl.tensor,
) -> tl.tensor:
    """The image at a place, which is held inside it."""
    there = (held(z, depth) * height + held(y, height)) * width + held(x, width)
    return tl.load(image + there, mask=fits, other=0.0).to(tl.float32)


@triton.jit
def _square(one: tl.tensor, other: tl.tensor) -> tl.tensor:
    return (one - other) * (one - other)


@triton.jit
def _smallest(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor, f: tl.tensor) -> tl.tensor:
    return tl.minimum(tl.minimum(tl.minimum(a, b), tl.minimum(c, d)), tl.minimum(e, f))


@triton.jit
def _put(
    result: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    c: tl.tensor,
    d: tl.tensor,
    rate: tl.tensor,
    voxels: tl.tensor,
    fits: tl.tensor,
) -> tl.tensor:
    """Four channels from `result` on; returns where the next one begins."""
    tl.store(result, tl.exp(a * rate), mask=fits)
    result += voxels
    tl.store(result, tl.exp(b * rate), mask=fits)
    result += voxels
    tl.store(result, tl.exp(c * rate), mask=fits)
    result += voxels
    tl.store(result, tl.exp(d * rate), mask=fits)
    return result + voxels


@kernel
def _describe(
    image: tl.tensor,
    average: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    side: tl.tensor,
    floor: tl.tensor,
    DILATION: tl.constexpr,
    DESCRIBE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """The descriptor by the `average` of the variance; before there is one, the sum of the variance of each program.

    The channels stand in the order of `features.mind`: d0 compares the neighbours above in z and below in y.
    """
    place, fits = own_places(voxels, BLOCK)
    depth_here, row, column = coordinates(place, height, width)
    d0 = tl.zeros([BLOCK], tl.float32)
    d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11 = d0, d0, d0, d0, d0, d0, d0, d0, d0, d0, d0
    radius = side // 2
    for k in range(side * side * side):
        z = held(depth_here + k // (side * side) - radius, depth)
        y = held(row + k // side % side - radius, height)
        x = held(column + k % side - radius, width)
        z0 = _at(image, z - DILATION, y, x, depth, height, width, fits)
        z1 = _at(image, z + DILATION, y, x, depth, height, width, fits)
        y0 = _at(image, z, y - DILATION, x, depth, height, width, fits)
        y1 = _at(image, z, y + DILATION, x, depth, height, width, fits)
        x0 = _at(image, z, y, x - DILATION, depth, height, width, fits)
        x1 = _at(image, z, y, x + DILATION, depth, height, width, fits)
        d0, d1, d2, d3 = d0 + _square(z1, y0), d1 + _square(z0, y1), d2 + _square(z0, y0), d3 + _square(z1, y1)
        d4, d5, d6, d7 = d4 + _square(y0, x0), d5 + _square(y1, x1), d6 + _square(z0, x0), d7 + _square(z1, x1)
        d8, d9, d10, d11 = d8 + _square(y1, x0), d9 + _square(y0, x1), d10 + _square(z1, x0), d11 + _square(z0, x1)
    least = tl.minimum(_smallest(d0, d1, d2, d3, d4, d5), _smallest(d6, d7, d8, d9, d10, d11))
    d0, d1, d2, d3, d4, d5 = d0 - least, d1 - least, d2 - least, d3 - least, d4 - least, d5 - least
    d6, d7, d8, d9, d10, d11 = d6 - least, d7 - least, d8 - least, d9 - least, d10 - least, d11 - least
    total = ((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7)) + ((d8 + d9) + (d10 + d11))
    share = 1.0 / (side * side * side)
    variance = total * (share / 12.0)
    if DESCRIBE:
        usual = tl.load(average)
        variance = tl.minimum(tl.maximum(variance, usual * floor), usual * 1000.0)
        rate = -share / tl.maximum(variance, 1.1754943508222875e-38)
        result = _put(result + place, d0, d1, d2, d3, rate, voxels, fits)
        result = _put(result, d4, d5, d6, d7, rate, voxels, fits)
        _put(result, d8, d9, d10, d11, rate, voxels, fits)
    else:
        tl.store(result + tl.program_id(0), tl.sum(tl.where(fits, variance, 0.0), axis=0))
