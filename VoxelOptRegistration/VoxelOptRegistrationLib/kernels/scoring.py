"""Scores of candidate displacements in one pass; the twins of `solvers.candidates`."""

from __future__ import annotations

from torch import Tensor

from ..options import Border
from .memory_reuse import empty
from .runtime import arrays, in_slabs, written


def score_candidates(
    fixed: Tensor, moving: Tensor, candidates: Tensor, border: Border, weight: float, squared: bool
) -> Tensor:
    """Scores (K, Z, Y, X): minus `weight` times the channels' sum of |moving(x + d) - fixed(x)|, or of its square."""
    from .loops import scoring

    scores = empty((len(candidates), *fixed.shape[1:]))
    f, m, d, s = arrays(fixed, moving, candidates.long(), scores)
    replicate = border is Border.REPLICATE
    in_slabs(scoring.score_candidates, fixed.shape[1:], f, m, d, s.dtype.type(weight), squared, replicate, s)
    return scores


def neutralise(scores: Tensor, candidates: Tensor, known: Tensor, trust: Tensor) -> None:
    """In place: scores of candidates that lead where `trust` (Z, Y, X) is 0 become the mean of the voxel's others, and
    all are multiplied by `known` (Z, Y, X).
    """
    from .loops import scoring

    k, t, d, s = *arrays(known, trust, candidates.long()), *written(scores)
    in_slabs(scoring.neutralise, trust.shape, k, t, d, s)
