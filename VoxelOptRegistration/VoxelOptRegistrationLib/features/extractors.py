"""What is compared: extractors turn an image into feature maps on its own grid. New ones join `make_extractor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..options import FeatureOptions
from .declared_network import DeclaredNetwork
from .extractor import Extractor, nothing
from .mind import mind_ssc
from .universal_unet import UniversalUNet
from .weight_files import find_checkpoint

IMAGE_FEATURES = ("mind", "intensity", "ct-unet", "network")
FEATURE_NAMES = (*IMAGE_FEATURES, "labels", *(f"{name}+labels" for name in IMAGE_FEATURES))


@dataclass(frozen=True)
class Intensity:
    """The image itself, its window mapped to [0, 1] and clipped; without a window the 0.5 and 99.5 percentiles."""

    window: tuple[float, float] | None
    channels: int = 1
    input: None = None

    @property
    def identity(self) -> str:
        return f"intensity 1 {self.window}"

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing) -> Tensor:
        low, high = self.window or _percentile_window(image, trust)
        return ((image - low) / (high - low)).clamp(0.0, 1.0)[None]


@dataclass(frozen=True)
class Mind:
    """MIND-SSC of the image, clipped to its window if there is one. radius, dilation: voxels; floor: see `mind_ssc`."""

    radius: int
    dilation: int
    window: tuple[float, float] | None
    floor: float
    channels: int = 12
    input: None = None

    @property
    def identity(self) -> str:
        return f"mind 1 {self.radius} {self.dilation} {self.window} {self.floor}"

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing) -> Tensor:
        if self.window is not None:
            image = image.clamp(*self.window)
        return mind_ssc(image, self.radius, self.dilation, self.floor)


def make_extractor(options: FeatureOptions, available_bytes: int | None = None) -> Extractor | None:
    """The extractor that `options` describe, without labels; None for labels alone.

    available_bytes: memory that a network may plan with. Raises `InputError` for an unknown name and for a network
    whose file is missing or wrong.
    """
    if options.name not in FEATURE_NAMES:
        names = ", ".join(FEATURE_NAMES)
        raise InputError(f"There are no features called {options.name!r}.", f"Choose one of: {names}.")
    name = options.image_features
    if name == "mind":
        return Mind(options.radius, options.dilation, options.window, options.floor)
    if name == "intensity":
        return Intensity(options.window)
    if name == "ct-unet":
        return UniversalUNet.read(find_checkpoint(options.weights), options.statistics, available_bytes)
    if name == "network":
        if options.weights is None:
            raise InputError("The features 'network' need a network.", "Give its JSON file as features.weights.")
        return DeclaredNetwork.read(Path(options.weights).expanduser())
    return None


def _percentile_window(image: Tensor, trust: Tensor | None) -> tuple[float, float]:
    values = image.flatten() if trust is None or not bool(trust.any()) else image[trust]
    values = values[:: max(1, values.numel() // 1_000_000)]
    low, high = torch.quantile(values, torch.tensor([0.005, 0.995], device=values.device)).tolist()
    return (low, high) if high > low else (low, low + 1.0)
