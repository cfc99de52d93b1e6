"""Entropy of scores in one pass; the twin of `solvers.entropy`."""

from __future__ import annotations

import math

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def entropies(scores: Tensor, sharpness: float) -> Tensor:
    """Entropy (Z, Y, X), nats, of softmax(sharpness * scores (K, Z, Y, X)), shares below 1e-6 raised to it."""
    from .loops import entropy

    count, depth, *plane = scores.shape
    result = empty((depth, *plane))
    s, e = arrays(scores, result)
    real = s.dtype.type
    uniform = real(math.log(count))
    flat = s.reshape(count, depth, -1), real(sharpness), uniform, e.reshape(depth, -1)
    in_slabs(entropy.entropies, result.shape, *flat)
    return result
