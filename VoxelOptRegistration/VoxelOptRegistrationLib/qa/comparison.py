"""Fixed and moving volume in one picture, as arrays: checkerboard, swipe and difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAME_WINDOW = 0.25


@dataclass(frozen=True)
class Window:
    """Intensities shown from black (low) to white (high)."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def window_of(values: np.ndarray, shown: tuple[float, float] | None = None) -> Window:
    """The window that a volume is `shown` with, (low, high); without a usable one its 1 and 99.5 percentiles."""
    if shown is not None and shown[1] > shown[0]:
        return Window(*map(float, shown))
    step = max(1, round((values.size / 200_000) ** (1 / 3)))
    known = values[::step, ::step, ::step]
    low, high = (float(v) for v in np.percentile(known[np.isfinite(known)], (1, 99.5)))
    return Window(low, high if high > low else low + 1.0)


def in_window_of(values: np.ndarray, own: Window, other: Window) -> np.ndarray:
    """`values`, float32, so that they look in window `other` as they do in their `own`.

    Windows that differ by less than a quarter are taken for the same one: then intensities mean the same in both
    volumes, and are left alone.
    """
    limit = SAME_WINDOW * other.width
    if abs(own.low - other.low) < limit and abs(own.high - other.high) < limit:
        return values.astype(np.float32)
    scale = other.width / own.width
    return (values.astype(np.float32) - np.float32(own.low)) * np.float32(scale) + np.float32(other.low)


def checkerboard(one: np.ndarray, other: np.ndarray, tile: tuple[int, int, int]) -> np.ndarray:
    """Alternating blocks of both, (k, j, i); `tile` is their size in voxels along (k, j, i), the first is `one`'s."""
    index = np.ogrid[tuple(slice(0, size) for size in one.shape)]
    odd = sum(axis // size for axis, size in zip(index, tile, strict=True)) % 2 == 1
    return np.where(odd, other, one)


def tile_voxels(tile_mm: float, spacing_kji: tuple[float, float, float]) -> tuple[int, int, int]:
    """Voxels along (k, j, i) that make up about `tile_mm`, at least one."""
    k, j, i = (max(1, round(tile_mm / spacing)) for spacing in spacing_kji)
    return k, j, i


def swipe(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """`other` in a corner that takes `share`, 0 to 1, of the way across, `one` beyond it, (k, j, i).

    The border is a plane along k and askew between i and j, so that it crosses slices of all three orientations.
    """
    _, size_j, size_i = one.shape
    j, i = np.ogrid[:size_j, :size_i]
    across = ((i + 0.5) / size_i + (j + 0.5) / size_j) / 2
    return np.where(across[None] < share, other, one)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`one` minus `other`, float32; 0 where either is not finite."""
    return np.nan_to_num(one.astype(np.float32) - other, nan=0.0, posinf=0.0, neginf=0.0)
