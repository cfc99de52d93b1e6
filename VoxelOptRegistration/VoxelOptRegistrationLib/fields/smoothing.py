"""Smoothing volumes and fields with Gaussians. Conventions: see the package."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels.runtime import compiles, fused
from ..kernels.smoothing import convolve
from .slabs import by_slabs

_STANDARD_DEVIATIONS = 2.8
"""Where Gaussians are cut off; with their weights normalised."""


def gaussian_smooth(volume: Tensor, sigma: float) -> Tensor:
    """The volume (C, Z, Y, X) convolved with a Gaussian of `sigma` voxels, replicate borders; as it is for 0."""
    if sigma == 0.0:
        return volume
    weights = gaussian_weights(sigma)
    if (fast := fused("smoothing.gaussian", volume, sigma, weights)) is not None:
        return fast
    return convolved(volume, (weights,) * 3)


def convolved(volume: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """The volume (C, Z, Y, X) convolved along each axis with its `weights` at 0, 1, 2, ... voxels to both sides,
    replicate borders.
    """
    if compiles(volume):
        return convolve(volume, weights)
    return by_slabs(lambda part: _separable(part, weights), (volume,), len(weights[0]) - 1)


def gaussian_weights(sigma: float) -> list[float]:
    """Weights at 0, 1, 2, ... voxels; both sides together sum to 1. Never fewer than two."""
    radius = max(1, math.ceil(_STANDARD_DEVIATIONS * sigma))
    half = [math.exp(-0.5 * (i / sigma) * (i / sigma)) for i in range(radius + 1)]
    total = half[0] + 2.0 * sum(half[1:])
    return [weight / total for weight in half]


def _separable(volume: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    for axis, half in zip((-3, -2, -1), weights, strict=True):
        radius, size = len(half) - 1, volume.shape[axis]
        pad = [0] * 6
        pad[2 * (-1 - axis)] = pad[2 * (-1 - axis) + 1] = radius
        padded = F.pad(volume, pad, mode="replicate")
        volume = padded.narrow(axis, radius, size) * half[0]
        for i, weight in enumerate(half[1:], 1):
            pair = torch.add(padded.narrow(axis, radius - i, size), padded.narrow(axis, radius + i, size))
            volume.add_(pair, alpha=weight)
    return volume
