"""What is registered and what the result is measured against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..file_jobs import TruthFiles
from ..presets import suggestion


@dataclass(frozen=True)
class Case:
    """One pair of volumes with known truth.

    options: of `voxelopt register`, the preset among them. reference: the grid on which folds and smoothness are
    measured; the fixed volume's own where None. absent_counts: whether a scored label that stands in neither volume
    counts as overlap 0 instead of being left out. For other programs, which align nothing themselves: peers_rigid says
    whether the moving volume is aligned rigidly first, peers_spacing_mm the isotropic grid that both volumes are
    resampled to (None: the fixed volume's own); background is a value that means "no data".
    """

    name: str
    fixed: Path
    moving: Path
    truth: TruthFiles
    options: tuple[str, ...] = ()
    reference: Path | None = None
    absent_counts: bool = False
    peers_rigid: bool = False
    peers_spacing_mm: float | None = None
    background: float | None = None


BEFORE = "before"


@dataclass(frozen=True)
class Program:
    """A way to register: `voxelopt register` with `options`, or another program where `peer` names one.

    The peer `BEFORE` does nothing: it shows where the scans' headers put them.
    """

    name: str
    options: tuple[str, ...] = ()
    peer: str | None = None


def folder_name(name: str) -> str:
    """`name` with nothing but what any system takes in a folder's name."""
    return re.sub(r"\W+", "_", name).strip("_")


Named = TypeVar("Named", Case, Program)


def select(items: Sequence[Named], names: Sequence[str]) -> list[Named]:
    """The items called `names`, in their own order; all of them without names. Raises `InputError` for unknown ones."""
    known = [item.name for item in items]
    for name in names:
        if name not in known:
            raise InputError(f"The benchmark has nothing called {name!r}.", suggestion(name, known))
    return [item for item in items if not names or item.name in names]
