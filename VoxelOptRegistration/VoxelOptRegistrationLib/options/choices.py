"""Choices among a few named behaviours."""

from __future__ import annotations

from enum import Enum


class Border(str, Enum):
    """What stands outside a grid: the nearest voxel, or zero."""

    REPLICATE = "replicate"
    ZERO = "zero"


class Ties(str, Enum):
    """Which displacement wins among equal scores: the one nearest the centre, or the sum of all (as released)."""

    CENTRE = "centre"
    SUM = "sum"


class EntropyScale(str, Enum):
    """What entropy is measured against: ln of the number of candidates, or the extremes of the volume (as released)."""

    CANDIDATES = "candidates"
    VOLUME = "volume"


class Smoothing(str, Enum):
    """Message passing with a strength that follows the entropy, one fixed Gaussian, or the release's fixed filter.

    The release means its fixed filter to be isotropic, but builds it from two copies of one axis: uniform along y, a
    Gaussian of 1 / sqrt(2) of its sigma along x.
    """

    ADAPTIVE = "adaptive"
    ISOTROPIC = "isotropic"
    RELEASED = "released"


class Alignment(str, Enum):
    """How the volumes are brought together before the deformable step."""

    NONE = "none"
    CENTRE = "center"
    MOMENTS = "moments"
    RIGID = "rigid"
    AFFINE = "affine"
    AUTO = "auto"


class Statistics(str, Enum):
    """What a network's normalisation layers measure: the whole volume, as the CT network was released, or each tile."""

    VOLUME = "volume"
    TILE = "tile"
