"""What makes a displacement field smooth, as numbers that can be differentiated: 0 for a field that is constant.

Displacements are (3, Z, Y, X) or, in batches, (..., 3, Z, Y, X); each axis counts by its mean over all of its
differences and components, an axis of one voxel not at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_WEIGHT = 1e-6
_AXES = (-3, -2, -1)


def diffusion(displacement: Tensor) -> Tensor:
    """Sum over axes of the mean squared forward difference (ConvexAdam, section II; VoxelMorph takes a third of it)."""
    return _total([_difference(displacement, axis).square() for axis in _AXES], displacement)


def bending(displacement: Tensor) -> Tensor:
    """Bending energy: mean squared second differences, mixed ones twice (Rueckert et al., IEEE TMI 1999)."""
    terms = []
    for axis in _AXES:
        first = _difference(displacement, axis)
        terms.append(_difference(first, axis).square())
        terms += [2.0 * _difference(first, other).square() for other in _AXES if other > axis]
    return _total(terms, displacement)


def spatially_varying(displacement: Tensor, weights: Tensor) -> Tensor:
    """`diffusion` with a weight per voxel, weights (..., Z, Y, X), on the differences that end there (Chen et al.,
    2025, spatially varying regularisation; counting a third of it)."""
    terms = []
    for axis in _AXES:
        ends = weights.narrow(axis, 1, weights.shape[axis] - 1).unsqueeze(-4)
        terms.append(ends * _difference(displacement, axis).square())
    return _total(terms, displacement)


def beta_hyperprior(weights: Tensor, strength: float) -> Tensor:
    """- log density of Beta(1 + strength, 1) up to a constant, mean over voxels; weights in (0, 1], rising to 1."""
    return -strength * weights.clamp_min(_LEAST_WEIGHT).log().mean()


def normal_hyperprior(weights: Tensor, strength: float) -> Tensor:
    """strength (weights - 1)^2, mean over voxels; strength is 1 / sigma^2."""
    return strength * (weights - 1.0).square().mean()


def _difference(values: Tensor, axis: int) -> Tensor:
    size = values.shape[axis] - 1
    if size < 1:
        return values.narrow(axis, 0, 0)
    return values.narrow(axis, 1, size) - values.narrow(axis, 0, size)


def _total(terms: list[Tensor], like: Tensor) -> Tensor:
    total = torch.zeros((), dtype=like.dtype, device=like.device)
    for term in terms:
        if term.numel() > 0:
            total = total + term.mean()
    return total
