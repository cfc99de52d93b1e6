"""Options of one registration: frozen, validated, with units. Any process can read them: standard library only."""

from .choices import Alignment, Border, EntropyScale, Smoothing, Statistics, Ties
from .features import FeatureOptions
from .landmarks import LandmarkOptions
from .settings import GridOptions, Settings
from .voxelopt import VoxelOptOptions

__all__ = [
    "Alignment",
    "Border",
    "EntropyScale",
    "FeatureOptions",
    "GridOptions",
    "LandmarkOptions",
    "Settings",
    "Smoothing",
    "Statistics",
    "Ties",
    "VoxelOptOptions",
]
