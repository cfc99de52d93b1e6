"""How many bytes a VoxelOpt solve has to move at least: what fused passes read and write, each number once.

Divided by the bandwidth that a device reaches in copying, that is the time below which no arrangement of these passes
gets. Gathers count as if every number were read once, so the real floor lies somewhat above.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import torch

from ..options import VoxelOptOptions

_FIELD = 3 * 4
"""Bytes of a displacement per voxel; a map of one float32 takes 4."""
_MAP = 4
_LEAST_SQUARINGS = 4


def solve_bytes(
    levels: Sequence[Sequence[int]],
    channels: int,
    options: VoxelOptOptions,
    feature_bytes: int = 4,
    score_bytes: int = 4,
) -> dict[str, int]:
    """Bytes of one solve by stage: pyramid, warp, scores, prefilter, coupling, filter, exponential, composition,
    subvoxel, consistency, folds.

    levels: sides (Z, Y, X) of every level, finest first; channels of the features; bytes of one of their numbers and
    of one score. Automatic squarings count as the four that are always done; trusts and mending folds as nothing.
    """
    sizes = [math.prod(sides) for sides in levels]
    ways = 2 if options.inverse_consistency else 1
    feature = channels * feature_bytes
    total: Counter[str] = Counter()
    for fine, coarse in zip(sizes, sizes[1:], strict=False):
        total["pyramid"] += 2 * feature * (fine + coarse)
        total["composition"] += ways * (_FIELD * (coarse + fine) + 3 * _FIELD * fine)
    for index, voxels in enumerate(sizes):
        if index < len(sizes) - 1:
            total["warp"] += ways * voxels * (2 * feature + _FIELD)
        for stage, per_voxel in _level(feature, score_bytes, options).items():
            total[stage] += ways * voxels * per_voxel
    rounds = ways * options.subvoxel_rounds * sizes[0]
    total["subvoxel"] = rounds * (2 * feature + _FIELD + _subvoxel(feature, options) + 3 * _FIELD)
    if options.inverse_consistency:
        total["consistency"] = sizes[0] * (options.consistency_sweeps * 2 * 3 * _FIELD + 2 * _FIELD + _MAP)
    if options.invertible:
        total["folds"] = sizes[0] * _FIELD
    return dict(total)


def descriptor_bytes(voxels: int) -> int:
    """Bytes of the MIND-SSC of one image: read for the average over the volume, and again to be described."""
    return voxels * (2 * _MAP + 12 * _MAP)


def _level(feature: int, score_bytes: int, options: VoxelOptOptions) -> dict[str, int]:
    """Bytes per voxel of one `level_step`."""
    scores = (2 * options.search_radius + 1) ** 3 * score_bytes
    steps = len(options.couplings)
    return {
        "scores": 2 * feature + scores + _MAP,
        "prefilter": 2 * _MAP + options.prefilter_passes * (2 * scores + _MAP),
        "coupling": (1 + steps) * (scores + _FIELD) + steps * _FIELD,
        "filter": (1 + steps) * options.passes * (2 * _FIELD + _MAP),
        "exponential": _exponential(options),
    }


def _exponential(options: VoxelOptOptions) -> int:
    """The largest displacement is looked for where squarings are automatic; scaling joins the first composition."""
    search = _FIELD if options.squarings == 0 else 0
    return search + (options.squarings or _LEAST_SQUARINGS) * 2 * _FIELD


def _subvoxel(feature: int, options: VoxelOptOptions) -> int:
    """Bytes per voxel of one `subvoxel_step`, which reads seven scores anew for every coupling."""
    scores = 7 * 4
    steps = len(options.couplings)
    return (
        (2 * feature + scores + _MAP)
        + (2 * _MAP + options.prefilter_passes * (2 * scores + _MAP))
        + steps * (scores + 2 * _FIELD + options.passes * (2 * _FIELD + _MAP))
        + _exponential(options)
    )


def copy_bandwidth(device: torch.device | str, mebibytes: int = 512, repeats: int = 5) -> float:
    """Bytes per second, read and written, that `device` reaches in copying `mebibytes`: the best of `repeats`."""
    source = torch.ones(mebibytes << 18, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    best = math.inf
    for _ in range(repeats + 1):
        _synchronise(source.device)
        start = time.perf_counter()
        target.copy_(source)
        _synchronise(source.device)
        best = min(best, time.perf_counter() - start)
    return 2.0 * source.numel() * source.element_size() / best


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
