"""Fields along gradients in one pass; twins of what `refinement.forces` and `fields.volume_damping` do."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def along_gradients(weights: Tensor, maps: Tensor) -> Tensor:
    """Sum over channels of `weights` times the gradient of `maps`, both (C, Z, Y, X): (3, Z, Y, X)."""
    from .loops import differences

    result = empty((3, *maps.shape[1:]))
    in_slabs(differences.along_gradients, maps.shape[1:], *arrays(weights, maps, result))
    return result


def moved_along_gradient(displacement: Tensor, values: Tensor, rate: float) -> Tensor:
    """displacement (3, Z, Y, X) + rate times the gradient of `values` (Z, Y, X)."""
    from .loops import differences

    result = empty(displacement.shape)
    field, slope, moved = arrays(displacement.flatten(2), values.flatten(1), result.flatten(2))
    width = values.shape[2]
    in_slabs(differences.moved_along_gradient, values.shape, field, slope, width, np.float32(rate), moved)
    return result
