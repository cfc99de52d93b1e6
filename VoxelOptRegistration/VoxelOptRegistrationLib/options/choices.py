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


class Unit(str, Enum):
    """What a displacement is measured in where it is penalised: voxels, or half the grid along each axis (released)."""

    VOXEL = "voxel"
    NORMALISED = "normalised"


class Comparison(str, Enum):
    """How features are compared: their squared differences, or the angle between them."""

    SQUARED = "squared"
    COSINE = "cosine"


class Regulariser(str, Enum):
    """What makes a field smooth: small first differences, small second ones, or first ones with local weights that are
    found together with the field."""

    DIFFUSION = "diffusion"
    BENDING = "bending"
    SPATIALLY_VARYING = "spatially-varying"


class Hyperprior(str, Enum):
    """What holds local weights near 1: a Beta(1 + w, 1) or a normal distribution."""

    BETA = "beta"
    NORMAL = "normal"


class Statistics(str, Enum):
    """What a network's normalisation layers measure: the whole volume, as the CT network was released, or each tile."""

    VOLUME = "volume"
    TILE = "tile"
