"""The alignments of two volumes that are tried, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..options import Alignment
from ..progress import Watcher
from .coarse import FACTORS, Agreement, CoarseVolume, chance_difference, compare
from .optimisation import affine_from, rigid_from
from .search import orientations, placements

_STRETCH = 2.0
"""Affine alignments that stretch or shrink any direction more than this are not believed."""
_DOUBTFUL_FIT = 0.5
"""A fit below this starts the exhaustive search: no volume that lay wrong was seen to fit so well."""
_PLACEMENTS = 5
"""Positions of the exhaustive search that are refined."""
_STAGES = ((2_500, 12, 1, 3), (20_000, 12, 2, 2))
"""Voxels at least, iterations, rim and how many positions are kept, one stage after the other."""
_AFFINE_ITERATIONS = 15


@dataclass
class Candidates:
    """The alignments tried so far: matrices A so that a fixed point p goes to initial(A p).

    fixed, moving: the volumes that they are compared with, moving as `initial` shows it.
    """

    fixed: CoarseVolume
    moving: CoarseVolume
    watcher: Watcher
    best: dict[Alignment, tuple[Agreement, np.ndarray]] = field(default_factory=dict)
    candidates: dict[str, float] = field(default_factory=dict)
    levels: dict[int, tuple[CoarseVolume, CoarseVolume]] = field(default_factory=dict)

    @cached_property
    def chance(self) -> float:
        return chance_difference(self.fixed, self.moving)

    def level(self, voxels: int) -> tuple[CoarseVolume, CoarseVolume]:
        """Both volumes with `voxels` or more voxels each, as few as possible."""
        fewest = min(self.fixed.grid.voxels, self.moving.grid.voxels)
        factor = max((f for f in FACTORS if fewest >= voxels * f**3), default=1)
        if factor not in self.levels:
            self.levels[factor] = (self.fixed.coarser(factor), self.moving.coarser(factor))
        return self.levels[factor]

    def try_one(self, mode: Alignment, label: str, matrix: np.ndarray) -> None:
        """Measure one alignment and keep it if it is the best of its mode."""
        self.watcher.check()
        agreement = compare(self.fixed, self.moving, matrix, self.chance)
        name = f"{mode.value} ({label})" if label else mode.value
        self.candidates[name] = round(agreement.similarity, 4)
        self.watcher.log(f"Alignment {name}: similarity {agreement.similarity:.4f}, overlap {agreement.overlap:.0%}")
        if mode not in self.best or agreement.cost < self.best[mode][0].cost:
            self.best[mode] = (agreement, matrix)

    def translate(self, mode: Alignment) -> None:
        if mode is Alignment.CENTRE:
            source, target = self.fixed.centre, self.moving.centre
        else:
            source, target = self.fixed.centre_of_mass, self.moving.centre_of_mass
        matrix = np.eye(4)
        matrix[:3, 3] = target - source
        self.try_one(mode, "", matrix)

    def optimise_rigid(self) -> None:
        """From the positions tried so far; where that ends in a doubtful fit, also from the best of all translations of
        many orientations.
        """
        self._refine([matrix for _, matrix in self.best.values()], "start")
        if max(agreement.fit for agreement, _ in self.best.values()) < _DOUBTFUL_FIT:
            fixed, moving = self.level(_STAGES[0][0])
            found = placements(fixed, moving, orientations(), self.watcher.check)
            self._refine([matrix for _, matrix in found[:_PLACEMENTS]], "search")

    def _refine(self, starts: list[np.ndarray], label: str) -> None:
        for voxels, iterations, rim, kept in _STAGES:
            fixed, moving = self.level(voxels)
            found: list[tuple[float, int, np.ndarray]] = []
            for start in starts:
                self.watcher.check()
                matrix = rigid_from(fixed, moving, start, iterations, rim)
                found.append((compare(fixed, moving, matrix, self.chance, rim).cost, len(found), matrix))
            starts = []
            for _, _, matrix in sorted(found, key=lambda one: one[:2]):
                if len(starts) < kept and not any(_near(matrix, other, fixed) for other in starts):
                    starts.append(matrix)
        for rank, matrix in enumerate(starts):
            self.try_one(Alignment.RIGID, f"{label} {rank + 1}", matrix)

    def optimise_affine(self) -> None:
        """From the best so far."""
        matrix = min(self.best.values(), key=lambda found: found[0].cost)[1]
        self.watcher.check()
        matrix = affine_from(*self.level(_STAGES[-1][0]), matrix, _AFFINE_ITERATIONS)
        stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
        if stretch.max() < _STRETCH and stretch.min() > 1 / _STRETCH:
            self.try_one(Alignment.AFFINE, "", matrix)


def _near(matrix: np.ndarray, other: np.ndarray, fixed: CoarseVolume) -> bool:
    """Whether two alignments take no corner of the volume further than a voxel from one another."""
    corners = [[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)] * np.array([*fixed.grid.size_xyz, 1])
    apart = (corners @ fixed.grid.index_to_world.T) @ (matrix - other).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max()) < min(fixed.grid.spacing)
