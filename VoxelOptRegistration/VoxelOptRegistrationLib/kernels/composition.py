"""Composition of displacements in one pass; the twin of `fields.algebra.compose`."""

from __future__ import annotations

from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def add_pulled(outer: Tensor, inner: Tensor, own: float = 1.0, pulled: float = 1.0) -> Tensor:
    """own * inner(x) + pulled * outer(x + inner(x)), all (3, Z, Y, X) on one grid, voxels, replicate borders."""
    from .loops import composition

    result = empty(inner.shape)
    o, i, r = arrays(outer, inner, result)
    real = r.dtype.type
    in_slabs(composition.add_pulled, inner.shape[1:], o, i, real(own), real(pulled), r)
    return result
