"""VoxelOpt: discrete optimisation over 27-neighbour cost volumes with entropy-adaptive message passing (arXiv 2506.19975)."""

from __future__ import annotations

from torch import Tensor

from ..fields.algebra import exponential
from ..options import VoxelOptOptions
from .candidates import candidate_displacements, similarity_scores
from .coupling import best_displacement
from .driver import Level, build_pyramid, coarse_to_fine
from .entropy import displacement_entropy
from .message_passing import entropy_filter
from .pyramid import plan_levels


def level_step(fixed: Level, moving: Level, options: VoxelOptOptions) -> Tensor:
    """Residual displacement (3, Z, Y, X) of one level, voxels of that level."""
    candidates = candidate_displacements(options.search_radius, fixed.features.device)
    scores = similarity_scores(fixed.features, moving.features, candidates, options.border, fixed.trust, moving.trust)
    entropy = displacement_entropy(scores, options.sharpness, options.entropy_scale)
    messages = entropy_filter(entropy, options.sigma_low, options.sigma_high, options.border, options.smoothing)
    messages.smooth_(scores, options.prefilter_passes)
    smooth = messages.smooth_(best_displacement(scores, candidates, options.ties), options.passes)
    for coupling in options.couplings:
        best = best_displacement(scores, candidates, options.ties, smooth, coupling)
        smooth = messages.smooth_(best, options.passes)
    return exponential(smooth, options.squarings, options.border)
