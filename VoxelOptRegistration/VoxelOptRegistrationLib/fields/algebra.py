"""Composition, exponential and inverse of displacement fields. Conventions: see the package."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..kernels.composition import add_pulled
from ..kernels.runtime import compiles, fused, reads_freely
from ..options import Border
from .sampling import warp


def compose(outer: Tensor, inner: Tensor, border: Border = Border.REPLICATE) -> Tensor:
    """Displacement of x -> (id + outer)((id + inner)(x)), that is inner(x) + outer(x + inner(x)); all (3, Z, Y, X)."""
    return _add_pulled(outer, inner, 1.0, 1.0, border)


def _add_pulled(outer: Tensor, inner: Tensor, own: float, pulled: float, border: Border = Border.REPLICATE) -> Tensor:
    """own * inner(x) + pulled * outer(x + inner(x))."""
    if (added := fused("warping.add_pulled", outer, inner, own, pulled, border)) is not None:
        return added
    if border is Border.REPLICATE and outer.shape == inner.shape and compiles(outer, inner):
        return add_pulled(outer, inner, own, pulled)
    found = warp(outer, inner, border)
    return inner + found if own == pulled == 1.0 else own * inner + pulled * found


def largest_component(field: Tensor) -> float:
    """The largest magnitude of any component of a field, in its unit; reading it off a device makes the host wait."""
    low, high = field.aminmax()
    return max(float(high), -float(low))


def exponential(
    velocity: Tensor, squarings: int = 0, border: Border = Border.REPLICATE, bound: float | None = None
) -> Tensor:
    """Displacement (3, Z, Y, X) of the flow of a stationary `velocity` (3, Z, Y, X) for unit time, voxels.

    Scaling and squaring (Arsigny et al., MICCAI 2006). `squarings` 0 takes as many as bring the first step below 1/16
    voxel, at least 4. bound: what no component exceeds, voxels, where that is known; it is taken for the largest one
    where reading that off the device would make the host wait.
    """
    if squarings == 0:
        largest = largest_component(velocity) if bound is None or reads_freely(velocity) else bound
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
        new_forward = _add_pulled(backward, forward, 0.5, -0.5)
        new_backward = _add_pulled(forward, backward, 0.5, -0.5)
        forward, backward = new_forward, new_backward
    return forward, backward
