"""Loops of `kernels.scoring`.

In a block of rows (`blocks`) a candidate is one offset for all voxels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled
from .blocks import BLOCK, copy_rows
from .rows import clear, multiply, scale


@compiled
def _add_difference(total: Any, moving: Any, fixed: Any, squared: bool) -> None:
    if squared:
        for x in range(len(total)):
            total[x] += (moving[x] - fixed[x]) * (moving[x] - fixed[x])
    else:
        for x in range(len(total)):
            total[x] += abs(moving[x] - fixed[x])


@compiled
def _add_two_differences(total: Any, moving: Any, fixed: Any, more_moving: Any, more_fixed: Any, squared: bool) -> None:
    if squared:
        for x in range(len(total)):
            first, second = moving[x] - fixed[x], more_moving[x] - more_fixed[x]
            total[x] += first * first + second * second
    else:
        for x in range(len(total)):
            total[x] += abs(moving[x] - fixed[x]) + abs(more_moving[x] - more_fixed[x])


@compiled
def score_candidates(
    fixed: Any,
    moving: Any,
    candidates: Any,
    weight: Any,
    squared: bool,
    replicate: bool,
    scores: Any,
    start: int,
    stop: int,
) -> None:
    """scores (K, Z, Y, X) = minus weight times the channels' differences; candidates (K, 3), integers."""
    channels, depth, height, width = fixed.shape
    margin = 0
    for k in range(len(candidates)):
        for axis in range(3):
            margin = max(margin, abs(candidates[k, axis]))
    length = width + 2 * margin
    rows = max(1, min(height, BLOCK // length))
    f = np.zeros((channels, rows * length), np.float32)
    m = np.zeros((channels, 2 * margin + 1, (rows + 2 * margin) * length), np.float32)
    total = np.empty(rows * length, np.float32)
    for z in range(start, stop):
        for first in range(0, height, rows):
            count = min(rows, height - first)
            for c in range(channels):
                copy_rows(fixed[c, z], first, count, margin, True, True, f[c])
                for i in range(2 * margin + 1):
                    source = z + i - margin
                    there = 0 <= source < depth
                    plane = moving[c, max(0, min(source, depth - 1))]
                    copy_rows(plane, first - margin, count + 2 * margin, margin, replicate, there, m[c, i])
            used = count * length - 2 * margin
            for k in range(len(candidates)):
                offset = (candidates[k, 1] + margin) * length + candidates[k, 2] + margin
                clear(total)
                i, end, last = candidates[k, 0] + margin, offset + used, margin + used
                sums = total[:used]
                for c in range(0, channels - 1, 2):
                    first_moving, second_moving = m[c, i, offset:end], m[c + 1, i, offset:end]
                    first_fixed, second_fixed = f[c, margin:last], f[c + 1, margin:last]
                    _add_two_differences(sums, first_moving, first_fixed, second_moving, second_fixed, squared)
                if channels % 2 == 1:
                    _add_difference(sums, m[channels - 1, i, offset:end], f[channels - 1, margin:last], squared)
                for y in range(count):
                    scale(total[y * length : y * length + width], -weight, scores[k, z, first + y])


@compiled
def _add_known(scores: Any, trust: Any, total: Any, count: Any) -> None:
    for x in range(len(total)):
        total[x] += scores[x] * trust[x]
        count[x] += trust[x]


@compiled
def _towards_mean(scores: Any, trust: Any, mean: Any) -> None:
    for x in range(len(scores)):
        scores[x] = mean[x] + trust[x] * (scores[x] - mean[x])


@compiled
def neutralise(known: Any, trust: Any, candidates: Any, scores: Any, start: int, stop: int) -> None:
    """scores (K, Z, Y, X) of candidates that lead where `trust` (Z, Y, X) is 0 become the mean of the voxel's others;
    then all are times `known`.
    """
    depth, height, width = trust.shape
    nothing = np.zeros(width, np.float32)
    total, count = np.empty(width, np.float32), np.empty(width, np.float32)
    for z in range(start, stop):
        for y in range(height):
            clear(total)
            clear(count)
            for step in range(2):
                for k in range(len(candidates)):
                    dx = candidates[k, 2]
                    sz, sy = z + candidates[k, 0], y + candidates[k, 1]
                    there = trust[sz, sy] if 0 <= sz < depth and 0 <= sy < height else nothing
                    low = min(max(0, -dx), width)
                    high = max(min(width, width - dx), low)
                    score = scores[k, z, y]
                    if step == 0:
                        if high > low:
                            _add_known(score[low:high], there[low + dx : high + dx], total[low:high], count[low:high])
                        continue
                    if high > low:
                        _towards_mean(score[low:high], there[low + dx : high + dx], total[low:high])
                    _towards_mean(score[:low], nothing[:low], total[:low])
                    _towards_mean(score[high:], nothing[high:], total[high:])
                    multiply(score, known[z, y])
                if step == 0:
                    for x in range(width):
                        total[x] /= max(count[x], np.float32(1))
