"""Everything that decides a registration besides the images."""

from __future__ import annotations

from dataclasses import dataclass, field

from .adam import AdamOptions
from .checks import require
from .choices import Alignment
from .convexadam import ConvexAdamOptions
from .descent import DescentOptions
from .features import FeatureOptions
from .landmarks import LandmarkOptions
from .samconvex import SAMConvexOptions
from .voxelopt import VoxelOptOptions

LARGEST_BUDGET = 10**9
"""Voxels of a grid, at most."""


@dataclass(frozen=True)
class GridOptions:
    """The grid that the solver works on: isotropic or near, in the fixed volume's axes.

    max_voxels: budget, voxels; less where the device's free memory is less.
    spacing: finest working spacing, mm; 0 takes the fixed volume's finest.
    """

    max_voxels: int = 2_000_000
    spacing: float = 0.0

    def __post_init__(self) -> None:
        good = 512 <= self.max_voxels <= LARGEST_BUDGET
        require(good, "grid.max_voxels", self.max_voxels, f"Use 512 to {LARGEST_BUDGET}.")
        require(0 <= self.spacing <= 100, "grid.spacing", self.spacing, "Use 0 (automatic) to 100 mm.")


@dataclass(frozen=True)
class Settings:
    """Everything that decides a registration besides the images.

    memory_gib: memory that the run may take, GiB: of the whole process on the CPU and on Apple GPUs, of the GPU where
    another computes; the grids become coarser until it does. 0 takes four fifths of what is free.
    background: value that stands for "no data" (-2048 HU outside a CT scan circle); None if there is none.
    solver, convexadam, samconvex: of the methods voxelopt, convexadam and samconvex; adam, descent: of the refinements
    adam, and local-ncc and features.
    """

    preset: str = "generic"
    method: str = "voxelopt"
    refine: str = "local-ncc"
    align: Alignment = Alignment.AUTO
    device: str = "auto"
    memory_gib: float = 0.0
    background: float | None = None
    features: FeatureOptions = field(default_factory=FeatureOptions)
    landmarks: LandmarkOptions = field(default_factory=LandmarkOptions)
    grid: GridOptions = field(default_factory=GridOptions)
    solver: VoxelOptOptions = field(default_factory=VoxelOptOptions)
    convexadam: ConvexAdamOptions = field(default_factory=ConvexAdamOptions)
    samconvex: SAMConvexOptions = field(default_factory=SAMConvexOptions)
    adam: AdamOptions = field(default_factory=AdamOptions)
    descent: DescentOptions = field(default_factory=DescentOptions)

    def __post_init__(self) -> None:
        good = 0 <= self.memory_gib <= 100_000
        require(good, "memory_gib", self.memory_gib, "Use 0 (automatic) to 100000 GiB.")
