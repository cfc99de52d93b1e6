"""Loops of `kernels.coupling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled

_BLOCK = 512
"""Voxels whose best energy so far stays in the processor's nearest cache."""


@compiled
def _linear(uz: Any, uy: Any, ux: Any, factors: Any, result: Any) -> None:
    a, b, c, d = factors[0], factors[1], factors[2], factors[3]
    for x in range(len(result)):
        result[x] = a * uz[x] + b * uy[x] + c * ux[x] + d


@compiled
def _keep_better(score: Any, added: Any, number: Any, best: Any, chosen: Any) -> None:
    for x in range(len(score)):
        energy = score[x] + added[x]
        old, index = best[x], chosen[x]
        better = energy > old
        best[x] = energy if better else old
        chosen[x] = number if better else index


@compiled
def choose(scores: Any, smooth: Any, linear: Any, table: Any, result: Any, start: int, stop: int) -> None:
    """result (3, Z, N) = the row of `table` (K, 3) with the largest score (K, Z, N) + linear (K, 4) . (smooth, 1),
    the first of equals.
    """
    count, _, size = scores.shape
    best, added = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    chosen = np.empty(_BLOCK, np.int32)
    for z in range(start, stop):
        for begin in range(0, size, _BLOCK):
            n = min(_BLOCK, size - begin)
            for x in range(n):
                best[x] = -np.float32(np.inf)
                chosen[x] = 0
            end = begin + n
            uz, uy, ux = smooth[0, z, begin:end], smooth[1, z, begin:end], smooth[2, z, begin:end]
            for k in range(count):
                _linear(uz, uy, ux, linear[k], added[:n])
                _keep_better(scores[k, z, begin:end], added[:n], np.int32(k), best[:n], chosen[:n])
            for axis in range(3):
                for x in range(n):
                    result[axis, z, begin + x] = table[chosen[x], axis]


@compiled
def _peak(stay: Any, ahead: Any, behind: Any, smooth: Any, coupling: Any, least: Any, result: Any) -> None:
    for x in range(len(result)):
        slope = (ahead[x] - behind[x]) * np.float32(0.5)
        curvature = np.float32(2) * stay[x] - ahead[x] - behind[x]
        curvature = least if curvature < least else curvature
        reach = np.float32(-2) * stay[x] / curvature
        reach = np.sqrt(np.float32(0) if reach < 0 else (np.float32(1) if reach > 1 else reach))
        peak = (slope + np.float32(2) * coupling * smooth[x]) / (curvature + np.float32(2) * coupling)
        peak = -reach if peak < -reach else peak
        result[x] = reach if peak > reach else peak


@compiled
def find_peaks(scores: Any, smooth: Any, coupling: Any, least: Any, result: Any, start: int, stop: int) -> None:
    """result (3, Z, N) = peaks of the coupled parabolas through scores (7, Z, N): stay, 3 ahead, 3 behind."""
    for z in range(start, stop):
        for axis in range(3):
            _peak(
                scores[0, z],
                scores[1 + axis, z],
                scores[4 + axis, z],
                smooth[axis, z],
                coupling,
                least,
                result[axis, z],
            )
