"""Options of what is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import require
from .choices import Statistics


@dataclass(frozen=True)
class FeatureOptions:
    """What is compared.

    name: an extractor of `features`, "labels", or an extractor with labels added, such as "mind+labels".
    window: intensities that count, in image units, for mind and intensity (None: all of them for mind, the 0.5 and 99.5
    percentiles inside the mask for intensity); networks have a window of their own.
    radius, dilation: of MIND-SSC, working-grid voxels.
    floor: of MIND-SSC's variance, as a share of its mean over the volume; what varies less counts as uniform. The
    paper's is 0.001. Higher, it keeps the noise around one object from being compared with the zeros around the other,
    as around brains that were cut out, and faint structure, as of the lung, from being seen.
    weights: ct-unet: the network's checkpoint, or a folder with it (None: the folder that the environment variable
    VOXELOPT_WEIGHTS names); network: the JSON file that declares it.
    statistics: what the normalisation layers of ct-unet measure.
    label_weight: what two different labels of average size cost at a voxel, in units of similarity; MIND-SSC differs by
    about 0.1 to 0.3 between unlike places.
    cache: where feature maps are kept: "auto" (those of networks, in the user's cache folder), "all" (of every kind,
    there), "off", or a folder (of every kind).
    cache_gib: size of that folder at most, GiB; what was unused for longest goes first.
    """

    name: str = "mind"
    window: tuple[float, float] | None = None
    radius: int = 0
    dilation: int = 1
    floor: float = 0.001
    weights: str | None = None
    statistics: Statistics = Statistics.VOLUME
    label_weight: float = 0.2
    cache: str = "auto"
    cache_gib: float = 4.0

    def __post_init__(self) -> None:
        if self.window is not None:
            low, high = self.window
            good = math.isfinite(low) and math.isfinite(high) and low < high
            require(good, "features.window", self.window, "Give two finite numbers, the lower one first.")
        require(0 <= self.radius <= 8, "features.radius", self.radius, "Use 0 to 8 voxels.")
        require(0 < self.floor <= 1, "features.floor", self.floor, "Use a number above 0, up to 1.")
        require(1 <= self.dilation <= 8, "features.dilation", self.dilation, "Use 1 to 8 voxels.")
        good = math.isfinite(self.label_weight) and 0 < self.label_weight <= 100
        require(good, "features.label_weight", self.label_weight, "Use a number above 0, up to 100.")
        require(self.cache.strip() != "", "features.cache", self.cache, "Use auto, all, off or a folder.")
        good = math.isfinite(self.cache_gib) and 0 < self.cache_gib <= 10_000
        require(good, "features.cache_gib", self.cache_gib, "Use a number above 0, up to 10000 GiB.")

    @property
    def image_features(self) -> str:
        """The name without labels: what is extracted from the volumes themselves; empty for labels alone."""
        return "" if self.name == "labels" else self.name.removesuffix("+labels")

    @property
    def uses_labels(self) -> bool:
        """Whether labels are compared."""
        return self.name == "labels" or self.name.endswith("+labels")
