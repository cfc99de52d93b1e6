"""The evidence that is reported: how certain and how good each voxel's match is after registration, by any method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..fields.algebra import compose
from ..options import Border, EntropyScale
from .candidates import candidate_displacements
from .driver import Level, warped_level
from .scoring import scores_and_entropy
from .solution import Evidence


class MatchOptions(Protocol):
    """What the evidence needs to know of a solver's options; see `VoxelOptOptions`."""

    @property
    def border(self) -> Border: ...
    @property
    def map_sharpness(self) -> float: ...


def match_evidence(
    fixed: Level, moving: Level, displacement: Tensor, options: MatchOptions, disagreement: Tensor | None = None
) -> Evidence:
    """The evidence over one voxel's 27 neighbours of the match that `displacement` (3, Z, Y, X), voxels, leaves.

    Untrusted voxels have no signal: their entropy is 1 and their dissimilarity NaN. disagreement: see `Evidence`.
    """
    candidates = candidate_displacements(1, fixed.features.device)
    moved = warped_level(moving, displacement, options.border)
    scores, entropy = scores_and_entropy(
        fixed, moved, candidates, options.border, options.map_sharpness, EntropyScale.CANDIDATES
    )
    dissimilarity = -scores[0]  # the null displacement is the first candidate
    for trust in (fixed.trust, moved.trust):
        if trust is not None:
            dissimilarity = dissimilarity.masked_fill(~trust, torch.nan)
    return Evidence(entropy, dissimilarity, disagreement)


def evidence_of(
    fixed: Level, moving: Level, options: MatchOptions, disagreement: Tensor | None = None
) -> Callable[[Tensor], Evidence]:
    """`match_evidence` as a function of the displacement."""
    return lambda displacement: match_evidence(fixed, moving, displacement, options, disagreement)


def round_trip(forward: Tensor, backward: Tensor) -> Tensor:
    """How far from the start one ends who goes there and back, (Z, Y, X), voxels, of fields (3, Z, Y, X)."""
    return compose(backward, forward).square_().sum(dim=0).sqrt_()
