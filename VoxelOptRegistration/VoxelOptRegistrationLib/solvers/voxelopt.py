"""VoxelOpt (arXiv 2506.19975): discrete optimisation over 27-neighbour cost volumes, entropy-adaptive messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ..errors import ComputationError
from ..fields.algebra import compose, exponential, make_inverse_consistent
from ..fields.folds import make_invertible
from ..kernels.graphs import kept_graphs
from ..kernels.memory_reuse import reused_memory
from ..kernels.runtime import reads_freely
from ..options import VoxelOptOptions
from .candidates import candidate_displacements, candidate_offsets
from .coupling import best_displacement, longest_component
from .driver import Level, build_pyramid, coarse_to_fine, to_finest, warped_level
from .match_evidence import evidence_of, round_trip
from .message_passing import entropy_filter
from .pyramid import plan_levels
from .scoring import scores_and_entropy
from .solution import BACKWARD, FORWARD, Matched, Report
from .subvoxel import subvoxel_step


@reused_memory()
def solve(
    fixed: Tensor,
    moving: Tensor,
    options: VoxelOptOptions,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
    report: Report = lambda fraction, text, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Matched:
    """Register features: fixed(x) = moving(x + u(x)).

    fixed, moving: (C, Z, Y, X) float32 on one grid, sides from 8. The trusts (Z, Y, X), bool, say where an image can
    be compared. `report` is called after every level; the field so far is None while the way back is solved.
    `checkpoint` is called every few filter passes; what it raises ends the solving. Raises `InputError` for grids
    that the options cannot take, `ComputationError` for a field that is not finite.
    """
    shape = (fixed.shape[1], fixed.shape[2], fixed.shape[3])
    plan = plan_levels(shape, options)
    fixed_levels = build_pyramid(fixed, fixed_trust, plan, options)
    moving_levels = build_pyramid(moving, moving_trust, plan, options)
    work = sum(level.features[0].numel() for level in fixed_levels) * (2 if options.inverse_consistency else 1)
    candidates = candidate_displacements(options.search_radius, fixed.device)
    graphs = kept_graphs() if options.graphs else None
    done = 0

    def step(_: int, target: Level, source: Level) -> Tensor:
        if graphs is None or not graphs.serve(target.features):
            return level_step(target, source, candidates, options, checkpoint)
        checkpoint()
        volumes = (target.features, source.features, target.trust, source.trust, candidates)
        residual = graphs(_step_of_tensors, volumes, options)
        checkpoint()
        return residual

    def tell(level: int, field: Tensor, way: str) -> None:
        nonlocal done
        done += fixed_levels[level].features[0].numel()
        text = f"Matched level {len(fixed_levels) - level} of {len(fixed_levels)}, {way}."
        preview = (lambda: to_finest(field, level, fixed_levels, plan, options)) if way == FORWARD else None
        report(done / work, text, preview)

    def one_way(target: list[Level], source: list[Level], way: str) -> Tensor:
        field = coarse_to_fine(target, source, plan, step, options, options.border, partial(tell, way=way))
        for _ in range(options.subvoxel_rounds):
            moved = warped_level(source[0], field, options.border)
            field = compose(field, subvoxel_step(target[0], moved, options, checkpoint), options.border)
        return _finite(field)

    backward = one_way(moving_levels, fixed_levels, BACKWARD) if options.inverse_consistency else None
    displacement = one_way(fixed_levels, moving_levels, FORWARD)
    disagreement = None
    if backward is not None:
        disagreement = round_trip(displacement, backward)
        displacement, backward = make_inverse_consistent(displacement, backward, options.consistency_sweeps)
    if options.invertible:
        displacement = make_invertible(displacement)
    return Matched(displacement, backward, evidence_of(fixed_levels[0], moving_levels[0], options, disagreement))


def level_step(
    fixed: Level,
    moving: Level,
    candidates: Tensor,
    options: VoxelOptOptions,
    checkpoint: Callable[[], None] = lambda: None,
) -> Tensor:
    """Residual displacement (3, Z, Y, X) of one level, voxels of that level (VoxelOpt, section 3).

    candidates (K, 3): those within `options.search_radius`, on the device of the levels. Nothing is copied there or
    read from there, so that the host need not wait and a GPU's work can be recorded.
    """
    radius = options.search_radius
    how = (options.border, options.sharpness, options.entropy_scale, options.half_scores, candidate_offsets(radius))
    scores, entropy = scores_and_entropy(fixed, moving, candidates, *how)
    checkpoint()
    messages = entropy_filter(entropy, options.sigma_low, options.sigma_high, options.border, options.smoothing)
    scores = messages.smooth_(scores, options.prefilter_passes)
    smooth = messages.smooth_(best_displacement(scores, candidates, options.ties), options.passes)
    for coupling in options.couplings:
        checkpoint()
        best = best_displacement(scores, candidates, options.ties, smooth, coupling)
        smooth = messages.smooth_(best, options.passes)
    del scores, messages
    return exponential(smooth, options.squarings, options.border, longest_component(radius, options.ties))


def _step_of_tensors(
    fixed: Tensor,
    moving: Tensor,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    candidates: Tensor,
    options: VoxelOptOptions,
) -> Tensor:
    return level_step(Level(fixed, fixed_trust), Level(moving, moving_trust), candidates, options)


def _finite(field: Tensor) -> Tensor:
    """The field; reading its largest numbers tells where that is done anyway, and elsewhere this does, once."""
    if not reads_freely(field) and not bool(field.isfinite().all()):
        raise ComputationError(
            "The displacement field is not finite.", "Choose other features, or register on the processor."
        )
    return field
