"""Where a program's voxels stand in a volume (Z, Y, X), and vectors that are three volumes one after the other."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def own_places(voxels: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """The voxels of this program, numbered along the volume, and which of them there are."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    return place, place < voxels


@triton.jit
def coordinates(place: tl.tensor, height: tl.tensor, width: tl.tensor) -> tl.tensor:
    """z, y and x of voxels `place`."""
    line = place // width
    return line // height, line % height, place % width


@triton.jit
def held(index: tl.tensor, size: tl.tensor) -> tl.tensor:
    """`index`, inside an axis of `size`: what lies before or behind counts as the end."""
    return tl.minimum(tl.maximum(index, 0), size - 1)


@triton.jit
def load_vector(vectors: tl.tensor, place: tl.tensor, voxels: tl.tensor, inside: tl.tensor) -> tl.tensor:
    """The three components of `vectors` (3, Z, Y, X) at voxels `place`; zero where not `inside`."""
    along_y = vectors + voxels
    along_x = along_y + voxels
    z = tl.load(vectors + place, mask=inside, other=0.0)
    y = tl.load(along_y + place, mask=inside, other=0.0)
    x = tl.load(along_x + place, mask=inside, other=0.0)
    return z, y, x


@triton.jit
def store_vector(
    vectors: tl.tensor,
    place: tl.tensor,
    voxels: tl.tensor,
    z: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    inside: tl.tensor,
) -> None:
    """Write the three components of `vectors` (3, Z, Y, X) at voxels `place`."""
    tl.store(vectors + place, z, mask=inside)
    vectors += voxels
    tl.store(vectors + place, y, mask=inside)
    vectors += voxels
    tl.store(vectors + place, x, mask=inside)
