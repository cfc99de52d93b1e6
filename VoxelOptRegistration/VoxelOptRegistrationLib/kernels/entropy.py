"""Entropy of scores in one pass; the twin of `solvers.entropy`."""

from __future__ import annotations

from torch import Tensor

from .runtime import arrays, in_slabs


def entropies(scores: Tensor, sharpness: float) -> Tensor:
    """Entropy (Z, Y, X), nats, of softmax(sharpness * scores (K, Z, Y, X)), shares below 1e-6 raised to it."""
    from .loops import entropy

    count, depth, *plane = scores.shape
    result = scores.new_empty((depth, *plane))
    s, e = arrays(scores, result)
    in_slabs(
        entropy.entropies, result.shape, s.reshape(count, depth, -1), s.dtype.type(sharpness), e.reshape(depth, -1)
    )
    return result
