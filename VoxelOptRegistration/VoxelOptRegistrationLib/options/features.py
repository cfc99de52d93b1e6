"""Options of what is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True)
class FeatureOptions:
    """What is compared. name: an extractor of `features`; window: intensities mapped to [0, 1] (image units; None takes
    the 0.5 and 99.5 percentiles inside the mask); radius and dilation of MIND-SSC, working-grid voxels."""

    name: str = "mind"
    window: tuple[float, float] | None = None
    radius: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        if self.window is not None:
            low, high = self.window
            good = math.isfinite(low) and math.isfinite(high) and low < high
            require(good, "features.window", self.window, "Give two finite numbers, the lower one first.")
        require(0 <= self.radius <= 8, "features.radius", self.radius, "Use 0 to 8 voxels.")
        require(1 <= self.dilation <= 8, "features.dilation", self.dilation, "Use 1 to 8 voxels.")
