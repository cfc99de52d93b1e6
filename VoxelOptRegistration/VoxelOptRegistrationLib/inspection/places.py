"""Which places of a registration are worth a look. An index here counts voxels towards S, P and L (`planes`)."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .planes import AnatomicalAxes
from .statistics import find_folds

NEIGHBOURHOOD_MM = 12.0

Index = tuple[int, int, int]


def middle(axes: AnatomicalAxes, body: np.ndarray) -> Index:
    """The index of the body's centre of gravity."""
    oriented = axes.orient(body)
    centre = []
    for axis in range(3):
        weight = oriented.sum(axis=tuple(k for k in range(3) if k != axis), dtype=float)
        centre.append(round(float(np.arange(weight.size) @ weight / weight.sum())))
    return centre[0], centre[1], centre[2]


def peak(axes: AnatomicalAxes, values: np.ndarray, body: np.ndarray) -> Index:
    """Where `values` are highest in the neighbourhood, about a centimetre wide, that has most of them on average.

    Only neighbourhoods inside the body count, and of those only ones below its surface, if there are any.
    """
    inside = axes.orient(body)
    found = np.where(inside, axes.orient(values), 0).astype(np.float32)
    block = _block(axes, inside.shape)
    share = _block_means(inside.astype(np.float32), block)
    full = share > 0.9 * share.max()
    deep = full & _surrounded(full)
    chosen = deep if deep.any() else full
    mean = np.where(chosen, _block_means(found, block) / np.maximum(share, 1e-6), -np.inf)
    return _highest(found, mean, block)


def densest(axes: AnatomicalAxes, marks: np.ndarray) -> Index:
    """One of the True voxels of `marks` in the neighbourhood that has most of them."""
    oriented = axes.orient(marks).astype(np.float32)
    block = _block(axes, oriented.shape)
    means = _block_means(oriented, block)
    if means.max() == 0:  # only in the incomplete neighbourhoods at the volume's far sides
        means, block = np.ones((1, 1, 1)), list(oriented.shape)
    return _highest(oriented, means, block)


def _block(axes: AnatomicalAxes, shape: tuple[int, ...]) -> list[int]:
    return [max(1, min(n, round(NEIGHBOURHOOD_MM / mm))) for n, mm in zip(shape, axes.spacing_mm, strict=True)]


def _surrounded(full: np.ndarray) -> np.ndarray:
    """Whether all six neighbours are `full`; what lies outside the volume counts as full."""
    padded = np.pad(full, 1, constant_values=True)
    core = (slice(1, -1),) * 3
    return np.logical_and.reduce([np.roll(padded, step, axis)[core] for axis in range(3) for step in (-1, 1)])


def _highest(values: np.ndarray, means: np.ndarray, block: list[int]) -> Index:
    best = np.unravel_index(int(np.argmax(means)), means.shape)
    start = [int(k) * b for k, b in zip(best, block, strict=True)]
    part = values[tuple(slice(a, a + b) for a, b in zip(start, block, strict=True))]
    s, p, ell = (a + int(k) for a, k in zip(start, np.unravel_index(int(np.argmax(part)), part.shape), strict=True))
    return s, p, ell


def _block_means(values: np.ndarray, block: list[int]) -> np.ndarray:
    """Means of all whole blocks of `values`, float32."""
    counts = [n // size for n, size in zip(values.shape, block, strict=True)]
    means = values[tuple(slice(count * size) for count, size in zip(counts, block, strict=True))]
    for axis, (count, size) in enumerate(zip(counts, block, strict=True)):
        means = means.reshape(*means.shape[:axis], count, size, *means.shape[axis + 1 :])
        means = means.mean(axis=axis + 1, dtype=np.float32)
    return means


def most_deformed(axes: AnatomicalAxes, jacobian: np.ndarray, body: np.ndarray) -> tuple[str, Index]:
    """The place with most folds, or without any, with the strongest change of volume."""
    folds = find_folds(jacobian)
    if folds.any():
        return "Where the deformation folds", densest(axes, folds & body if (folds & body).any() else folds)
    change = np.abs(np.log(np.maximum(jacobian, 1e-3)))
    return "Where tissue changes its volume most", peak(axes, change, body)


def point(image: sitk.Image, axes: AnatomicalAxes, position: Index) -> tuple[float, float, float]:
    """`position` as a point, LPS mm."""
    index = [0, 0, 0]
    for along, axis, flip in zip(position, axes.order, axes.flipped, strict=True):
        size = image.GetSize()[2 - axis]
        index[2 - axis] = size - 1 - along if flip else along
    x, y, z = image.TransformIndexToPhysicalPoint(index)
    return x, y, z
