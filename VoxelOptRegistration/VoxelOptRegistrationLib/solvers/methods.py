"""The methods by name: what solves, with which of the settings, and how much memory that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..options import Border, Settings
from ..resources import bytes_per_voxel as voxelopt_bytes
from . import convexadam, samconvex, voxelopt
from .solution import Report, Solution


class SolverOptions(Protocol):
    """What the options of every method say, besides what only the method itself knows."""

    @property
    def border(self) -> Border: ...
    @property
    def map_sharpness(self) -> float: ...
    @property
    def invertible(self) -> bool: ...


@dataclass(frozen=True)
class _Method:
    """options: of the settings, those that the method obeys. solve: see `voxelopt.solve`. bytes_per_voxel: memory per
    working voxel, of the number of feature channels and the options.
    """

    options: Callable[[Settings], SolverOptions]
    solve: Callable[..., Solution]
    bytes_per_voxel: Callable[..., int]


_METHODS = {
    "voxelopt": _Method(
        lambda settings: settings.solver,
        voxelopt.solve,
        lambda channels, options: voxelopt_bytes(channels, options.search_radius),
    ),
    "convexadam": _Method(lambda settings: settings.convexadam, convexadam.solve, convexadam.bytes_per_voxel),
    "samconvex": _Method(lambda settings: settings.samconvex, samconvex.solve, samconvex.bytes_per_voxel),
}


def solver_options(settings: Settings) -> SolverOptions:
    """The options that the method of `settings` obeys."""
    return _METHODS[settings.method].options(settings)


def bytes_per_voxel(channels: int, settings: Settings) -> int:
    """Memory per working voxel that the method of `settings` needs at its peak, bytes."""
    return _METHODS[settings.method].bytes_per_voxel(channels, solver_options(settings))


def solve(
    fixed: Tensor,
    moving: Tensor,
    settings: Settings,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    report: Report,
    checkpoint: Callable[[], None],
) -> Solution:
    """Register features with the method of `settings`; the arguments are those of `voxelopt.solve`."""
    options = solver_options(settings)
    return _METHODS[settings.method].solve(fixed, moving, options, fixed_trust, moving_trust, report, checkpoint)
