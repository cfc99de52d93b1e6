"""Options of the VoxelOpt solver."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require, require_couplings
from .choices import Border, EntropyScale, Smoothing, Ties


@dataclass(frozen=True)
class VoxelOptOptions:
    """Options of the VoxelOpt solver (arXiv 2506.19975; defaults mend its known weaknesses, `paper()` reproduces it).

    levels: pyramid levels at most; fewer where the grid is small.
    search_radius: k; (2k+1)^3 candidate displacements per voxel and level.
    couplings: weights of |u - d|^2 in the coupled iterations of every level, 1/voxel^2, in order.
    sharpness: beta of the softmax whose entropy steers the smoothing, per unit of similarity.
    map_sharpness: the same for the entropy map that is reported.
    sigma_low, sigma_high: Gaussian standard deviation at entropy 0 and 1, voxels; three taps per axis.
    passes: filter passes after every step; prefilter_passes: the same on the scores.
    half_scores: keep scores as float16 where fused GPU kernels serve, half the memory; arithmetic stays float32.
    squarings: scaling-and-squaring steps; 0 chooses them from the largest displacement, on a GPU the largest possible.
    graphs: replay small levels as CUDA graphs where volumes of one size come again, as in a batch. Off, because only
    what is not used cannot go wrong: replays are compared with the eager result at first, not for ever.
    subvoxel_rounds: rounds at the finest level that move by fractions of a voxel.
    smoothing, ties, entropy_scale, border: see their types.
    low_pass: low-pass before decimation. exact_scale: displacements scale by the true ratio of the grids.
    any_size: pyramid that halves only axes that can be halved; otherwise every side must be divisible.
    inverse_consistency: solve both ways and average, in consistency_sweeps rounds.
    invertible: mend folds so that the Jacobian stays positive.
    """

    levels: int = 5
    search_radius: int = 1
    couplings: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    sharpness: float = 10.0
    map_sharpness: float = 100.0
    sigma_low: float = 0.1
    sigma_high: float = 0.5
    passes: int = 5
    prefilter_passes: int = 3
    half_scores: bool = False
    graphs: bool = False
    squarings: int = 0
    subvoxel_rounds: int = 1
    smoothing: Smoothing = Smoothing.ADAPTIVE
    ties: Ties = Ties.CENTRE
    entropy_scale: EntropyScale = EntropyScale.CANDIDATES
    border: Border = Border.REPLICATE
    low_pass: bool = True
    exact_scale: bool = True
    any_size: bool = True
    inverse_consistency: bool = True
    consistency_sweeps: int = 5
    invertible: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.levels <= 8, "solver.levels", self.levels, "Use 1 to 8.")
        require(1 <= self.search_radius <= 3, "solver.search_radius", self.search_radius, "Use 1, 2 or 3.")
        require_couplings(self.couplings, "solver.couplings")
        require(0 < self.sharpness < 1e4, "solver.sharpness", self.sharpness, "Use a number between 0 and 10000.")
        require(
            0 < self.map_sharpness < 1e4,
            "solver.map_sharpness",
            self.map_sharpness,
            "Use a number between 0 and 10000.",
        )
        ordered = 0 < self.sigma_low <= self.sigma_high <= 10
        require(
            ordered, "solver.sigma_low/high", (self.sigma_low, self.sigma_high), "Use 0 < low <= high <= 10 voxels."
        )
        require(0 <= self.passes <= 20, "solver.passes", self.passes, "Use 0 to 20.")
        require(0 <= self.prefilter_passes <= 20, "solver.prefilter_passes", self.prefilter_passes, "Use 0 to 20.")
        require(
            1 <= self.consistency_sweeps <= 100, "solver.consistency_sweeps", self.consistency_sweeps, "Use 1 to 100."
        )
        require(0 <= self.subvoxel_rounds <= 20, "solver.subvoxel_rounds", self.subvoxel_rounds, "Use 0 to 20.")
        require(0 <= self.squarings <= 12, "solver.squarings", self.squarings, "Use 0 (automatic) to 12.")

    @classmethod
    def paper(cls, smoothing: Smoothing = Smoothing.ADAPTIVE) -> VoxelOptOptions:
        """The released VoxelOpt, quirks included; `Smoothing.RELEASED` is its ablation without adaptivity."""
        return cls(
            map_sharpness=10.0,
            passes=3,
            squarings=7,
            subvoxel_rounds=0,
            smoothing=smoothing,
            ties=Ties.SUM,
            entropy_scale=EntropyScale.VOLUME,
            border=Border.ZERO,
            low_pass=False,
            exact_scale=False,
            any_size=False,
            inverse_consistency=False,
            invertible=False,
        )
