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
    """The index of the neighbourhood, about a centimetre wide and inside the body, where `values` peak."""
    inside = axes.orient(body)
    sizes = zip(inside.shape, axes.spacing_mm, strict=True)
    block = [max(1, min(n, round(NEIGHBOURHOOD_MM / mm))) for n, mm in sizes]
    share = _block_means(inside.astype(np.float32), block)
    means = _block_means(np.where(inside, axes.orient(values), 0).astype(np.float32), block)
    mean = np.where(share > 0.9 * share.max(), means / np.maximum(share, 1e-6), -np.inf)
    best = np.unravel_index(int(np.argmax(mean)), mean.shape)
    s, p, ell = (int(k * b + b // 2) for k, b in zip(best, block, strict=True))
    return s, p, ell


def _block_means(values: np.ndarray, block: list[int]) -> np.ndarray:
    for axis, size in enumerate(block):
        edges = np.arange(0, values.shape[axis] - size + 1, size)
        values = np.add.reduceat(values.take(range(edges[-1] + size), axis), edges, axis=axis) / size
    return values


def most_deformed(axes: AnatomicalAxes, jacobian: np.ndarray, body: np.ndarray) -> tuple[str, Index]:
    """The place with most folds, or without any, with the strongest change of volume."""
    folds = find_folds(jacobian)
    if folds.any():
        inside = body if (folds & body).any() else np.ones_like(body)
        return "Where the deformation folds", peak(axes, folds.astype(np.float32), inside)
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
