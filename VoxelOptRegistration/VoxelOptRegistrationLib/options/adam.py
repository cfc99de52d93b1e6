"""Options of the refinement by gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .checks import require
from .choices import Border, Comparison, Hyperprior, Regulariser, Unit


@dataclass(frozen=True)
class AdamOptions:
    """Options of the refinement with Adam (ConvexAdam's second stage, Siebert et al., IEEE TMI 2024; defaults mend its
    quirks, `released()` has them).

    steps: descent steps. spacing: edge of the cells that features are averaged over, working voxels.
    learning_rate, epsilon: Adam's; the step is in cells.
    comparison: see its type. weight: of the regulariser, against 12 times the mean squared feature difference, or the
    mean cosine. weight_unit: what it measures displacements in.
    regulariser: see its type. hyperprior, hyperprior_weight, weight_rate: of its local weights, where it has them: what
    holds them, how strongly (w of Beta(1 + w, 1); 1 / sigma^2 of the normal distribution), and their learning rate.
    smoothing: 3^3 means between parameter and field.
    residual: start from zero on the moving features as they are already warped, and compose.
    last_step: the field is that after the last step; otherwise that before it.
    smooth_field: the found field is the smoothed parameter; otherwise the parameter itself.
    final_box: side of a box that the result is averaged over three times, working voxels, odd; 0 for none.
    border: see `Border`. any_size: see `ConvexAdamOptions`.
    invertible: mend folds so that the Jacobian stays positive.
    """

    steps: int = 80
    spacing: int = 2
    learning_rate: float = 1.0
    epsilon: float = 1e-8
    comparison: Comparison = Comparison.SQUARED
    weight: float = 1.25
    weight_unit: Unit = Unit.VOXEL
    regulariser: Regulariser = Regulariser.DIFFUSION
    hyperprior: Hyperprior = Hyperprior.BETA
    hyperprior_weight: float = 0.1
    weight_rate: float = 0.01
    smoothing: int = 3
    residual: bool = False
    last_step: bool = True
    smooth_field: bool = True
    final_box: int = 0
    border: Border = Border.REPLICATE
    any_size: bool = True
    invertible: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.steps <= 10_000, "adam.steps", self.steps, "Use 1 to 10000.")
        require(1 <= self.spacing <= 16, "adam.spacing", self.spacing, "Use 1 to 16 voxels.")
        for name in ("learning_rate", "epsilon", "weight_rate"):
            value = getattr(self, name)
            require(0 < value <= 100, f"adam.{name}", value, "Use a number above 0 and at most 100.")
        for name in ("weight", "hyperprior_weight"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"adam.{name}", value, "Use a number from 0.")
        require(0 <= self.smoothing <= 20, "adam.smoothing", self.smoothing, "Use 0 to 20.")
        good = self.final_box == 0 or (self.final_box % 2 == 1 and 3 <= self.final_box <= 25)
        require(good, "adam.final_box", self.final_box, "Use 0, or an odd number from 3 to 25 voxels.")

    @classmethod
    def released(cls) -> AdamOptions:
        """ConvexAdam's second stage as released, quirks included."""
        return cls(last_step=False, border=Border.ZERO, any_size=False, invertible=False)

    @classmethod
    def samconvex(cls) -> AdamOptions:
        """SAMConvex's refinement as released (Li et al., MICCAI 2023): the angle between features, residual, the raw
        parameter."""
        return cls(
            steps=50,
            learning_rate=0.05,
            epsilon=1e-4,
            comparison=Comparison.COSINE,
            weight=1000.0,
            weight_unit=Unit.NORMALISED,
            residual=True,
            smooth_field=False,
            final_box=3,
            invertible=False,
        )
