"""ConvexAdam's discrete stage (Siebert et al., IEEE TMI 2024): one dense search on coarse cells, both ways."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..fields.algebra import compose, make_inverse_consistent
from ..fields.folds import make_invertible
from ..fields.sampling import identity_grid, sample
from ..kernels.memory_reuse import reused_memory
from ..options import Border, ConvexAdamOptions
from .boxes import box_smooth
from .candidates import candidate_displacements, squared_difference_scores
from .cells import averaged_over_cells, cell_sides, displacement_of_voxels, volume_of_voxels
from .coupled_convex import coupled_convex
from .driver import Level, known_level
from .match_evidence import evidence_of
from .solution import BACKWARD, FORWARD, Matched, Report

_SMOOTHED_SCORES = 16
"""Candidates whose scores are smoothed at once: the memory that this takes beside the scores themselves."""


@reused_memory()
def solve(
    fixed: Tensor,
    moving: Tensor,
    options: ConvexAdamOptions,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
    report: Report = lambda fraction, text, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Matched:
    """Register features: fixed(x) = moving(x + u(x)).

    fixed, moving: (C, Z, Y, X) float32 on one grid, sides from 8. The trusts (Z, Y, X), bool, say where an image can
    be compared. `report` is called after every direction; `checkpoint` between steps; what it raises ends the solving.
    Raises `InputError` for grids that the options cannot take.
    """
    shape = (fixed.shape[1], fixed.shape[2], fixed.shape[3])
    sides = cell_sides(shape, options.spacing, options.any_size)
    fixed_level, moving_level = known_level(fixed, fixed_trust), known_level(moving, moving_trust)
    fixed_cells = averaged_over_cells(fixed_level, sides, options.any_size)
    moving_cells = averaged_over_cells(moving_level, sides, options.any_size)

    def to_voxels(field: Tensor) -> Tensor:
        if options.inverse_consistency or options.scaled_one_way:
            return displacement_of_voxels(field, sides, shape, options.any_size)
        return volume_of_voxels(field, sides, shape, options.any_size)

    backward: Tensor | None = None
    if options.inverse_consistency:
        backward = discrete_step(moving_cells, fixed_cells, options, checkpoint)
        report(0.5, f"Searched the candidates of every cell, {BACKWARD}.", None)
    forward = discrete_step(fixed_cells, moving_cells, options, checkpoint)
    report(1.0, f"Searched the candidates of every cell, {FORWARD}.", lambda: to_voxels(forward))
    found = forward
    disagreement: Tensor | None = None
    if backward is not None:
        disagreement = to_voxels(compose(backward, forward)).norm(dim=0)
        average = make_inverse_consistent if options.exact_consistency else _stretched_consistency
        found, backward = average(forward, backward, options.consistency_sweeps)
        backward = to_voxels(backward)
    displacement = to_voxels(found)
    if options.invertible:
        displacement = make_invertible(displacement)
    return Matched(displacement, backward, evidence_of(fixed_level, moving_level, options, disagreement))


def discrete_step(
    fixed: Level, moving: Level, options: ConvexAdamOptions, checkpoint: Callable[[], None] = lambda: None
) -> Tensor:
    """Displacement (3, Z, Y, X), cells, of features on the grid of cells (ConvexAdam, section II)."""
    candidates = candidate_displacements(options.search_width, fixed.features.device)
    scores = squared_difference_scores(
        fixed.features, moving.features, candidates, options.border, fixed.trust, moving.trust
    )
    for few in scores.split(_SMOOTHED_SCORES):
        checkpoint()
        few.copy_(box_smooth(few, options.score_passes, options.border))
    return coupled_convex(
        scores,
        candidates,
        options.couplings,
        options.coupling_unit,
        options.passes,
        options.passes,
        options.border,
        checkpoint,
    )


def _stretched_consistency(forward: Tensor, backward: Tensor, sweeps: int) -> tuple[Tensor, Tensor]:
    """`make_inverse_consistent` as released: N / (N - 1) times as far, zeros outside."""
    for _ in range(sweeps):
        new_forward = 0.5 * (forward - _stretched_warp(backward, forward))
        new_backward = 0.5 * (backward - _stretched_warp(forward, backward))
        forward, backward = new_forward, new_backward
    return forward, backward


def _stretched_warp(volume: Tensor, displacement: Tensor) -> Tensor:
    z, y, x = displacement.shape[1:]
    points = identity_grid((z, y, x), displacement.device, displacement.dtype)
    for axis, n in enumerate((z, y, x)):
        points[axis] += displacement[axis] * (n / max(n - 1, 1))
    return sample(volume, points, Border.ZERO)
