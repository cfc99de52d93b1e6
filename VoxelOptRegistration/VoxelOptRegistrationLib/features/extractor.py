"""What every extractor is: a function from an image to feature maps, with what the caller must know about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class NetworkInput:
    """The grid that a network was trained on: spacing, mm, and the direction in which each array axis grows.

    axes: three of R or L, A or P, S or I, slowest array axis first; empty for the volume's own axes.
    """

    spacing: float
    axes: str


def nothing() -> None:
    """No checkpoint."""


class Extractor(Protocol):
    """An image (Z, Y, X), float32, to features (C, Z, Y, X), float32, C = `channels`, on the same grid.

    `trust` is where the image is known. `checkpoint` is called now and then; what it raises ends the extraction.
    input: the grid that the image must lie on; None for any grid, so that it can be the solver's.
    identity: everything besides the image that decides the features, as a text.
    """

    @property
    def channels(self) -> int: ...

    @property
    def input(self) -> NetworkInput | None: ...

    @property
    def identity(self) -> str: ...

    def __call__(
        self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing
    ) -> Tensor: ...
