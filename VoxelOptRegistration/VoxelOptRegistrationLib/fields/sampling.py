"""Sampling volumes at displaced voxels, trilinearly. Conventions: see the package."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import warping
from ..kernels.runtime import compiles, fused
from ..options import Border
from .slabs import slices_of

_SLAB_VOXELS = 1 << 17


def identity_grid(
    shape: tuple[int, int, int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Voxel coordinates of every voxel, (3, Z, Y, X), channel a along array axis a."""
    axes = [torch.arange(n, dtype=dtype, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def warp(volume: Tensor, displacement: Tensor, border: Border = Border.REPLICATE) -> Tensor:
    """volume (C, Z, Y, X) sampled at x + u(x): (C, Z', Y', X') on the grid of `displacement` (3, Z', Y', X'), voxels.

    Both grids share their origin and voxel size, so they may differ in extent only.
    """
    if torch.is_grad_enabled() and (volume.requires_grad or displacement.requires_grad):
        z, y, x = displacement.shape[1:]
        return sample(volume, identity_grid((z, y, x), displacement.device, displacement.dtype) + displacement, border)
    if (warped := fused("warping.warp", volume, displacement, border)) is not None:
        return warped
    if compiles(volume, displacement):
        return warping.warp(volume, displacement, border)
    result = volume.new_empty((volume.shape[0], *displacement.shape[1:]))
    whole = displacement.device.type != "cpu"
    for start, end in [(0, displacement.shape[1])] if whole else slices_of(displacement.shape, _SLAB_VOXELS):
        result[:, start:end] = _warped_part(volume, displacement[:, start:end], start, border)
    return result


def _warped_part(volume: Tensor, displacement: Tensor, start: int, border: Border) -> Tensor:
    """`warp` for a displacement whose first slice is slice `start` of its grid."""
    dtype = torch.promote_types(displacement.dtype, torch.float32)
    gathers = _gathers(volume)
    points = torch.empty(displacement.shape, dtype=dtype, device=displacement.device)
    for axis, size in enumerate(displacement.shape[1:]):
        first = start if axis == 0 else 0
        index = torch.arange(first, first + size, dtype=dtype, device=points.device)
        index = index.view([-1 if a == axis else 1 for a in range(3)])
        if gathers:
            torch.add(displacement[axis], index, out=points[axis])
        else:
            scale = 2.0 / max(volume.shape[axis + 1] - 1, 1)
            torch.add(index * scale - 1.0, displacement[axis], alpha=scale, out=points[2 - axis])
    return gather_sample(volume, points, border) if gathers else _sample_normalised(volume, points, border)


def sample(volume: Tensor, points: Tensor, border: Border = Border.REPLICATE) -> Tensor:
    """volume (C, Z, Y, X) at voxel coordinates `points` (3, ...spatial): (C, ...spatial), trilinear.

    With `Border.ZERO` a point less than one voxel outside blends towards zero, as if the volume stood in zeros.
    """
    if _gathers(volume):
        return gather_sample(volume, points, border)
    coordinates = torch.stack([_normalised(points[a], volume.shape[a + 1]) for a in (2, 1, 0)])
    return _sample_normalised(volume, coordinates, border)


def _gathers(volume: Tensor) -> bool:
    return volume.device.type == "mps" and not _mps_samples_volumes()


def _sample_normalised(volume: Tensor, coordinates: Tensor, border: Border) -> Tensor:
    """`sample` at coordinates (3, ...spatial) in [-1, 1] from the first to the last voxel, x first."""
    spatial = coordinates.shape[1:]
    grid = coordinates.to(volume.dtype).reshape(3, 1, *_three(spatial)).permute(1, 2, 3, 4, 0)
    padding = "border" if border is Border.REPLICATE else "zeros"
    sampled = F.grid_sample(volume[None], grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return sampled[0].reshape(volume.shape[0], *spatial)


def gather_sample(volume: Tensor, points: Tensor, border: Border = Border.REPLICATE) -> Tensor:
    """The same as `sample` from eight gathers: for devices without a trilinear sampler, and as its twin in tests."""
    sizes = volume.shape[1:]
    base, weight = [], []
    for axis, size in enumerate(sizes):
        p = points[axis]
        if border is Border.REPLICATE:
            p = p.clamp(0, size - 1)
        low = p.floor()
        base.append(low.long())
        weight.append(p - low)
    flat = volume.flatten(1)
    total = torch.zeros((volume.shape[0], *points.shape[1:]), dtype=volume.dtype, device=volume.device)
    for corner in range(8):
        index = torch.zeros_like(base[0])
        factor = torch.ones_like(weight[0])
        for axis, size in enumerate(sizes):
            high = (corner >> axis) & 1
            position = base[axis] + high
            factor = factor * (weight[axis] if high else 1 - weight[axis])
            if border is Border.ZERO:
                factor = factor * ((position >= 0) & (position < size))
            index = index * size + position.clamp(0, size - 1)
        total += flat[:, index] * factor.to(volume.dtype)
    return total


def _normalised(coordinate: Tensor, size: int) -> Tensor:
    """Voxel coordinate to torch's [-1, 1], align_corners=True; an axis of one voxel is sampled at its only one."""
    return coordinate * (2.0 / (size - 1)) - 1.0 if size > 1 else torch.zeros_like(coordinate)


def _three(spatial: torch.Size) -> tuple[int, ...]:
    return (1,) * (3 - len(spatial)) + tuple(spatial) if len(spatial) <= 3 else (1, 1, spatial.numel())


@cache
def _mps_samples_volumes() -> bool:
    """Whether this torch samples volumes on Apple's GPU; it came late and is missing from older releases."""
    try:
        F.grid_sample(
            torch.zeros(1, 1, 2, 2, 2, device="mps"), torch.zeros(1, 1, 1, 1, 3, device="mps"), align_corners=True
        )
    except (NotImplementedError, RuntimeError):
        return False
    return True
