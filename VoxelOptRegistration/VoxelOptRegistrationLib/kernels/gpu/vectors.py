"""Steps with momentum and their longest vectors in one pass; twins of what `refinement.composed_steps` does."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, launch
from .places import own_places

_BLOCK = 1024


def longest(vectors: Tensor) -> float:
    """Length of the longest vector of (3, Z, Y, X)."""
    vectors = vectors.contiguous()
    return _stepped(vectors, vectors, 1.0, 0.0, False)


def go_on(speed: Tensor, momentum: float, update: Tensor, share: float) -> float:
    """speed = momentum speed + share update in place, both (3, Z, Y, X); returns the length of its longest vector.
    Raises ValueError where `speed` is not contiguous.
    """
    if not speed.is_contiguous():
        raise ValueError(f"a tensor of strides {speed.stride()} cannot be written in place")
    return _stepped(speed, update.contiguous(), momentum, share, True)


def _stepped(speed: Tensor, update: Tensor, momentum: float, share: float, write: bool) -> float:
    programs, block = blocks(speed, _BLOCK)
    squares = speed.new_empty(programs)
    numbers = (speed[0].numel(), float(momentum), float(share))
    launch(_step, (programs,), speed, update, squares, *numbers, WRITE=write, BLOCK=block)
    return float(squares.max()) ** 0.5


@triton.jit
def _step(
    speed: tl.tensor,
    update: tl.tensor,
    squares: tl.tensor,
    voxels: tl.tensor,
    momentum: tl.tensor,
    share: tl.tensor,
    WRITE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """squares: of each program's longest vector."""
    place, inside = own_places(voxels, BLOCK)
    speed += place
    update += place
    square = tl.zeros([BLOCK], tl.float32)
    for _ in tl.static_range(3):
        value = tl.load(speed, inside, 0.0)
        if WRITE:
            value = momentum * value + share * tl.load(update, inside, 0.0)
            tl.store(speed, value, mask=inside)
        square += value * value
        speed += voxels
        update += voxels
    tl.store(squares + tl.program_id(0), tl.max(square, axis=0))
