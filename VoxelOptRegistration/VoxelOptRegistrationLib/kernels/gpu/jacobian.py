"""Jacobian determinants in one pass; the twins of `fields.jacobian`. Sides are at least 2."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from .differences import gradient
from .launching import blocks, kernel, launch
from .places import coordinates, own_places

_BLOCK = 256


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """det(I + du/dx) of (3, Z, Y, X) by central differences, (Z, Y, X)."""
    return _determinants(_central, displacement, 0.0, LOG=False)


def log_determinant(displacement: Tensor, least: float) -> Tensor:
    """The logarithm of that; determinants below `least` count as `least`."""
    return _determinants(_central, displacement, least, LOG=True)


def smallest_cell_determinant(displacement: Tensor) -> Tensor:
    """The smallest determinant at the corners of every voxel's cells, (Z, Y, X), of (3, Z, Y, X)."""
    return _determinants(_smallest, displacement)


def _determinants(determinant: Any, displacement: Tensor, *numbers: float, **constants: bool) -> Tensor:
    displacement = displacement.contiguous()
    result = displacement.new_empty(displacement.shape[1:])
    programs, block = blocks(displacement, _BLOCK)
    sizes = (*result.shape, result.numel())
    launch(determinant, (programs,), displacement, result, *sizes, *numbers, **constants, BLOCK=block)
    return result


@triton.jit
def _determinant(
    zz: tl.tensor,
    zy: tl.tensor,
    zx: tl.tensor,
    yz: tl.tensor,
    yy: tl.tensor,
    yx: tl.tensor,
    xz: tl.tensor,
    xy: tl.tensor,
    xx: tl.tensor,
) -> tl.tensor:
    """det(I + m); each letter pair: which component, along which axis."""
    zz, yy, xx = zz + 1.0, yy + 1.0, xx + 1.0
    return zz * (yy * xx - yx * xy) - zy * (yz * xx - yx * xz) + zx * (yz * xy - yy * xz)


@kernel
def _central(
    displacement: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    least: tl.tensor,
    LOG: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    along_y = displacement + voxels
    along_x = along_y + voxels
    zz, zy, zx = gradient(displacement, place, depth, height, width, inside)
    yz, yy, yx = gradient(along_y, place, depth, height, width, inside)
    xz, xy, xx = gradient(along_x, place, depth, height, width, inside)
    determinant = _determinant(zz, zy, zx, yz, yy, yx, xz, xy, xx)
    if LOG:
        determinant = tl.log(tl.maximum(determinant, least))
    tl.store(result + place, determinant, mask=inside)


@triton.jit
def _sided(
    values: tl.tensor, here: tl.tensor, index: tl.tensor, size: tl.tensor, step: tl.tensor, inside: tl.tensor
) -> tl.tensor:
    """Forward and backward differences of `values`, pointers to every voxel, whose values are `here`; at the two ends
    the only one there is.
    """
    last, first = index == size - 1, index == 0
    forward = tl.load(values + tl.where(last, 0, step), inside, 0.0) - here
    backward = here - tl.load(values - tl.where(first, 0, step), inside, 0.0)
    return tl.where(last, backward, forward), tl.where(first, forward, backward)


@triton.jit
def _sided_differences(
    values: tl.tensor, place: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor, inside: tl.tensor
) -> tl.tensor:
    """Of `values` (Z, Y, X) along z, y and x at voxels `place`: forward, backward, forward, ..."""
    z, y, x = coordinates(place, height, width)
    values += place
    here = tl.load(values, inside, 0.0).to(tl.float32)
    z0, z1 = _sided(values, here, z, depth, height * width, inside)
    y0, y1 = _sided(values, here, y, height, width, inside)
    x0, x1 = _sided(values, here, x, width, 1, inside)
    return z0, z1, y0, y1, x0, x1


@kernel
def _smallest(
    displacement: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    second = displacement + voxels
    third = second + voxels
    zz0, zz1, zy0, zy1, zx0, zx1 = _sided_differences(displacement, place, depth, height, width, inside)
    yz0, yz1, yy0, yy1, yx0, yx1 = _sided_differences(second, place, depth, height, width, inside)
    xz0, xz1, xy0, xy1, xx0, xx1 = _sided_differences(third, place, depth, height, width, inside)
    smallest = _determinant(zz0, zy0, zx0, yz0, yy0, yx0, xz0, xy0, xx0)
    smallest = tl.minimum(smallest, _determinant(zz1, zy0, zx0, yz1, yy0, yx0, xz1, xy0, xx0))
    smallest = tl.minimum(smallest, _determinant(zz0, zy1, zx0, yz0, yy1, yx0, xz0, xy1, xx0))
    smallest = tl.minimum(smallest, _determinant(zz1, zy1, zx0, yz1, yy1, yx0, xz1, xy1, xx0))
    smallest = tl.minimum(smallest, _determinant(zz0, zy0, zx1, yz0, yy0, yx1, xz0, xy0, xx1))
    smallest = tl.minimum(smallest, _determinant(zz1, zy0, zx1, yz1, yy0, yx1, xz1, xy0, xx1))
    smallest = tl.minimum(smallest, _determinant(zz0, zy1, zx1, yz0, yy1, yx1, xz0, xy1, xx1))
    smallest = tl.minimum(smallest, _determinant(zz1, zy1, zx1, yz1, yy1, yx1, xz1, xy1, xx1))
    tl.store(result + place, smallest, mask=inside)
