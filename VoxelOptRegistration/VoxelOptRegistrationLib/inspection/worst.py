"""The single worst voxels of a registration, for jumping to them: folds, long displacements, uncertain matches."""

from __future__ import annotations

from typing import Any

import numpy as np

from .statistics import inner_region

COUNT = 5
APART_MM = 20.0
TIED = 100
DEPTH_MM = 5.0
_ROWS = 32


def worst_voxels(
    jacobian: np.ndarray,
    entropy: np.ndarray,
    lengths_mm: np.ndarray,
    body: np.ndarray,
    spacing_mm: tuple[float, float, float],
) -> dict[str, list[dict[str, Any]]]:
    """{"jacobian", "displacement", "entropy": [{"index": [x, y, z], "value"}, ...]}, the worst first.

    All arrays (Z, Y, X), spacing (x, y, z). jacobian: the smallest determinants, in the body; where a voxel outside
    folds, in the whole volume without its border. displacement: the longest in the body, mm. entropy: the highest, at
    least 5 mm below the surface of the body where it is as thick. At most five each, 20 mm apart; of equal ones the one
    with the worst surroundings.
    """
    spacing = np.array(spacing_mm[::-1])
    inner = np.zeros(body.shape, dtype=bool)
    inner[inner_region(body.shape)] = True
    folding = bool((jacobian[inner & ~body] <= 0).any())
    deep = _below_surface(body, _voxels(DEPTH_MM, spacing))
    return {
        "jacobian": _extremes(-jacobian, inner if folding else inner & body, spacing, sign=-1.0),
        "displacement": _extremes(lengths_mm, body, spacing),
        "entropy": _extremes(entropy, deep if deep.any() else body, spacing),
    }


def _extremes(values: np.ndarray, mask: np.ndarray, spacing_zyx: np.ndarray, sign: float = 1.0) -> list[dict[str, Any]]:
    """The highest of `values` in `mask`; reported times `sign`."""
    left = np.where(mask & np.isfinite(values), values, -np.inf).astype(np.float32, copy=False)
    reach = np.maximum(1, np.ceil(APART_MM / spacing_zyx).astype(int))
    floor = float(left[np.isfinite(left)].min(initial=np.inf))
    shaded = np.where(np.isfinite(left), left, np.float32(floor))
    found: list[dict[str, Any]] = []
    while len(found) < COUNT and np.isfinite(highest := left.max(initial=-np.inf)):
        tied = np.flatnonzero(left == highest)
        tied = tied[np.linspace(0, tied.size - 1, min(TIED, tied.size)).round().astype(int)]
        candidates = np.stack(np.unravel_index(tied, left.shape), axis=-1)
        place = max(candidates, key=lambda index: _surroundings(shaded, index, spacing_zyx))
        found.append({"index": [int(k) for k in place[::-1]], "value": sign * float(values[tuple(place)])})
        box = tuple(
            slice(max(0, k - r), min(size, k + r + 1)) for k, r, size in zip(place, reach, left.shape, strict=True)
        )
        offsets = np.ogrid[box]
        apart = sum(((o - k) * mm) ** 2 for o, k, mm in zip(offsets, place, spacing_zyx, strict=True))
        left[box][apart < APART_MM**2] = -np.inf
    return found


def _below_surface(body: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """The voxels of `body` that have it `reach` voxels to all sides; beyond the volume there is none."""
    for axis, steps in enumerate(reach):
        result = np.empty_like(body)
        # In pieces along another axis: the sums take many times the memory of the body.
        across = 1 if axis == 0 else 0
        for start in range(0, body.shape[across], _ROWS):
            piece = (slice(None),) * across + (slice(start, start + _ROWS),)
            result[piece] = _run_of(body[piece], axis, int(steps))
        body = result
    return body


def _run_of(body: np.ndarray, axis: int, steps: int) -> np.ndarray:
    """The voxels of `body` that have it `steps` voxels to both sides along `axis`."""
    width = 2 * steps + 1
    padding = [(0, 0)] * 3
    padding[axis] = (steps + 1, steps)
    sums = np.cumsum(np.pad(body, padding), axis=axis, dtype=np.int32)
    ahead = sums.take(range(width, sums.shape[axis]), axis)
    behind = sums.take(range(sums.shape[axis] - width), axis)
    return (ahead - behind) == width


def _voxels(length_mm: float, spacing_zyx: np.ndarray) -> np.ndarray:
    """The length in voxels along each axis, at least one."""
    return np.maximum(1, np.round(length_mm / spacing_zyx).astype(int))


def _surroundings(values: np.ndarray, index: np.ndarray, spacing_zyx: np.ndarray) -> float:
    """Sum of `values` over about a centimetre around `index`."""
    reach = _voxels(DEPTH_MM, spacing_zyx)
    box = tuple(slice(max(0, k - r), k + r + 1) for k, r in zip(index, reach, strict=True))
    return float(values[box].sum(dtype=np.float64))
