"""Options of the refinement in small diffeomorphic steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True)
class DescentOptions:
    """Options of the compositive descent: small diffeomorphic steps, on one grid after another, coarse to fine.

    scales: voxels of each stage's grid, as multiples of `grid.max_voxels`, which the solver keeps to; iterations: steps
    on each; both lists are as long.
    radius: local windows have a side of 2 radius + 1 voxels (local correlation only).
    noise: standard deviation that is taken for noise, as a share of the fixed image's (local correlation only).
    step: length of the longest vector of an update before momentum, voxels; momentum: share of the last update that
    goes on, below 1.
    update_sigma: Gaussian that smooths every update, voxels; field_sigma: the same for the whole field.
    volume_damping: how fast changes of volume spread after every step, voxels^2: shear stays, stretching is evened out.
    extension_passes: smoothing passes where the fixed image is uniform, before the first step: there the field follows
    from its surroundings; 0 leaves the field as it is.
    """

    scales: tuple[float, ...] = (1.0,)
    iterations: tuple[int, ...] = (7,)
    radius: int = 1
    noise: float = 0.03
    step: float = 0.5
    momentum: float = 0.0
    update_sigma: float = 1.7
    field_sigma: float = 0.4
    volume_damping: float = 0.15
    extension_passes: int = 5

    def __post_init__(self) -> None:
        require(
            1 <= len(self.scales) == len(self.iterations) <= 6,
            "descent.scales/iterations",
            (self.scales, self.iterations),
            "Give one to six scales and as many numbers of iterations.",
        )
        ascending = all(a <= b for a, b in zip(self.scales, self.scales[1:], strict=False))
        good = ascending and all(1 <= scale <= 1000 for scale in self.scales)
        require(good, "descent.scales", self.scales, "Use 1 to 1000, the coarsest grid first.")
        few = all(1 <= n <= 1000 for n in self.iterations)
        require(few, "descent.iterations", self.iterations, "Use 1 to 1000.")
        require(1 <= self.radius <= 8, "descent.radius", self.radius, "Use 1 to 8 voxels.")
        require(0 < self.noise <= 10, "descent.noise", self.noise, "Use a number above 0 and at most 10.")
        require(0 < self.step <= 2, "descent.step", self.step, "Use a number above 0 and at most 2 voxels.")
        require(0 <= self.momentum < 1, "descent.momentum", self.momentum, "Use 0 to below 1.")
        for name in ("update_sigma", "field_sigma"):
            value = getattr(self, name)
            good = math.isfinite(value) and 0 <= value <= 10
            require(good, f"descent.{name}", value, "Use 0 to 10 voxels.")
        require(0 <= self.volume_damping <= 0.3, "descent.volume_damping", self.volume_damping, "Use 0 to 0.3.")
        require(0 <= self.extension_passes <= 100, "descent.extension_passes", self.extension_passes, "Use 0 to 100.")
