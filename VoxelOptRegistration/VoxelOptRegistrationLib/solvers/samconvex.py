"""SAMConvex (Li et al., MICCAI 2023): coupled convex optimisation on a pyramid of correlations, on any features."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..fields.folds import make_invertible
from ..kernels.memory_reuse import reused_memory
from ..options import SAMConvexOptions
from .boxes import box_smooth
from .candidates import candidate_displacements, squared_difference_scores
from .cells import FEWEST_CELLS, averaged_over_cells, cell_sides, displacement_of_voxels
from .coupled_convex import coupled_convex
from .driver import Axes, Level, build_pyramid, coarse_to_fine, known_level, to_finest
from .match_evidence import evidence_of
from .pyramid import PyramidOptions, downsample, plan_levels
from .solution import FORWARD, Matched, Report


@reused_memory()
def solve(
    fixed: Tensor,
    moving: Tensor,
    options: SAMConvexOptions,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
    report: Report = lambda fraction, text, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Matched:
    """Register features: fixed(x) = moving(x + u(x)).

    fixed, moving: (C, Z, Y, X) float32 on one grid, sides from 8; where directions are compared, C from 2. The trusts
    (Z, Y, X), bool, say where an image can be compared. `report` is called after every level; `checkpoint` between
    steps; what it raises ends the solving. Raises `InputError` for features or grids that the options cannot take.

    Where the released program embeds the warped image anew at every level, this one warps its features.
    """
    if options.unit_features and len(fixed) < 2:
        raise InputError(
            "SAMConvex compares directions of feature vectors, and these features have one channel.",
            "Use other features, e.g. --features mind, or samconvex.unit_features=false.",
        )
    shape = (fixed.shape[1], fixed.shape[2], fixed.shape[3])
    sides = cell_sides(shape, options.spacing, options.any_size)
    levels = [known_level(fixed, fixed_trust), known_level(moving, moving_trust)]
    cells = [averaged_over_cells(_unit(level, options), sides, options.any_size) for level in levels]
    z, y, x = cells[0].features.shape[1:]
    plan = plan_levels((z, y, x), options, FEWEST_CELLS)
    shrink = _every_other_mean if options.box_pyramid else downsample
    target, source = [build_pyramid(level.features, level.trust, plan, options, shrink) for level in cells]
    work = sum(level.features[0].numel() for level in target)
    done = 0

    def tell(index: int, field: Tensor) -> None:
        nonlocal done
        done += target[index].features[0].numel()

        def finest() -> Tensor:
            return displacement_of_voxels(
                to_finest(field, index, target, plan, options), sides, shape, options.any_size
            )

        report(done / work, f"Matched level {len(target) - index} of {len(target)}, {FORWARD}.", finest)

    def step(index: int, fixed: Level, moving: Level) -> Tensor:
        return level_step(fixed, moving, options.search_radii[-1 - index], options, checkpoint)

    found = coarse_to_fine(target, source, plan, step, options, options.border, tell)
    displacement = displacement_of_voxels(found, sides, shape, options.any_size)
    displacement = box_smooth(displacement, options.final_passes, options.border)
    if options.invertible:
        displacement = make_invertible(displacement)
    return Matched(displacement, None, evidence_of(levels[0], levels[1], options))


def level_step(
    fixed: Level,
    moving: Level,
    radius: int,
    options: SAMConvexOptions,
    checkpoint: Callable[[], None] = lambda: None,
) -> Tensor:
    """Residual displacement (3, Z, Y, X) of one level, voxels of that level (SAMConvex, section 2)."""
    fixed, moving = _unit(fixed, options), _unit(moving, options)
    candidates = candidate_displacements(radius, fixed.features.device)
    scores = squared_difference_scores(
        fixed.features, moving.features, candidates, options.border, fixed.trust, moving.trust
    ).mul_(0.5)
    checkpoint()
    residual = coupled_convex(
        scores,
        candidates,
        options.couplings,
        options.coupling_unit,
        options.first_passes,
        options.passes,
        options.border,
        checkpoint,
    )
    return box_smooth(residual, options.residual_passes, options.border)


def _unit(level: Level, options: SAMConvexOptions) -> Level:
    if not options.unit_features:
        return level
    return Level(F.normalize(level.features, dim=0), level.trust)


def _every_other_mean(volume: Tensor, axes: Axes, options: PyramidOptions) -> Tensor:
    """3^3 means at every other voxel of the halved axes, of what lies inside the grid."""
    strides = [2 if halve else 1 for halve in axes]
    sides = [3 if halve else 1 for halve in axes]
    padding = [1 if halve else 0 for halve in axes]
    return F.avg_pool3d(volume[None], sides, strides, padding, count_include_pad=False)[0]
