"""The scores of all candidates and how uncertain they leave each voxel, in one pass where a kernel can."""

from __future__ import annotations

from torch import Tensor

from ..kernels.runtime import fused
from ..options import Border, EntropyScale
from .candidates import Offsets, similarity_scores
from .driver import Level
from .entropy import displacement_entropy, scaled_entropy


def scores_and_entropy(
    fixed: Level,
    moving: Level,
    candidates: Tensor,
    border: Border,
    sharpness: float,
    scale: EntropyScale,
    half: bool = False,
    offsets: Offsets | None = None,
) -> tuple[Tensor, Tensor]:
    """`similarity_scores` (K, Z, Y, X) of two levels, and their `displacement_entropy` (Z, Y, X).

    half: scores are kept as float16 where fused kernels serve; entropy is float32. offsets: see `similarity_scores`.
    """
    volumes = (fixed.features, moving.features, candidates, fixed.trust, moving.trust)
    found = fused("matching.scores_and_entropy", *volumes, border, sharpness, half)
    if found is not None:
        return found[0], scaled_entropy(found[1], len(candidates), scale)
    scores = similarity_scores(*volumes[:3], border, fixed.trust, moving.trust, offsets)
    return scores, displacement_entropy(scores, sharpness, scale)
