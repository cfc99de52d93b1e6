"""Options of ConvexAdam's discrete stage; those of its second stage are `AdamOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require, require_couplings
from .choices import Border, Unit


@dataclass(frozen=True)
class ConvexAdamOptions:
    """Options of the coupled convex stage (Siebert et al., IEEE TMI 2024; defaults mend its quirks, `released()` has
    them).

    spacing: edge of the cells over which features are averaged, working voxels; thin axes get smaller ones.
    search_width: candidates reach this many cells each way; (2 w + 1)^3 per cell, spacing x w voxels far.
    couplings: weights of |u - d|^2 in the coupled iterations, 1/cell^2, in order. coupling_unit: see `Unit`.
    score_passes, passes: 3^3 means of every score, and of the displacement after every step.
    border: see `Border`.
    any_size: cells cut off by the border count and every cell stays in its place; otherwise they are dropped, and the
    field is stretched over the grid.
    inverse_consistency: solve both ways and average, in consistency_sweeps rounds.
    exact_consistency: those rounds sample where the displacement leads; otherwise N / (N - 1) times as far.
    scaled_one_way: without inverse consistency too the field is in voxels; otherwise it keeps the numbers it has in
    cells.
    map_sharpness: beta of the softmax of the reported entropy map, per unit of similarity.
    invertible: mend folds so that the Jacobian stays positive.
    """

    spacing: int = 6
    search_width: int = 4
    couplings: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    coupling_unit: Unit = Unit.VOXEL
    score_passes: int = 2
    passes: int = 1
    border: Border = Border.REPLICATE
    any_size: bool = True
    inverse_consistency: bool = True
    consistency_sweeps: int = 15
    exact_consistency: bool = True
    scaled_one_way: bool = True
    map_sharpness: float = 100.0
    invertible: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.spacing <= 16, "convexadam.spacing", self.spacing, "Use 1 to 16 voxels.")
        require(1 <= self.search_width <= 10, "convexadam.search_width", self.search_width, "Use 1 to 10 cells.")
        require_couplings(self.couplings, "convexadam.couplings")
        for name in ("score_passes", "passes"):
            require(0 <= getattr(self, name) <= 20, f"convexadam.{name}", getattr(self, name), "Use 0 to 20.")
        sweeps = self.consistency_sweeps
        require(1 <= sweeps <= 100, "convexadam.consistency_sweeps", sweeps, "Use 1 to 100.")
        sharpness = self.map_sharpness
        require(0 < sharpness < 1e4, "convexadam.map_sharpness", sharpness, "Use a number between 0 and 10000.")

    @classmethod
    def released(cls) -> ConvexAdamOptions:
        """The released algorithm, quirks included."""
        return cls(border=Border.ZERO, any_size=False, exact_consistency=False, scaled_one_way=False, invertible=False)
