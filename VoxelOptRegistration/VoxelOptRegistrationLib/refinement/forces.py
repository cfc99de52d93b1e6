"""What drives the composed steps: the local correlation of the images, or the difference of their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..fields.algebra import largest_component
from ..fields.extension import extend_smoothly
from ..fields.jacobian import difference
from ..fields.sampling import warp
from ..fields.slabs import by_slabs
from ..kernels.differences import along_gradients
from ..kernels.runtime import compiles, fused, fuses
from ..options import Border, DescentOptions
from .local_correlation import LocalCorrelation

_ROUNDING = 0.02
"""A force this small does not count: what the correlation of one window gains on the way of one voxel. Where two images
correlate fully, single precision leaves less, and a misplacement by a thousandth of a voxel makes more.
"""


class Force(Protocol):
    """What two volumes ask of the field between them."""

    def __call__(self, displacement: Tensor) -> Tensor:
        """The direction (3, Z, Y, X) of steepest improvement at the displacement (3, Z, Y, X), voxels, of any length
        overall; 0 where nothing is known.
        """


@dataclass(frozen=True)
class CorrelationForce:
    """Up the squared local correlation of a fixed image with `moving` (Z, Y, X), both standardised.

    The trusts say where each counts, (Z, Y, X) float in [0, 1], None for everywhere.
    """

    similarity: LocalCorrelation
    moving: Tensor
    fixed_trust: Tensor | None
    moving_trust: Tensor | None

    @classmethod
    def of(
        cls, fixed: Tensor, moving: Tensor, trusts: tuple[Tensor | None, Tensor | None], options: DescentOptions
    ) -> CorrelationForce:
        """fixed, moving: (Z, Y, X), each of any contrast and unit; trusts (Z, Y, X), bool."""
        similarity = LocalCorrelation.of(standardised(fixed, trusts[0]), options.radius, options.noise**2)
        return cls(similarity, standardised(moving, trusts[1]), *(_as_share(trust, fixed) for trust in trusts))

    def __call__(self, displacement: Tensor) -> Tensor:
        warped = _pulled(self.moving[None], displacement)
        share = _common_share(self.fixed_trust, self.moving_trust, displacement)
        force = _along_gradient(self.similarity.gradient(warped[0], share)[None], warped)
        return force if largest_component(force) > _ROUNDING else torch.zeros_like(force)


@dataclass(frozen=True)
class FeatureForce:
    """Down the squared difference of feature maps (C, Z, Y, X).

    The trusts say where each counts, (Z, Y, X) float in [0, 1], None for everywhere.
    """

    fixed: Tensor
    moving: Tensor
    fixed_trust: Tensor | None
    moving_trust: Tensor | None

    @classmethod
    def of(cls, fixed: Tensor, moving: Tensor, trusts: tuple[Tensor | None, Tensor | None]) -> FeatureForce:
        """fixed, moving: (C, Z, Y, X); trusts (Z, Y, X), bool."""
        known = fixed if trusts[0] is None else torch.where(trusts[0], fixed, 0.0)
        return cls(known, _continued(moving, trusts[1]), *(_as_share(trust, fixed) for trust in trusts))

    def __call__(self, displacement: Tensor) -> Tensor:
        warped = _pulled(self.moving, displacement)
        rise = self.fixed - warped
        share = _common_share(self.fixed_trust, self.moving_trust, displacement)
        return _along_gradient(rise if share is None else rise.mul_(share), warped)


def standardised(image: Tensor, trust: Tensor | None) -> Tensor:
    """The image (Z, Y, X) with mean 0 and standard deviation 1 where it is trusted, (Z, Y, X) bool, None for
    everywhere, and continued from there; only its mean taken off where that is constant.
    """
    values = image if trust is None or not bool(trust.any()) else image[trust]
    deviation, mean = torch.std_mean(values, correction=0)
    scaled = (image - mean).div_(deviation if float(deviation) > 0.0 else 1.0)
    return _continued(scaled[None], trust)[0]


def _continued(maps: Tensor, trust: Tensor | None) -> Tensor:
    """The maps (C, Z, Y, X) with what cannot be trusted replaced by what its surroundings suggest, so that it neither
    counts in a window nor makes an edge.
    """
    if trust is None:
        return maps
    return extend_smoothly(torch.where(trust, maps, 0.0), trust.to(maps.dtype), 0)


def _pulled(maps: Tensor, displacement: Tensor) -> Tensor:
    """The maps (C, Z, Y, X) at x + u(x), (3, Z, Y, X); to the last bit as they are where the displacement is 0, so that
    two equal volumes stay where they are.
    """
    exact = compiles(maps, displacement) or fuses(maps, displacement)
    return warp(maps, displacement) if exact or largest_component(displacement) != 0.0 else maps


def _as_share(trust: Tensor | None, like: Tensor) -> Tensor | None:
    return None if trust is None else trust.to(like.dtype)


def _common_share(fixed: Tensor | None, moving: Tensor | None, displacement: Tensor) -> Tensor | None:
    """Where both count, (Z, Y, X), the moving one pulled through the displacement; None for everywhere."""
    if moving is None:
        return fixed
    there = warp(moving[None], displacement, Border.ZERO)[0]
    return there if fixed is None else there * fixed


def _along_gradient(rise: Tensor, warped: Tensor) -> Tensor:
    """Sum over channels of `rise` times the gradient of `warped`, both (C, Z, Y, X): (3, Z, Y, X)."""
    if (fast := fused("differences.along_gradients", rise, warped)) is not None:
        return fast
    if compiles(rise, warped) and min(rise.shape[1:]) > 1:
        return along_gradients(rise, warped)

    def part(rise: Tensor, warped: Tensor) -> Tensor:
        return torch.stack([(rise * difference(warped, axis)).sum(dim=0) for axis in (-3, -2, -1)])

    return by_slabs(part, (rise, warped), 1)
