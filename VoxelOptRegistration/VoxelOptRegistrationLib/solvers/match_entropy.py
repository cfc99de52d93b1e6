"""The entropy map that is reported: how uncertain each voxel's match remains after registration, by any method."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..options import Border, EntropyScale
from .candidates import candidate_displacements, similarity_scores
from .driver import Level, warped_level
from .entropy import displacement_entropy


class MatchOptions(Protocol):
    """What the entropy map needs to know of a solver's options; see `VoxelOptOptions`."""

    @property
    def border(self) -> Border: ...
    @property
    def map_sharpness(self) -> float: ...


def match_entropy(fixed: Level, moving: Level, displacement: Tensor, options: MatchOptions) -> Tensor:
    """Entropy (Z, Y, X) in [0, 1] over one voxel's 27 neighbours of the match that `displacement` (3, Z, Y, X), voxels,
    leaves; untrusted voxels have no signal, 1.
    """
    candidates = candidate_displacements(1, fixed.features.device)
    moved = warped_level(moving, displacement, options.border)
    scores = similarity_scores(fixed.features, moved.features, candidates, options.border, fixed.trust, moved.trust)
    return displacement_entropy(scores, options.map_sharpness, EntropyScale.CANDIDATES)
