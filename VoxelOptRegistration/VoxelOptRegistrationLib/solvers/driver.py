"""The coarse-to-fine driver: solvers differ in the step they take at each level and share the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..fields.algebra import compose
from ..fields.sampling import warp
from ..options import Border, VoxelOptOptions
from .pyramid import Shape, downsample, upsample_displacement

_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Level:
    """One pyramid level of one volume: features (C, Z, Y, X) and trust (Z, Y, X), bool, None for everywhere.

    Features that cannot be trusted are zero, so that averages over the trusted ones are sums divided by their share.
    """

    features: Tensor
    trust: Tensor | None


Step = Callable[[Level, Level], Tensor]
Report = Callable[[int, Tensor], None]


def build_pyramid(
    features: Tensor, trust: Tensor | None, plan: list[tuple[bool, bool, bool]], options: VoxelOptOptions
) -> list[Level]:
    """Levels, finest first. Untrusted voxels stay out of coarser features; a coarse voxel needs half of it trusted."""
    levels = [_known(features, trust)]
    for axes in plan:
        if trust is None:
            features = downsample(features, axes, options)
        else:
            share = downsample(trust[None].to(features.dtype), axes, options)
            features = downsample(levels[-1].features, axes, options).div_(share.clamp_min(_LEAST_SHARE))
            trust = share[0] >= 0.5
        levels.append(_known(features, trust))
    return levels


def _known(features: Tensor, trust: Tensor | None) -> Level:
    return Level(features if trust is None else features * trust, trust)


def coarse_to_fine(
    fixed: list[Level],
    moving: list[Level],
    plan: list[tuple[bool, bool, bool]],
    step: Step,
    options: VoxelOptOptions,
    report: Report,
) -> Tensor:
    """Total displacement (3, Z, Y, X) on the finest grid, voxels.

    At each level, coarsest first, `step` registers the moving features, warped by the field so far, to the fixed
    ones; its residual is composed inside that field. `report` is called after every level with its index, 0 the
    finest, and the field there.
    """
    total: Tensor | None = None
    for index in reversed(range(len(fixed))):
        target, source = fixed[index], moving[index]
        residual = step(target, source if total is None else warped_level(source, total, options.border))
        total = residual if total is None else compose(total, residual, options.border)
        report(index, total)
        if index > 0:
            total = upsample_displacement(total, _shape(fixed[index - 1]), plan[index - 1], options)
    assert total is not None
    return total


def to_finest(
    field: Tensor, index: int, levels: list[Level], plan: list[tuple[bool, bool, bool]], options: VoxelOptOptions
) -> Tensor:
    """The field (3, Z, Y, X) of level `index`, brought to the finest grid and its voxels."""
    for finer in reversed(range(index)):
        field = upsample_displacement(field, _shape(levels[finer]), plan[finer], options)
    return field


def warped_level(level: Level, displacement: Tensor, border: Border) -> Level:
    """The level pulled through `displacement` (3, Z, Y, X); a voxel is trusted where most of what it draws on is."""
    if not bool(displacement.any()):
        return level
    features = warp(level.features, displacement, border)
    if level.trust is None:
        return Level(features, None)
    share = warp(level.trust[None].to(features.dtype), displacement, Border.ZERO)
    return _known(features.div_(share.clamp_min(_LEAST_SHARE)), share[0] >= 0.5)


def _shape(level: Level) -> Shape:
    z, y, x = level.features.shape[1:]
    return z, y, x
