"""Slices as a radiologist reads them: in the scan's own axes, named and turned by the nearest anatomical ones.

Axial slices are seen from the feet, coronal ones from the front, sagittal ones with the patient facing left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import SimpleITK as sitk

LARGEST_SIDE = 400  # pixels


@dataclass(frozen=True)
class Plane:
    """A slicing direction. axis: the one looked along, in (S, P, L) order; letters: left, right, top, bottom."""

    name: str
    axis: int
    letters: tuple[str, str, str, str]


AXIAL = Plane("axial", 0, ("R", "L", "A", "P"))
CORONAL = Plane("coronal", 1, ("R", "L", "S", "I"))
SAGITTAL = Plane("sagittal", 2, ("A", "P", "S", "I"))
PLANES = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True)
class AnatomicalAxes:
    """How an image's array lies in the patient.

    order: array axis (of Z, Y, X) that runs most nearly along S, P and L; flipped: whether it runs the other way;
    spacing_mm along S, P and L.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, image: sitk.Image) -> AnatomicalAxes:
        """The assignment of axes that fits the image's direction best."""
        direction = np.array(image.GetDirection()).reshape(3, 3)  # columns: index axes; rows: L, P, S
        best = max(permutations(range(3)), key=lambda p: abs(np.prod([direction[row, p[row]] for row in range(3)])))
        index_axes = (best[2], best[1], best[0])  # along S, P, L
        spacing = image.GetSpacing()
        s, p, ell = index_axes
        return cls(
            order=(2 - s, 2 - p, 2 - ell),
            flipped=(bool(direction[2, s] < 0), bool(direction[1, p] < 0), bool(direction[0, ell] < 0)),
            spacing_mm=(spacing[s], spacing[p], spacing[ell]),
        )

    def orient(self, array: np.ndarray) -> np.ndarray:
        """A view of `array` (Z, Y, X) whose axes increase towards S, P and L."""
        turned = np.transpose(array, self.order)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def slice(self, array: np.ndarray, plane: Plane, position: tuple[int, int, int]) -> np.ndarray:
        """The slice of `array` (Z, Y, X) through `position`, an index of the oriented array (S, P, L), as seen."""
        cut = np.take(self.orient(array), position[plane.axis], axis=plane.axis)
        return cut if plane.axis == 0 else cut[::-1]

    def pixel_mm(self, plane: Plane) -> tuple[float, float]:
        """Height and width of a slice's pixel, mm."""
        height, width = (mm for axis, mm in enumerate(self.spacing_mm) if axis != plane.axis)
        return height, width


def square_pixels(cut: np.ndarray, pixel_mm: tuple[float, float], *, smooth: bool = True) -> np.ndarray:
    """`cut` (rows, columns) in square pixels as fine as its finer side, at most 400 a side; linear, or nearest."""
    extent = [n * mm for n, mm in zip(cut.shape, pixel_mm, strict=True)]
    side = max(min(pixel_mm), max(extent) / LARGEST_SIDE)
    for axis in (0, 1):
        count = max(1, round(extent[axis] / side))
        length = cut.shape[axis]
        where = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
        if smooth:
            low = np.minimum(where.astype(int), max(0, length - 2))
            share = (where - low).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
            below, above = np.take(cut, low, axis), np.take(cut, np.minimum(low + 1, length - 1), axis)
            cut = below * (1 - share) + above * share
        else:
            cut = np.take(cut, np.rint(where).astype(int), axis)
    return cut
