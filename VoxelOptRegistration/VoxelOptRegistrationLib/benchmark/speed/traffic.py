"""The least memory traffic of a solve: what its passes over the volumes have to read and write.

One way, without the averaging of two. Every pass reads what it needs once and writes what it makes once, float32, and
nothing stays in a cache between two passes; neighbours and the candidates' shifts come for nothing. One filter pass
does all three axes. Passes that share a sweep could beat this.
"""

from __future__ import annotations

from ...options import VoxelOptOptions
from ...solvers.pyramid import Shape, coarse_shape, plan_levels

FLOAT_BYTES = 4
_WEIGHT = 1
"""Volumes that a filter pass reads besides: the entropy, from which its weights follow."""


def solve_bytes(shape: Shape, channels: int, options: VoxelOptOptions) -> int:
    """Bytes that solving features (channels, *shape) moves at least."""
    plan = plan_levels(shape, options)
    total = 0
    for level, axes in enumerate([*plan, None]):
        voxels = shape[0] * shape[1] * shape[2]
        total += voxels * _level_floats(channels, options)
        if axes is not None:
            total += voxels * _from_coarser_floats(channels)
            shape = coarse_shape(shape, axes, options)
            coarse = shape[0] * shape[1] * shape[2]
            total += 2 * channels * (voxels + coarse) + 3 * (coarse + voxels)  # both pyramids; the field's way up
        if level == 0:
            total += voxels * options.subvoxel_rounds * _subvoxel_floats(channels, options)
    return FLOAT_BYTES * total


def _level_floats(channels: int, options: VoxelOptOptions) -> int:
    """Scores with their entropy, pre-filter, best displacements with what smooths them, exponential."""
    candidates = (2 * options.search_radius + 1) ** 3
    scores = 2 * channels + candidates + 1
    prefilter = options.prefilter_passes * (2 * candidates + _WEIGHT)
    best = candidates + 3 + len(options.couplings) * (candidates + 3 + 3)
    smoothing = (1 + len(options.couplings)) * options.passes * (3 + 3 + _WEIGHT)
    return scores + prefilter + best + smoothing + _exponential_floats(options)


def _subvoxel_floats(channels: int, options: VoxelOptOptions) -> int:
    """One sub-voxel round: warping, the scores of the voxel and its six neighbours, coupled steps, composition."""
    around = 7
    scores = 2 * channels + around + 1
    prefilter = options.prefilter_passes * (2 * around + _WEIGHT)
    steps = len(options.couplings) * (around + 3 + 3 + options.passes * (3 + 3 + _WEIGHT))
    return _from_coarser_floats(channels) + scores + prefilter + steps + _exponential_floats(options)


def _from_coarser_floats(channels: int) -> int:
    """Warping the moving features by the field so far, composing the residual inside it."""
    return channels + 3 + channels + 3 + 3 + 3


def _exponential_floats(options: VoxelOptOptions) -> int:
    return max(options.squarings, 4) * (3 + 3)
