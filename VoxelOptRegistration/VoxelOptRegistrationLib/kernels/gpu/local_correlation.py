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
from .places import coordinates, own_places, store_vector

_BLOCK = 256


def moments(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the windows of an image, all (Z, Y, X)."""
    image = image.contiguous()
    mean, variance = torch.empty_like(image), torch.empty_like(image)
    programs, common = _shares(image, radius)
    sums, _ = _summed(image, image, 2, radius)
    launch(_moments, (programs,), sums, mean, variance, *image.shape, image.numel(), **common)
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
    result = torch.empty_like(fixed)
    programs, common = _shares(fixed, radius)
    sums, other = _summed(fixed, moving, 3, radius)
    launch(
        _coefficients,
        (programs,),
        *(sums, mean, variance, shares, other, depth, height, width, voxels, float(noise), float(least)),
        SHARED=share is not None,
        **common,
    )
    launch(_sum, (programs, 3), other, sums, depth, height * width, voxels, **common)
    launch(_sum, (programs, 3), sums, other, height, width, voxels, **common)
    launch(_rise, (programs,), other, fixed, moving, result, width, voxels, **common)
    return result


def _summed(fixed: Tensor, moving: Tensor, maps: int, radius: int) -> tuple[Tensor, Tensor]:
    """Window sums along z and y of the first `maps` of what `_sum_moments` sums, (3, Z, Y, X), and as much memory."""
    depth, height, width = fixed.shape
    voxels = fixed.numel()
    other, sums = fixed.new_empty((2, 3, *fixed.shape))
    programs, common = _shares(fixed, radius)
    launch(_sum_moments, (programs,), fixed, moving, other, depth, height * width, voxels, **common)
    launch(_sum, (programs, maps), other, sums, height, width, voxels, **common)
    return sums, other


def _shares(image: Tensor, radius: int) -> tuple[int, dict[str, int]]:
    """Programs for `image` (Z, Y, X), and what all kernels are told."""
    programs, block = blocks(image[None], _BLOCK)
    return programs, {"RADIUS": radius, "BLOCK": block}


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
    place, inside = own_places(voxels, BLOCK)
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
    store_vector(result, place, voxels, values, squares, products, inside)


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
    place, inside = own_places(voxels, BLOCK)
    channel = tl.program_id(1).to(tl.int64) * voxels
    total = _window(source + channel + place, place // step % size, size, step, inside, RADIUS)
    tl.store(result + channel + place, total, mask=inside)


@triton.jit
def _one_by_size(
    place: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor, RADIUS: tl.constexpr
) -> tl.tensor:
    """1 / the voxels in the window around every place."""
    z, y, x = coordinates(place, height, width)
    return _by_size(z, depth, RADIUS) * _by_size(y, height, RADIUS) * _by_size(x, width, RADIUS)


@triton.jit
def _three_windows(
    sums: tl.tensor, place: tl.tensor, width: tl.tensor, voxels: tl.tensor, inside: tl.tensor, RADIUS: tl.constexpr
) -> tl.tensor:
    """Window sums along x of each of `sums` (3, Z, Y, X)."""
    column = place % width
    sums += place
    first = _window(sums, column, width, 1, inside, RADIUS)
    sums += voxels
    second = _window(sums, column, width, 1, inside, RADIUS)
    sums += voxels
    return first, second, _window(sums, column, width, 1, inside, RADIUS)


@triton.jit
def _window_moments(
    sums: tl.tensor,
    place: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    by_size: tl.tensor,
    inside: tl.tensor,
    RADIUS: tl.constexpr,
) -> tl.tensor:
    """Mean and variance of every window, and the mean of the product with the other image. sums (3, Z, Y, X): of
    `_sum_moments`, along z and y.
    """
    values, squares, products = _three_windows(sums, place, width, voxels, inside, RADIUS)
    average = values * by_size
    return average, squares * by_size - average * average, products * by_size


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
    place, inside = own_places(voxels, BLOCK)
    by_size = _one_by_size(place, depth, height, width, RADIUS)
    average, spread, _ = _window_moments(sums, place, width, voxels, by_size, inside, RADIUS)
    tl.store(mean + place, average, mask=inside)
    tl.store(variance + place, spread, mask=inside)


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
    place, inside = own_places(voxels, BLOCK)
    by_size = _one_by_size(place, depth, height, width, RADIUS)
    average, spread, product = _window_moments(sums, place, width, voxels, by_size, inside, RADIUS)
    fixed_average = tl.load(mean + place, inside, 0.0)
    covariance = product - fixed_average * average
    slope = 2.0 * covariance / ((tl.load(variance + place, inside, 0.0) + noise) * (spread + noise))
    slope = tl.where(spread > least, slope, 0.0)
    if SHARED:
        slope *= tl.load(share + place, inside, 0.0)
    curve = slope * (covariance / tl.maximum(spread, least))
    rest = slope * fixed_average - average * curve
    store_vector(result, place, voxels, slope * by_size, curve * by_size, rest * by_size, inside)


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
    place, inside = own_places(voxels, BLOCK)
    slope, curve, rest = _three_windows(sums, place, width, voxels, inside, RADIUS)
    rise = tl.load(fixed + place, inside, 0.0) * slope - tl.load(moving + place, inside, 0.0) * curve - rest
    tl.store(result + place, rise, mask=inside)
