"""Along gradients; the twin of what `refinement.forces` does, and differences for others. Sides are at least 2."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, kernel, launch
from .places import coordinates, own_places, store_vector

_BLOCK = 256


def along_gradients(weights: Tensor, maps: Tensor) -> Tensor:
    """Sum over channels of `weights` times the gradient of `maps`, both (C, Z, Y, X): (3, Z, Y, X)."""
    weights, maps = weights.contiguous(), maps.contiguous()
    channels, *sides = maps.shape
    result = maps.new_empty((3, *sides))
    programs, block = blocks(maps, _BLOCK)
    launch(_along_gradients, (programs,), weights, maps, result, channels, *sides, maps[0].numel(), BLOCK=block)
    return result


@triton.jit
def central(values: tl.tensor, index: tl.tensor, size: tl.tensor, step: tl.tensor, inside: tl.tensor) -> tl.tensor:
    """Central difference of `values`, pointers to every voxel, along an axis where they are number `index` of `size`
    and `step` apart; one-sided at both ends.
    """
    ahead = tl.where(index < size - 1, step, 0)
    behind = tl.where(index > 0, step, 0)
    difference = tl.load(values + ahead, inside, 0.0).to(tl.float32) - tl.load(values - behind, inside, 0.0)
    return tl.where(ahead == behind, 0.5 * difference, difference)


@triton.jit
def gradient(
    values: tl.tensor,
    place: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    inside: tl.tensor,
) -> tl.tensor:
    """Of `values` (Z, Y, X) along z, y and x at voxels `place`."""
    z, y, x = coordinates(place, height, width)
    along_z = central(values + place, z, depth, height * width, inside)
    along_y = central(values + place, y, height, width, inside)
    along_x = central(values + place, x, width, 1, inside)
    return along_z, along_y, along_x


@kernel
def _along_gradients(
    weights: tl.tensor,
    maps: tl.tensor,
    result: tl.tensor,
    channels: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    z = tl.zeros([BLOCK], tl.float32)
    y, x = z, z
    for _ in range(channels):
        weight = tl.load(weights + place, mask=inside, other=0.0)
        along_z, along_y, along_x = gradient(maps, place, depth, height, width, inside)
        z, y, x = z + weight * along_z, y + weight * along_y, x + weight * along_x
        weights += voxels
        maps += voxels
    store_vector(result, place, voxels, z, y, x, inside)
