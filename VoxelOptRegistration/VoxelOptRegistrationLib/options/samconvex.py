"""Options of the SAMConvex solver."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require, require_couplings
from .choices import Border, Unit


@dataclass(frozen=True)
class SAMConvexOptions:
    """Options of the SAMConvex solver (Li et al., MICCAI 2023; defaults mend its quirks, `released()` has them).

    spacing: edge of the cells over which features are averaged first, working voxels; its network embeds at 2.
    search_radii: candidates reach this many voxels of each pyramid level, coarsest level first.
    couplings: weights of |u - d|^2 in the coupled iterations of every level, in order, for the unit coupling_unit; with
    the released one, normalised, they hardly bind and the means do the smoothing.
    first_passes, passes: 3^3 means of the displacement after the uncoupled and after every coupled step.
    residual_passes: the same on every level's residual; final_passes: on the result, working grid.
    unit_features: compare directions of the feature vectors, cos = 1 - |a - b|^2 / 2; otherwise the vectors.
    border: see `Border`. any_size: see `VoxelOptOptions`.
    box_pyramid: 3^3 means of every other voxel, levels aligned at their corners, as released; otherwise binomial.
    map_sharpness: beta of the softmax of the reported entropy map, per unit of similarity.
    invertible: mend folds so that the Jacobian stays positive.
    """

    spacing: int = 2
    search_radii: tuple[int, ...] = (2, 3, 3)
    couplings: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    coupling_unit: Unit = Unit.NORMALISED
    first_passes: int = 1
    passes: int = 3
    residual_passes: int = 3
    final_passes: int = 3
    unit_features: bool = True
    border: Border = Border.REPLICATE
    any_size: bool = True
    box_pyramid: bool = False
    map_sharpness: float = 100.0
    invertible: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.spacing <= 8, "samconvex.spacing", self.spacing, "Use 1 to 8 voxels.")
        radii = self.search_radii
        good = 1 <= len(radii) <= 8 and all(1 <= r <= 6 for r in radii)
        require(good, "samconvex.search_radii", radii, "Give one radius from 1 to 6 for each of 1 to 8 levels.")
        require_couplings(self.couplings, "samconvex.couplings")
        for name in ("first_passes", "passes", "residual_passes", "final_passes"):
            require(0 <= getattr(self, name) <= 20, f"samconvex.{name}", getattr(self, name), "Use 0 to 20.")
        sharpness = self.map_sharpness
        require(0 < sharpness < 1e4, "samconvex.map_sharpness", sharpness, "Use a number between 0 and 10000.")

    @property
    def levels(self) -> int:
        """Pyramid levels at most."""
        return len(self.search_radii)

    @property
    def low_pass(self) -> bool:
        """Whether the pyramid is VoxelOpt's."""
        return not self.box_pyramid

    @property
    def exact_scale(self) -> bool:
        """Displacements scale by the true ratio of the grids."""
        return True

    @classmethod
    def released(cls) -> SAMConvexOptions:
        """The released algorithm, its pyramid included."""
        return cls(box_pyramid=True, invertible=False)
