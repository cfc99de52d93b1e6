"""What is compared: extractors turn an image into feature maps on its own grid. New ones join `make_extractor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..options import FeatureOptions
from .mind import mind_ssc

FEATURE_NAMES = ("mind", "intensity")


class Extractor(Protocol):
    """An image (Z, Y, X), float32, to features (C, Z, Y, X), float32, C = `channels`; `trust` is where the image is
    known.
    """

    @property
    def channels(self) -> int: ...

    def __call__(self, image: Tensor, trust: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Intensity:
    """The image itself, its window mapped to [0, 1] and clipped; without a window the 0.5 and 99.5 percentiles."""

    window: tuple[float, float] | None
    channels: int = 1

    def __call__(self, image: Tensor, trust: Tensor | None = None) -> Tensor:
        low, high = self.window or _percentile_window(image, trust)
        return ((image - low) / (high - low)).clamp(0.0, 1.0)[None]


@dataclass(frozen=True)
class Mind:
    """MIND-SSC of the image, clipped to its window if there is one; radius and dilation in voxels."""

    radius: int
    dilation: int
    window: tuple[float, float] | None
    channels: int = 12

    def __call__(self, image: Tensor, trust: Tensor | None = None) -> Tensor:
        if self.window is not None:
            image = image.clamp(*self.window)
        return mind_ssc(image, self.radius, self.dilation)


def make_extractor(options: FeatureOptions) -> Extractor:
    """The extractor that `options` describe; raises `InputError` for an unknown name."""
    if options.name == "mind":
        return Mind(options.radius, options.dilation, options.window)
    if options.name == "intensity":
        return Intensity(options.window)
    raise InputError(f"There are no features called {options.name!r}.", f"Choose one of: {', '.join(FEATURE_NAMES)}.")


def _percentile_window(image: Tensor, trust: Tensor | None) -> tuple[float, float]:
    values = image.flatten() if trust is None or not bool(trust.any()) else image[trust]
    values = values[:: max(1, values.numel() // 1_000_000)]
    low, high = torch.quantile(values, torch.tensor([0.005, 0.995], device=values.device)).tolist()
    return (low, high) if high > low else (low, low + 1.0)
