"""Results of loops in memory that earlier results had.

The system clears every page of new memory when it is first written to. For volumes that live for one step of many, that
costs about as much as computing them.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_LEAST_BYTES = 1 << 18
"""Less comes from memory that the process keeps anyway."""
_SLACK = 1.3
"""Blocks, spare ones included, to the most of them that were in use at once. With 1, two results in five of a
refinement found none of their size, with this one in ten (brain and liver MR)."""


@contextmanager
def reused_memory() -> Iterator[None]:
    """Within it, in this thread, `empty` gives out again what its results no longer need; nothing is kept after it.

    Together with what is in use, that is at most 1.3 times what was in use at once before.
    """
    if _blocks.get() is not None:
        yield
        return
    blocks = _Blocks()
    token = _blocks.set(blocks)
    try:
        yield
    finally:
        _blocks.reset(token)
        blocks.close()


def empty(shape: Sequence[int]) -> Tensor:
    """A tensor (float32, on the processor) of any content. Its memory is its own as long as anything looks at it."""
    count = math.prod(shape)
    blocks = _blocks.get()
    if blocks is None or 4 * count < _LEAST_BYTES:
        return torch.empty(tuple(shape))
    return blocks.empty(count).view(tuple(shape))


class _Blocks:
    """Blocks of memory in use, counted, and those that are not, the one longest unused first."""

    def __init__(self) -> None:
        self._spare: list[Tensor] = []
        self._returned: deque[Tensor] = deque()
        self._used = self._most = 0
        self._open = True

    def empty(self, count: int) -> Tensor:
        self._collect()
        self._used += count
        self._most = max(self._most, self._used)
        fitting = [index for index, block in enumerate(self._spare) if block.numel() == count]
        block: Tensor | None = self._spare.pop(fitting[-1]) if fitting else None
        kept = sum(spare.numel() for spare in self._spare)
        while self._used + kept > _SLACK * self._most:
            kept -= self._spare.pop(0).numel()
        block = torch.empty(count) if block is None else block
        memory = block.numpy()
        weakref.finalize(memory, self._take_back, block).atexit = False
        return torch.from_numpy(memory)

    def close(self) -> None:
        self._open = False
        self._spare.clear()
        self._returned.clear()

    def _take_back(self, block: Tensor) -> None:
        """Called wherever the last thing that looked at the block went: in any thread, amid any other call."""
        if self._open:
            self._returned.append(block)

    def _collect(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            self._used -= block.numel()
            self._spare.append(block)


_blocks: ContextVar[_Blocks | None] = ContextVar("blocks", default=None)
