"""Options of one registration: frozen, validated, with units. Any process can read them: standard library only."""

from .adam import AdamOptions
from .choices import (
    Alignment,
    Border,
    Comparison,
    EntropyScale,
    Hyperprior,
    Regulariser,
    Smoothing,
    Statistics,
    Ties,
    Unit,
)
from .convexadam import ConvexAdamOptions
from .descent import DescentOptions
from .features import FeatureOptions
from .landmarks import LandmarkOptions
from .samconvex import SAMConvexOptions
from .settings import LARGEST_BUDGET, GridOptions, Settings
from .voxelopt import VoxelOptOptions

__all__ = [
    "AdamOptions",
    "Alignment",
    "Border",
    "Comparison",
    "ConvexAdamOptions",
    "DescentOptions",
    "EntropyScale",
    "FeatureOptions",
    "GridOptions",
    "Hyperprior",
    "LARGEST_BUDGET",
    "LandmarkOptions",
    "Regulariser",
    "SAMConvexOptions",
    "Settings",
    "Smoothing",
    "Statistics",
    "Ties",
    "Unit",
    "VoxelOptOptions",
]
