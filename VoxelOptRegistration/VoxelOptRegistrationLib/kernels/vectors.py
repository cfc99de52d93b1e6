"""Steps with momentum and their longest vectors in one pass; twins of what `refinement.composed_steps` does."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs, written


def longest(vectors: Tensor) -> float:
    """Length of the longest vector of (3, Z, Y, X)."""
    from .loops import vectors as loops

    squares = empty((vectors.shape[1],))
    in_slabs(loops.largest_squares, vectors.shape[1:], *arrays(vectors, squares))
    return float(squares.max()) ** 0.5


def go_on(speed: Tensor, momentum: float, update: Tensor, share: float) -> float:
    """speed = momentum speed + share update in place, both (3, Z, Y, X); returns the length of its longest vector."""
    from .loops import vectors as loops

    squares = empty((speed.shape[1],))
    step, into, result = *arrays(update), *written(speed, squares)
    in_slabs(loops.go_on, speed.shape[1:], step, np.float32(share), np.float32(momentum), into, result)
    return float(squares.max()) ** 0.5
