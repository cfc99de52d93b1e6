"""What the field does where the fixed image says nothing about it: it follows from its surroundings."""

from __future__ import annotations

from torch import Tensor

from ..fields.extension import extend_smoothly
from .forces import standardised
from .local_correlation import LocalCorrelation

_RADIUS = 2
_HALF_KNOWN = 0.1
"""Local standard deviation, as a share of the whole image's, at which a place is half known."""


def extended(displacement: Tensor, fixed: Tensor, trust: Tensor | None, passes: int) -> Tensor:
    """The displacement (3, Z, Y, X), voxels, following from its surroundings where the image `fixed` (Z, Y, X) is
    uniform or, by `trust` (Z, Y, X) bool, unknown; as it is with 0 `passes`.
    """
    if passes == 0:
        return displacement
    local = LocalCorrelation.of(standardised(fixed, trust), _RADIUS, 0.0).variance.clamp_min(0.0)
    known = local.div(local + _HALF_KNOWN**2)
    if trust is not None:
        known.mul_(trust)
    return extend_smoothly(displacement, known, passes)
