"""Composition, exponential and inverse of displacement fields. Conventions: see the package."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..options import Border
from .sampling import warp


def compose(outer: Tensor, inner: Tensor, border: Border = Border.REPLICATE) -> Tensor:
    """Displacement of x -> (id + outer)((id + inner)(x)), that is inner(x) + outer(x + inner(x)); all (3, Z, Y, X)."""
    return inner + warp(outer, inner, border)


def exponential(velocity: Tensor, squarings: int = 0, border: Border = Border.REPLICATE) -> Tensor:
    """Displacement (3, Z, Y, X) of the flow of a stationary `velocity` (3, Z, Y, X) for unit time, voxels.

    Scaling and squaring (Arsigny et al., MICCAI 2006). `squarings` 0 takes as many as bring the first step below 1/16
    voxel, at least 4.
    """
    if squarings == 0:
        largest = float(velocity.abs().max())
        if largest == 0.0:
            return torch.zeros_like(velocity)
        squarings = max(4, math.ceil(math.log2(largest * 16.0)))
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement, border)
    return displacement


def inverse(displacement: Tensor, guess: Tensor | None = None, iterations: int = 30, tolerance: float = 1e-3) -> Tensor:
    """Field v with u(x) + v(x + u(x)) = 0 on the grid of `displacement` u (3, Z, Y, X), voxels.

    Fixed-point iteration v <- v - (v + u(x + v)) (Chen et al., Medical Physics 2008), halving the step where it stops
    shrinking, which keeps it convergent where u stretches by more than one. Stops once the largest residual is below
    `tolerance` voxels.
    """
    v = torch.zeros_like(displacement) if guess is None else guess.clone()
    step = torch.ones_like(displacement[:1])
    previous = torch.full_like(step, math.inf)
    for _ in range(iterations):
        residual = v + warp(displacement, v)
        size = residual.norm(dim=0, keepdim=True)
        if float(size.max()) < tolerance:
            break
        step = torch.where(size > 0.9 * previous, (step * 0.5).clamp_min(0.1), step)
        previous = size
        v = v - step * residual
    return v


def make_inverse_consistent(forward: Tensor, backward: Tensor, sweeps: int = 15) -> tuple[Tensor, Tensor]:
    """Two displacements (3, Z, Y, X), fixed -> moving and back, averaged until each inverts the other.

    f <- (f - g(x + f)) / 2 and g <- (g - f(x + g)) / 2, both from the old values (ConvexAdam, Siebert et al., IEEE
    TMI 2024).
    """
    for _ in range(sweeps):
        new_forward = 0.5 * (forward - warp(backward, forward))
        new_backward = 0.5 * (backward - warp(forward, backward))
        forward, backward = new_forward, new_backward
    return forward, backward
