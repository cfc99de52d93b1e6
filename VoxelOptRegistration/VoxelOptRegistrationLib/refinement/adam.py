"""Refinement by gradient descent with Adam: ConvexAdam's second stage (Siebert et al., IEEE TMI 2024), for any method.

The displacement lives on cells of a few voxels, as a parameter that several box means smooth, close to a cubic
B-spline. Its regulariser may be held by local weights that are found together with it (Chen et al., 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features.mind import box_mean
from ..fields.algebra import compose
from ..fields.folds import make_invertible
from ..fields.sampling import identity_grid, sample, warp
from ..options import AdamOptions, Border, Comparison, Hyperprior, Regulariser, Unit
from ..solvers.boxes import box_smooth
from ..solvers.cells import (
    averaged_over_cells,
    cell_sides,
    displacement_of_cells,
    displacement_of_voxels,
    volume_of_voxels,
)
from ..solvers.driver import Level, known_level, warped_level
from ..solvers.pyramid import Shape
from ..solvers.solution import Report
from .descent import Adam
from .refined import Refined
from .regularisers import bending, beta_hyperprior, diffusion, normal_hyperprior, spatially_varying

_DATA_WEIGHT = 12.0
_WEIGHT_RANGE = {Hyperprior.BETA: (1e-6, 1.0), Hyperprior.NORMAL: (1e-6, 5.0)}
_REPORTS = 8
_FULL_SHARE = 0.99
"""A cell is compared where at least this much of what it draws on can be trusted."""


def adam_refine(
    displacement: Tensor,
    fixed: Tensor,
    moving: Tensor,
    options: AdamOptions,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
    report: Report = lambda fraction, text, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Refined:
    """Refine displacement (3, Z, Y, X), voxels: fixed(x) = moving(x + u(x)).

    fixed, moving: features (C, Z, Y, X) float32 on one grid, sides from 8. The trusts (Z, Y, X), bool, say where an
    image can be compared; elsewhere only the regulariser acts. `report` is called now and then, `checkpoint` before
    every step; what they raise ends the refinement. Raises `InputError` for grids that the options cannot take.
    """
    shape = (fixed.shape[1], fixed.shape[2], fixed.shape[3])
    sides = cell_sides(shape, options.spacing, options.any_size)
    source = known_level(moving, moving_trust)
    if options.residual:
        source = warped_level(source, displacement, options.border)
        start = torch.zeros_like(displacement)
    else:
        start = displacement
    match = _Match.of(_cells(known_level(fixed, fixed_trust), sides, options), _cells(source, sides, options), options)
    parameter = displacement_of_cells(start, sides, options.any_size).requires_grad_()
    descents = [Adam(parameter, options.learning_rate, options.epsilon)]
    stiffness: Tensor | None = None
    parameters = [parameter]
    if options.regulariser is Regulariser.SPATIALLY_VARYING:
        stiffness = torch.ones_like(parameter[:1]).requires_grad_()
        parameters.append(stiffness)
        descents.append(Adam(stiffness, options.weight_rate, options.epsilon))

    def on_voxels(field: Tensor) -> Tensor:
        fine = displacement_of_voxels(field.detach(), sides, shape, options.any_size)
        return compose(displacement, fine, options.border) if options.residual else fine

    field = parameter
    for index in range(options.steps):
        checkpoint()
        with torch.enable_grad():
            field = box_smooth(parameter, options.smoothing, options.border)
            weights = None if stiffness is None else box_smooth(stiffness, options.smoothing, Border.REPLICATE)[0]
            loss = match.loss(field) + _penalty(field, weights, options)
            gradients = torch.autograd.grad(loss, parameters)
        for descent, gradient in zip(descents, gradients, strict=True):
            descent.step(gradient)
        if stiffness is not None:
            stiffness.data.clamp_(*_WEIGHT_RANGE[options.hyperprior])
        if (index + 1) % max(1, options.steps // _REPORTS) == 0 or index + 1 == options.steps:
            text = f"Refined, step {index + 1} of {options.steps}."
            report((index + 1) / options.steps, text, partial(on_voxels, field))

    if not options.smooth_field:
        field = parameter
    elif options.last_step:
        field = box_smooth(parameter.detach(), options.smoothing, options.border)
    refined = _averaged(displacement_of_voxels(field.detach(), sides, shape, options.any_size), options)
    if options.residual:
        refined = compose(displacement, refined, options.border)
    if options.invertible:
        refined = make_invertible(refined)
    if stiffness is None:
        return Refined(refined)
    local = box_smooth(stiffness.detach(), options.smoothing, Border.REPLICATE)
    return Refined(refined, volume_of_voxels(local, sides, shape, options.any_size)[0])


def _cells(level: Level, sides: Shape, options: AdamOptions) -> Level:
    """The level of cell means, trusted where all of a cell is: means of parts of cells are of other places."""
    means = averaged_over_cells(level, sides, options.any_size)
    if level.trust is None:
        return means
    share = averaged_over_cells(Level(level.trust[None].to(means.features.dtype), None), sides, options.any_size)
    return Level(means.features, share.features[0] > _FULL_SHARE)


@dataclass(frozen=True)
class _Match:
    """The features to compare, (C, Z, Y, X), and how much each voxel counts, (Z, Y, X) or None for 1."""

    fixed: Tensor
    moving: Tensor
    fixed_share: Tensor | None
    moving_share: Tensor | None
    options: AdamOptions

    @classmethod
    def of(cls, fixed: Level, moving: Level, options: AdamOptions) -> _Match:
        """Interpolating at the voxels themselves rounds; the fixed features take the same error on, so that a perfect
        match has no gradient at all, which Adam would blow up. It has to be the error of the differentiable warp.
        """
        depth, height, width = fixed.features.shape[1:]
        still = identity_grid((depth, height, width), fixed.features.device, fixed.features.dtype)
        rounding = moving.features - sample(moving.features, still, options.border)
        shares = [None if level.trust is None else level.trust.to(rounding.dtype) for level in (fixed, moving)]
        return cls(fixed.features - rounding, moving.features, shares[0], shares[1], options)

    def loss(self, field: Tensor) -> Tensor:
        """The data term at `field` (3, Z, Y, X), cells."""
        warped = warp(self.moving, field, self.options.border)
        if self.options.comparison is Comparison.COSINE:
            difference = F.normalize(warped, dim=0) - F.normalize(self.fixed, dim=0)
            each = 0.5 * difference.square().sum(dim=0)
        else:
            each = _DATA_WEIGHT * (warped - self.fixed).square().mean(dim=0)
        if self.fixed_share is not None:
            each = each * self.fixed_share
        if self.moving_share is not None:
            there = warp(self.moving_share[None], field.detach(), Border.ZERO)[0]
            each = each * (there > _FULL_SHARE)
        return each.mean()


def _penalty(field: Tensor, weights: Tensor | None, options: AdamOptions) -> Tensor:
    """The regulariser of `field` (3, Z, Y, X), cells, and of its local weights (Z, Y, X)."""
    if options.weight_unit is Unit.NORMALISED:
        halves = [2.0 / max(n - 1, 1) for n in field.shape[1:]]
        field = field * torch.tensor(halves, dtype=field.dtype, device=field.device).view(3, 1, 1, 1)
    if weights is None:
        regulariser = bending if options.regulariser is Regulariser.BENDING else diffusion
        return options.weight * regulariser(field)
    hyperprior = beta_hyperprior if options.hyperprior is Hyperprior.BETA else normal_hyperprior
    return options.weight * spatially_varying(field, weights) + hyperprior(weights, options.hyperprior_weight)


def _averaged(displacement: Tensor, options: AdamOptions) -> Tensor:
    for _ in range(3 if options.final_box > 0 else 0):
        displacement = torch.stack([box_mean(component, options.final_box // 2) for component in displacement])
    return displacement
