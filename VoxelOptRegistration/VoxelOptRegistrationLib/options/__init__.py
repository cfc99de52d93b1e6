"""Options of one registration: frozen, validated, with units. Any process can read them: standard library only."""

from .choices import Alignment, Border, EntropyScale, Smoothing, Ties
from .descent import DescentOptions
from .features import FeatureOptions
from .settings import GridOptions, Settings
from .voxelopt import VoxelOptOptions

__all__ = [
    "Alignment",
    "Border",
    "DescentOptions",
    "EntropyScale",
    "FeatureOptions",
    "GridOptions",
    "Settings",
    "Smoothing",
    "Ties",
    "VoxelOptOptions",
]
