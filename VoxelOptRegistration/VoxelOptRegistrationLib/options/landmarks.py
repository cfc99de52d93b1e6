"""Options of landmark pairs as soft constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True)
class LandmarkOptions:
    """How far given landmark pairs bend the result.

    weight: share of each landmark's remaining error that is taken away, 0 (landmarks are only measured) to 1.
    radius: standard deviation of the Gaussian that carries a correction into the surroundings, mm.
    """

    weight: float = 1.0
    radius: float = 20.0

    def __post_init__(self) -> None:
        require(0 <= self.weight <= 1, "landmarks.weight", self.weight, "Use 0 to 1.")
        good = math.isfinite(self.radius) and 1 <= self.radius <= 200
        require(good, "landmarks.radius", self.radius, "Use 1 to 200 mm.")
