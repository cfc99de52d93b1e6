"""Moments of windows and the derivative of their correlation; the twin of what `refinement.local_correlation` does.

Windows are summed axis by axis, so that what is moved does not depend on their size; the last axis is summed by the
pass that uses the sums.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, kernel, launch

_BLOCK = 256


def moments(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the windows of an image, all (Z, Y, X)."""
    image = image.contiguous()
    depth, height, width = image.shape
    voxels = image.numel()
    one, other = image.new_empty((2, 3, *image.shape))
    mean, variance = torch.empty_like(image), torch.empty_like(image)
    programs, block = blocks(one, _BLOCK)
    common = {"RADIUS": radius, "BLOCK": block}
    launch(_sum_moments, (programs,), image, image, one, depth, height * width, voxels, **common)
    launch(_sum, (programs, 2), one, other, height, width, voxels, **common)
    launch(_moments, (programs,), other, mean, variance, depth, height, width, voxels, **common)
    return mean, variance


def gradient(
    fixed: Tensor,
    mean: Tensor,
    variance: Tensor,
    moving: Tensor,
    share: Tensor | None,
    noise: float,
    least: float,
    radius: int,
) -> Tensor:
    """Derivative by the values of `moving`, all (Z, Y, X); windows where their variance is at most `least` do not
    count.
    """
    fixed, mean, variance, moving = (volume.contiguous() for volume in (fixed, mean, variance, moving))
    shares = fixed if share is None else share.contiguous()
    depth, height, width = fixed.shape
    voxels = fixed.numel()
    one, other = fixed.new_empty((2, 3, *fixed.shape))
    result = torch.empty_like(fixed)
    programs, block = blocks(one, _BLOCK)
    common = {"RADIUS": radius, "BLOCK": block}
    plane = height * width
    launch(_sum_moments, (programs,), fixed, moving, one, depth, plane, voxels, **common)
    launch(_sum, (programs, 3), one, other, height, width, voxels, **common)
    launch(
        _coefficients,
        (programs,),
        *(other, mean, variance, shares, one, depth, height, width, voxels, float(noise), float(least)),
        SHARED=share is not None,
        **common,
    )
    launch(_sum, (programs, 3), one, other, depth, plane, voxels, **common)
    launch(_sum, (programs, 3), other, one, height, width, voxels, **common)
    launch(_rise, (programs,), one, fixed, moving, result, width, voxels, **common)
    return result


@triton.jit
def _window(
    values: tl.tensor,
    index: tl.tensor,
    size: tl.tensor,
    step: tl.tensor,
    inside: tl.tensor,
    RADIUS: tl.constexpr,
) -> tl.tensor:
    """The sum of `values`, pointers to every voxel, over what of a window lies inside an axis, where they are number
    `index` of `size` and `step` apart.
    """
    total = tl.load(values, inside, 0.0).to(tl.float32)
    for i in range(1, RADIUS + 1):
        total += tl.load(values - i * step, inside & (index >= i), 0.0)
        total += tl.load(values + i * step, inside & (index + i < size), 0.0)
    return total


@triton.jit
def _by_size(index: tl.tensor, size: tl.tensor, RADIUS: tl.constexpr) -> tl.tensor:
    """1 / the voxels of a window that lie inside an axis."""
    near = tl.minimum(index + RADIUS + 1, size) - tl.maximum(index - RADIUS, 0)
    return 1.0 / tl.maximum(near, 1).to(tl.float32)


@kernel
def _sum_moments(
    fixed: tl.tensor,
    moving: tl.tensor,
    result: tl.tensor,
    size: tl.tensor,
    step: tl.tensor,
    voxels: tl.tensor,
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """result (3, Z, Y, X): window sums along the first axis of `moving`, its square, and its product with `fixed`."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    index = place // step
    values = tl.zeros([BLOCK], tl.float32)
    squares, products = values, values
    for i in range(2 * RADIUS + 1):
        there = index + i - RADIUS
        near = inside & (there >= 0) & (there < size)
        offset = place + (i - RADIUS) * step
        value = tl.load(moving + offset, near, 0.0).to(tl.float32)
        values += value
        squares += value * value
        products += value * tl.load(fixed + offset, near, 0.0)
    result += place
    tl.store(result, values, mask=inside)
    result += voxels
    tl.store(result, squares, mask=inside)
    result += voxels
    tl.store(result, products, mask=inside)


@kernel
def _sum(
    source: tl.tensor,
    result: tl.tensor,
    size: tl.tensor,
    step: tl.tensor,
    voxels: tl.tensor,
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Window sums along one axis. Programs over blocks of voxels, and channels."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1).to(tl.int64) * voxels
    inside = place < voxels
    total = _window(source + channel + place, place // step % size, size, step, inside, RADIUS)
    tl.store(result + channel + place, total, mask=inside)


@triton.jit
def _one_by_size(
    place: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor, RADIUS: tl.constexpr
) -> tl.tensor:
    """1 / the voxels in the window around every place."""
    line = place // width
    by_size = _by_size(line // height, depth, RADIUS) * _by_size(line % height, height, RADIUS)
    return by_size * _by_size(place % width, width, RADIUS)


@kernel
def _moments(
    sums: tl.tensor,
    mean: tl.tensor,
    variance: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """sums (3, Z, Y, X): of `_sum_moments`, along z and y; the last map does not count."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    by_size = _one_by_size(place, depth, height, width, RADIUS)
    sums += place
    average = _window(sums, place % width, width, 1, inside, RADIUS) * by_size
    sums += voxels
    square = _window(sums, place % width, width, 1, inside, RADIUS) * by_size
    tl.store(mean + place, average, mask=inside)
    tl.store(variance + place, square - average * average, mask=inside)


@kernel
def _coefficients(
    sums: tl.tensor,
    mean: tl.tensor,
    variance: tl.tensor,
    share: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    noise: tl.tensor,
    least: tl.tensor,
    SHARED: tl.constexpr,
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """result (3, Z, Y, X): by what a window's derivative takes the fixed values, the moving ones, and 1; each divided
    by the size of the window. sums (3, Z, Y, X): of `_sum_moments`, along z and y.
    """
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    column = place % width
    by_size = _one_by_size(place, depth, height, width, RADIUS)
    sums += place
    average = _window(sums, column, width, 1, inside, RADIUS) * by_size
    sums += voxels
    spread = _window(sums, column, width, 1, inside, RADIUS) * by_size - average * average
    sums += voxels
    fixed_average = tl.load(mean + place, inside, 0.0)
    covariance = _window(sums, column, width, 1, inside, RADIUS) * by_size - fixed_average * average
    slope = 2.0 * covariance / ((tl.load(variance + place, inside, 0.0) + noise) * (spread + noise))
    slope = tl.where(spread > least, slope, 0.0)
    if SHARED:
        slope *= tl.load(share + place, inside, 0.0)
    curve = slope * (covariance / tl.maximum(spread, least))
    result += place
    tl.store(result, slope * by_size, mask=inside)
    result += voxels
    tl.store(result, curve * by_size, mask=inside)
    result += voxels
    tl.store(result, (slope * fixed_average - average * curve) * by_size, mask=inside)


@kernel
def _rise(
    sums: tl.tensor,
    fixed: tl.tensor,
    moving: tl.tensor,
    result: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """sums (3, Z, Y, X): of what `_coefficients` gives, along z and y."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < voxels
    column = place % width
    sums += place
    rise = tl.load(fixed + place, inside, 0.0) * _window(sums, column, width, 1, inside, RADIUS)
    sums += voxels
    rise -= tl.load(moving + place, inside, 0.0) * _window(sums, column, width, 1, inside, RADIUS)
    sums += voxels
    rise -= _window(sums, column, width, 1, inside, RADIUS)
    tl.store(result + place, rise, mask=inside)
