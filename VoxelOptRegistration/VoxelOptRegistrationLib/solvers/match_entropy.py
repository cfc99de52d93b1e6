"""The entropy map that is reported: how uncertain each voxel's match remains after registration, by any method."""

from __future__ import annotations

from torch import Tensor

from ..options import EntropyScale, VoxelOptOptions
from .candidates import candidate_displacements, similarity_scores
from .driver import Level, warped_level
from .entropy import displacement_entropy


def match_entropy(fixed: Level, moving: Level, displacement: Tensor, options: VoxelOptOptions) -> Tensor:
    """Entropy (Z, Y, X) in [0, 1] over one voxel's 27 neighbours of the match that `displacement` (3, Z, Y, X), voxels,
    leaves; untrusted voxels have no signal, 1.
    """
    candidates = candidate_displacements(1, fixed.features.device)
    moved = warped_level(moving, displacement, options.border)
    scores = similarity_scores(fixed.features, moved.features, candidates, options.border, fixed.trust, moved.trust)
    return displacement_entropy(scores, options.map_sharpness, EntropyScale.CANDIDATES)
