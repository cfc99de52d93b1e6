"""The methods by name: what solves, and with which of the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..options import Border, Settings
from . import convexadam, samconvex, voxelopt
from .solution import Matched, Report


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
    """options: of the settings, those that the method obeys. solve: see `voxelopt.solve`."""

    options: Callable[[Settings], SolverOptions]
    solve: Callable[..., Matched]


_METHODS = {
    "voxelopt": _Method(lambda settings: settings.solver, voxelopt.solve),
    "convexadam": _Method(lambda settings: settings.convexadam, convexadam.solve),
    "samconvex": _Method(lambda settings: settings.samconvex, samconvex.solve),
}


def solver_options(settings: Settings) -> SolverOptions:
    """The options that the method of `settings` obeys."""
    return _METHODS[settings.method].options(settings)


def solve(
    fixed: Tensor,
    moving: Tensor,
    settings: Settings,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    report: Report,
    checkpoint: Callable[[], None],
) -> Matched:
    """Register features with the method of `settings`; the arguments are those of `voxelopt.solve`."""
    options = solver_options(settings)
    return _METHODS[settings.method].solve(fixed, moving, options, fixed_trust, moving_trust, report, checkpoint)
