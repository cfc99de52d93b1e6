"""Feature pyramids that halve only the axes that can be halved, and the displacement's way back up.

Exact scale: with low-pass (binomial 1-3-3-1 per halved axis, replicate borders) coarse voxel j stands at fine
coordinate 2 j + 0.5, whatever the size, so displacements double exactly. Without it, the released halving: trilinear
resampling with aligned corners, whose true ratio is (N_fine - 1) / (N_coarse - 1).
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..kernels.halving import halve
from ..kernels.runtime import compiles, fused

Shape = tuple[int, int, int]
MINIMUM_SIDE = 8
_COARSEST_SIDE = 4


class PyramidOptions(Protocol):
    """What a pyramid needs to know of a solver's options; see `VoxelOptOptions`."""

    @property
    def levels(self) -> int: ...
    @property
    def any_size(self) -> bool: ...
    @property
    def low_pass(self) -> bool: ...
    @property
    def exact_scale(self) -> bool: ...


def plan_levels(shape: Shape, options: PyramidOptions, least: int = MINIMUM_SIDE) -> list[tuple[bool, bool, bool]]:
    """Which axes are halved from level l to l + 1, finest first; at most `options.levels` - 1 entries.

    An axis is halved while its coarse side stays at least 4 voxels and no other axis is left more than twice as
    long: the thin axis of a slab waits until the others have come down to its length. Raises `InputError` where a side
    is shorter than `least`, or cannot be halved that often by options that want all axes halved.
    """
    if not options.any_size:
        step = 2 ** (options.levels - 1)
        if any(n % step or n // step < 2 for n in shape):
            raise InputError(
                f"The released pyramid of {options.levels} levels cannot take the grid {shape}.",
                f"Use sides divisible by {step}, fewer solver.levels, or solver.any_size=true.",
            )
        return [(True, True, True)] * (options.levels - 1)
    if min(shape) < least:
        raise InputError(f"The grid {shape} is too small.", f"Every side needs at least {least} voxels.")
    plan: list[tuple[bool, bool, bool]] = []
    while len(plan) < options.levels - 1:
        longest = max(shape)
        axes = tuple((n + 1) // 2 >= _COARSEST_SIDE and 2 * n > longest for n in shape)
        if not any(axes):
            break
        plan.append((axes[0], axes[1], axes[2]))
        shape = coarse_shape(shape, plan[-1], options)
    return plan


def coarse_shape(shape: Shape, axes: tuple[bool, bool, bool], options: PyramidOptions) -> Shape:
    """Sides of the next coarser level."""
    up = 1 if options.low_pass else 0
    z, y, x = ((n + up) // 2 if halve else n for n, halve in zip(shape, axes, strict=True))
    return z, y, x


def downsample(volume: Tensor, axes: tuple[bool, bool, bool], options: PyramidOptions) -> Tensor:
    """volume (C, Z, Y, X) one level coarser along `axes`."""
    if not options.low_pass:
        shape = coarse_shape((volume.shape[1], volume.shape[2], volume.shape[3]), axes, options)
        return F.interpolate(volume[None], size=shape, mode="trilinear", align_corners=True)[0]
    if (fast := fused("pyramid.halve", volume, axes)) is not None:
        return fast
    if compiles(volume):
        return halve(volume, axes)
    for axis, halved in enumerate(axes, start=1):
        if halved:
            volume = _binomial_half(volume, axis)
    return volume


def _binomial_half(volume: Tensor, axis: int) -> Tensor:
    size = volume.shape[axis]
    index = torch.arange((size + 1) // 2, device=volume.device) * 2
    taps = [volume.index_select(axis, (index + shift).clamp(0, size - 1)) for shift in (-1, 0, 1, 2)]
    return (taps[0] + taps[3]).mul_(0.125).add_(taps[1] + taps[2], alpha=0.375)


def upsample_displacement(
    displacement: Tensor, shape: Shape, axes: tuple[bool, bool, bool], options: PyramidOptions
) -> Tensor:
    """displacement (3, Z, Y, X) one level finer, on `shape`, in voxels of that finer level."""
    if options.low_pass and (fast := fused("pyramid.double", displacement, shape, axes)) is not None:
        return fast
    if not options.low_pass:
        fine = F.interpolate(displacement[None], size=shape, mode="trilinear", align_corners=True)[0]
        ratios = [
            _aligned_ratio(displacement.shape[a + 1], shape[a]) if options.exact_scale else (2.0 if axes[a] else 1.0)
            for a in range(3)
        ]
    else:
        factors = [2 if halve else 1 for halve in axes]
        fine = F.interpolate(displacement[None], scale_factor=factors, mode="trilinear", align_corners=False)[0]
        fine = fine[:, : shape[0], : shape[1], : shape[2]]
        ratios = [float(f) for f in factors]
    scaled = torch.empty_like(fine, memory_format=torch.contiguous_format)
    for axis, ratio in enumerate(ratios):  # As numbers: a tensor of them would have to be copied to the device.
        torch.mul(fine[axis], ratio, out=scaled[axis])
    return scaled


def _aligned_ratio(coarse: int, fine: int) -> float:
    return (fine - 1) / (coarse - 1) if coarse > 1 else 1.0
