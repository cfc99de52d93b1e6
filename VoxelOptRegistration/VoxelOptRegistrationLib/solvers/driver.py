"""The coarse-to-fine driver: solvers differ in the step they take at each level and share the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..fields.algebra import compose, largest_component
from ..fields.sampling import warp
from ..kernels.runtime import fused, fuses, reads_freely
from ..options import Border
from .pyramid import PyramidOptions, Shape, downsample, upsample_displacement

_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Level:
    """One pyramid level of one volume: features (C, Z, Y, X) and trust (Z, Y, X), bool, None for everywhere.

    Features that cannot be trusted are zero, so that averages over the trusted ones are sums divided by their share.
    """

    features: Tensor
    trust: Tensor | None


Axes = tuple[bool, bool, bool]
Step = Callable[[int, Level, Level], Tensor]
Report = Callable[[int, Tensor], None]


def build_pyramid(
    features: Tensor,
    trust: Tensor | None,
    plan: list[Axes],
    options: PyramidOptions,
    shrink: Callable[..., Tensor] = downsample,
) -> list[Level]:
    """Levels, finest first, each `shrink(volume, axes, options)` of the one before."""
    levels = [known_level(features, trust)]
    for axes in plan:
        levels.append(averaged_level(levels[-1], partial(shrink, axes=axes, options=options)))
    return levels


def known_level(features: Tensor, trust: Tensor | None) -> Level:
    """The level of `features` (C, Z, Y, X), zero where they cannot be trusted."""
    return Level(features if trust is None else features * trust, trust)


def averaged_level(level: Level, average: Callable[[Tensor], Tensor]) -> Level:
    """The level that `average`, a linear map of volumes (C, Z, Y, X), makes of another. Untrusted voxels stay out of
    its features; one of its voxels needs half of what it is made of trusted.
    """
    features = average(level.features)
    if level.trust is None:
        return Level(features, None)
    share = average(level.trust[None].to(features.dtype))
    return _divided(features, share, share[0] >= 0.5)


def coarse_to_fine(
    fixed: list[Level],
    moving: list[Level],
    plan: list[Axes],
    step: Step,
    options: PyramidOptions,
    border: Border,
    report: Report,
) -> Tensor:
    """Total displacement (3, Z, Y, X) on the finest grid, voxels.

    At each level, coarsest first, `step` registers the moving features, warped by the field so far, to the fixed
    ones, and is told the level's index, 0 the finest; its residual is composed inside that field. `report` is called
    after every level with its index and the field there.
    """
    total: Tensor | None = None
    for index in reversed(range(len(fixed))):
        target, source = fixed[index], moving[index]
        residual = step(index, target, source if total is None else warped_level(source, total, border))
        total = residual if total is None else compose(total, residual, border)
        report(index, total)
        if index > 0:
            total = upsample_displacement(total, _shape(fixed[index - 1]), plan[index - 1], options)
    assert total is not None
    return total


def to_finest(field: Tensor, index: int, levels: list[Level], plan: list[Axes], options: PyramidOptions) -> Tensor:
    """The field (3, Z, Y, X) of level `index`, brought to the finest grid and its voxels."""
    for finer in reversed(range(index)):
        field = upsample_displacement(field, _shape(levels[finer]), plan[finer], options)
    return field


def warped_level(level: Level, displacement: Tensor, border: Border) -> Level:
    """The level pulled through `displacement` (3, Z, Y, X); a voxel is trusted where most of what it draws on is.

    Where the displacement is zero everywhere, it is the level to the last bit.
    """
    if reads_freely(displacement):
        return level if largest_component(displacement) == 0.0 else _pulled(level, displacement, border)
    pulled = _pulled(level, displacement, border)
    if fuses(level.features, displacement):
        return pulled  # Kernels leave what is pulled by nothing as it is; torch, which scales its coordinates, may not.
    moved = displacement.any()
    features = torch.where(moved, pulled.features, level.features)
    if level.trust is None or pulled.trust is None:
        return Level(features, None)
    return Level(features, torch.where(moved, pulled.trust, level.trust))


def _pulled(level: Level, displacement: Tensor, border: Border) -> Level:
    if level.trust is not None:
        given = (level.features, level.trust, displacement, border, _LEAST_SHARE)
        if (fast := fused("trusted_warping.warp", *given)) is not None:
            return Level(*fast)
    features = warp(level.features, displacement, border)
    if level.trust is None:
        return Level(features, None)
    trust = level.trust[None].to(features.dtype)
    share = warp(trust, displacement, Border.ZERO)
    weight = share if border is Border.ZERO else warp(trust, displacement, border)
    return _divided(features, weight, share[0] >= 0.5)


def _divided(features: Tensor, weight: Tensor, trust: Tensor) -> Level:
    """The level of features (C, Z, Y, X), written over, by the weight (1, Z, Y, X) of what they are sums of."""
    return Level(features.div_(torch.where(trust, weight.clamp_min(_LEAST_SHARE), torch.inf)), trust)


def _shape(level: Level) -> Shape:
    z, y, x = level.features.shape[1:]
    return z, y, x
