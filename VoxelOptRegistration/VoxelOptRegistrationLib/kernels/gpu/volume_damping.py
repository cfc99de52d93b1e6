"""Evening out changes of volume in two passes; the twin of `fields.volume_damping`. Sides are at least 2."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from .differences import gradient
from .jacobian import log_determinant
from .launching import blocks, kernel, launch
from .places import load_vector, own_places, store_vector

_BLOCK = 256


def damp_volume_changes(displacement: Tensor, rate: float, least: float) -> Tensor:
    """displacement (3, Z, Y, X) + rate times the gradient of the logarithm of its Jacobian determinant, at least
    `least`.
    """
    displacement = displacement.contiguous()
    values = log_determinant(displacement, least)
    result = displacement.new_empty(displacement.shape)
    programs, block = blocks(displacement, _BLOCK)
    numbers = (*values.shape, values.numel(), float(rate))
    launch(_moved_along_gradient, (programs,), displacement, values, result, *numbers, BLOCK=block)
    return result


@kernel
def _moved_along_gradient(
    displacement: tl.tensor,
    values: tl.tensor,
    result: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    rate: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    along_z, along_y, along_x = gradient(values, place, depth, height, width, inside)
    z, y, x = load_vector(displacement, place, voxels, inside)
    z, y, x = z + rate * along_z, y + rate * along_y, x + rate * along_x
    store_vector(result, place, voxels, z, y, x, inside)
