"""From level to level of a pyramid with low-pass, all axes at once; the twins of `solvers.pyramid`."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, kernel, launch
from .places import coordinates, held, own_places
from .trilinear import trilinear

_BLOCK = 256


def halve(volume: Tensor, axes: tuple[bool, bool, bool]) -> Tensor:
    """volume (C, Z, Y, X) low-passed by 1 3 3 1 at every other voxel of the axes asked for, replicate borders."""
    volume = volume.contiguous()
    channels, *sides = volume.shape
    result = volume.new_empty(
        (channels, *[(n + 1) // 2 if halved else n for n, halved in zip(sides, axes, strict=True)])
    )
    programs, block = blocks(result, _BLOCK)
    _, _, rows, columns = result.shape
    launch(
        _halve,
        (programs, channels),
        *(volume, result, *sides, volume[0].numel(), rows, columns, result[0].numel()),
        **dict(zip(("HALVE_Z", "HALVE_Y", "HALVE_X"), axes, strict=True)),
        BLOCK=block,
    )
    return result


def double(displacement: Tensor, shape: tuple[int, int, int], axes: tuple[bool, bool, bool]) -> Tensor:
    """displacement (3, Z, Y, X) on `shape`, where `axes` have about twice as many voxels, in voxels there."""
    displacement = displacement.contiguous()
    _, *sides = displacement.shape
    result = displacement.new_empty((3, *shape))
    programs, block = blocks(result, _BLOCK)
    launch(
        _double,
        (programs,),
        *(displacement, result, *sides, displacement[0].numel(), *shape[1:], result[0].numel()),
        **dict(zip(("DOUBLE_Z", "DOUBLE_Y", "DOUBLE_X"), axes, strict=True)),
        BLOCK=block,
    )
    return result


@triton.jit
def _tap(index: tl.tensor, size: tl.tensor, tap: tl.constexpr, HALVED: tl.constexpr) -> tl.tensor:
    """The fine voxel that tap `tap` of the coarse voxel `index` stands on, and its weight."""
    if HALVED:
        fine = held(2 * index + (tap - 1), size)
        weight = 0.375 if tap == 1 or tap == 2 else 0.125
    else:
        fine = index
        weight = 1.0
    return fine, weight


@kernel
def _halve(
    volume: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    voxels: tl.tensor,
    HALVE_Z: tl.constexpr,
    HALVE_Y: tl.constexpr,
    HALVE_X: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Programs over blocks of coarse voxels, and channels. stride: fine voxels; rows, columns, voxels: coarse ones."""
    place, inside = own_places(voxels, BLOCK)
    channel = tl.program_id(1).to(tl.int64)
    volume += channel * stride
    result += channel * voxels
    z, y, x = coordinates(place, rows, columns)
    x0, x1 = tl.maximum(2 * x - 1, 0), 2 * x
    x2, x3 = tl.minimum(2 * x + 1, width - 1), tl.minimum(2 * x + 2, width - 1)
    total = tl.zeros([BLOCK], tl.float32)
    for i in tl.static_range(4 if HALVE_Z else 1):
        fine_z, weight_z = _tap(z, depth, i, HALVE_Z)
        for j in tl.static_range(4 if HALVE_Y else 1):
            fine_y, weight_y = _tap(y, height, j, HALVE_Y)
            row = volume + (fine_z * height + fine_y) * width
            if HALVE_X:
                outer = tl.load(row + x0, inside, 0.0).to(tl.float32) + tl.load(row + x3, inside, 0.0)
                inner = tl.load(row + x1, inside, 0.0).to(tl.float32) + tl.load(row + x2, inside, 0.0)
                value = 0.125 * outer + 0.375 * inner
            else:
                value = tl.load(row + x, inside, 0.0).to(tl.float32)
            total += (weight_z * weight_y) * value
    tl.store(result + place, total, mask=inside)


@triton.jit
def _between(index: tl.tensor, size: tl.tensor, DOUBLED: tl.constexpr) -> tl.tensor:
    """The coarse voxels on either side of the fine voxel `index`, and their weights."""
    if DOUBLED:
        low = (index + 1) // 2 - 1
        share = tl.where(index % 2 == 0, 0.75, 0.25)
        first, second = tl.maximum(low, 0), tl.minimum(low + 1, size - 1)
    else:
        first, second = index, index
        share = index * 0.0
    return first, second, 1.0 - share, share


@kernel
def _double(
    coarse: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    voxels: tl.tensor,
    DOUBLE_Z: tl.constexpr,
    DOUBLE_Y: tl.constexpr,
    DOUBLE_X: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """depth, height, width, stride: of the coarse grid; rows, columns, voxels: of the fine one."""
    place, inside = own_places(voxels, BLOCK)
    z, y, x = coordinates(place, rows, columns)
    z0, z1, wz0, wz1 = _between(z, depth, DOUBLE_Z)
    y0, y1, wy0, wy1 = _between(y, height, DOUBLE_Y)
    x0, x1, wx0, wx1 = _between(x, width, DOUBLE_X)
    result += place
    for axis in tl.static_range(3):
        value = trilinear(coarse, z0, z1, wz0, wz1, y0, y1, wy0, wy1, x0, x1, wx0, wx1, height, width, inside)
        if (axis == 0 and DOUBLE_Z) or (axis == 1 and DOUBLE_Y) or (axis == 2 and DOUBLE_X):
            value *= 2.0
        tl.store(result, value, mask=inside)
        coarse += stride
        result += voxels
