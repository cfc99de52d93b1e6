"""Bring two volumes together before the deformable step, and keep only what measurably helps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..options import Alignment
from ..progress import Watcher
from .coarse import JUDGE_VOXELS, SEARCH_VOXELS, Agreement, CoarseVolume, coarse_spacing, coarse_volume, compare
from .grid import Grid
from .optimisation import affine_from, rigid_from
from .transforms import affine_matrix, affine_transform

MARGIN = 0.05
"""A more complex alignment must lower the difference of structures by this share to be kept."""
_OVERLAP_KEPT = 0.5
"""... and keep this share of the overlap."""
_SMALLEST_OVERLAP = 0.05
"""Share of the smaller volume that both must cover; less counts as no overlap."""
_STRETCH = 2.0
"""Affine alignments that stretch or shrink any direction more than this are not believed."""
_TURN = math.radians(25)


@dataclass(frozen=True, eq=False)
class AlignmentResult:
    """transform: fixed point -> moving point, mm, LPS, the initial transform included; mode: the alignment kept.

    similarity_before, similarity_after: 1 - mean absolute difference of MIND-SSC descriptors where the volumes overlap,
    in [0, 1], with the initial transform alone and with `transform`. candidates: the same for every alignment tried.
    affine: 4 x 4 matrix of `transform`, None where it is not linear. notes: sentences for the report.
    """

    transform: sitk.Transform
    mode: Alignment
    similarity_before: float
    similarity_after: float
    candidates: dict[str, float]
    affine: np.ndarray | None
    notes: tuple[str, ...] = ()


@dataclass
class _Search:
    """The alignments tried so far: matrices A so that a fixed point p goes to initial(A p).

    They are sought with `fixed` and `moving` and judged with the finer `judges`.
    """

    fixed: CoarseVolume
    moving: CoarseVolume
    judges: tuple[CoarseVolume, CoarseVolume]
    initial: sitk.Transform
    watcher: Watcher
    best: dict[Alignment, tuple[Agreement, np.ndarray]] = field(default_factory=dict)
    candidates: dict[str, float] = field(default_factory=dict)

    def try_one(self, mode: Alignment, label: str, matrix: np.ndarray) -> None:
        """Measure one alignment and keep it if it is the best of its mode."""
        self.watcher.check()
        agreement = compare(*self.judges, _chain(self.initial, matrix))
        name = f"{mode.value} ({label})" if label else mode.value
        self.candidates[name] = round(agreement.similarity, 4)
        self.watcher.log(f"Alignment {name}: similarity {agreement.similarity:.4f}, overlap {agreement.overlap:.0%}")
        if mode not in self.best or agreement.difference < self.best[mode][0].difference:
            self.best[mode] = (agreement, matrix)

    def translate(self, mode: Alignment) -> None:
        if mode is Alignment.CENTRE:
            source, target = self.fixed.centre, self.moving.centre
        else:
            source, target = self.fixed.centre_of_mass, self.moving.centre_of_mass
        matrix = np.eye(4)
        matrix[:3, 3] = _pull_back(self.initial, target, source) - source
        self.try_one(mode, "", matrix)

    def optimise_rigid(self) -> None:
        """From the two most promising of the positions tried so far and of these turned about the axes."""
        starts: list[tuple[float, int, np.ndarray]] = []
        for _, matrix in self.best.values():
            for turn in _turns(self.fixed.centre):
                self.watcher.check()
                start = matrix @ turn
                agreement = compare(self.fixed, self.moving, _chain(self.initial, start))
                if agreement.overlap >= _SMALLEST_OVERLAP:
                    starts.append((agreement.difference, len(starts), start))
        for rank, (_, _, start) in enumerate(sorted(starts)[:2]):
            for metric, matrix in rigid_from(self.fixed, self.moving, self.initial, start):
                self.try_one(Alignment.RIGID, f"{metric}, start {rank + 1}", matrix)

    def optimise_affine(self) -> None:
        """From the best so far, and once more from the affine alignment found if that is now the best."""
        for round_number in (1, 2):
            best = min(self.best, key=lambda mode: self.best[mode][0].difference)
            if round_number == 2 and best is not Alignment.AFFINE:
                return
            for metric, matrix in affine_from(self.fixed, self.moving, self.initial, self.best[best][1]):
                stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
                if stretch.max() < _STRETCH and stretch.min() > 1 / _STRETCH:
                    self.try_one(Alignment.AFFINE, f"{metric}, round {round_number}", matrix)


def prealign(
    fixed: sitk.Image,
    moving: sitk.Image,
    mode: Alignment,
    *,
    fixed_mask: sitk.Image | None = None,
    moving_mask: sitk.Image | None = None,
    initial: sitk.Transform | None = None,
    background: float | None = None,
    watcher: Watcher | None = None,
) -> AlignmentResult:
    """Align `moving` to `fixed` on top of `initial`, at a coarse resolution, the same result every time.

    `none`, `center` (of the fields of view) and `moments` (centres of mass) do what they say. `rigid` and `affine`
    return the best of what they contain, doing nothing included. `auto` goes from none over center, moments and rigid
    to affine and takes each step only where it lowers the difference of structures by 5 % and keeps the overlap.
    Only voxels inside the masks (on their volume's grid) and above `background` are looked at.
    Raises InputError if a mask leaves nothing or the volumes do not overlap after alignment.
    """
    watcher = watcher or Watcher()
    initial = initial or sitk.Transform(3, sitk.sitkIdentity)
    linear = affine_matrix(initial)
    if linear is not None:
        # The optimiser's scales depend on the class of a transform: one mapping must have one result.
        initial = affine_transform(linear)
    pairs = []
    for voxels in (SEARCH_VOXELS, JUDGE_VOXELS):
        spacing = coarse_spacing(fixed, voxels)
        pairs.append(
            (
                _coarse(fixed, spacing, fixed_mask, background, "fixed"),
                _coarse(moving, spacing, moving_mask, background, "moving"),
            )
        )
    search = _Search(*pairs[0], pairs[1], initial, watcher)
    search.try_one(Alignment.NONE, "", np.eye(4))
    optimised = mode in (Alignment.RIGID, Alignment.AFFINE, Alignment.AUTO)
    for translation in (Alignment.CENTRE, Alignment.MOMENTS):
        if optimised or mode is translation:
            search.translate(translation)
    if optimised:
        search.optimise_rigid()
    if mode in (Alignment.AFFINE, Alignment.AUTO):
        search.optimise_affine()
    kept = _choose(search, mode)
    agreement, matrix = search.best[kept]
    if agreement.overlap < _SMALLEST_OVERLAP:
        raise InputError(
            f"The volumes do not overlap after alignment ({mode.value}): "
            f"they share {agreement.overlap:.0%} of the smaller one.",
            "Choose another alignment (auto), or give an initial transform that brings them together.",
        )
    before = search.best[Alignment.NONE][0]
    transform = _final(initial, matrix, fixed)
    return AlignmentResult(
        transform=transform,
        mode=kept,
        similarity_before=before.similarity,
        similarity_after=agreement.similarity,
        candidates=search.candidates,
        affine=affine_matrix(transform),
        notes=_notes(mode, kept, before, agreement),
    )


def _coarse(
    image: sitk.Image, spacing: float, mask: sitk.Image | None, background: float | None, name: str
) -> CoarseVolume:
    volume = coarse_volume(image, spacing, mask, background)
    if volume.region_volume == 0:
        where = "inside its mask " if mask is not None else ""
        raise InputError(
            f"The {name} volume has no data {where}above the background ({background}).",
            "Check the mask and the background value.",
        )
    return volume


def _choose(search: _Search, mode: Alignment) -> Alignment:
    if mode in (Alignment.NONE, Alignment.CENTRE, Alignment.MOMENTS):
        return mode
    if mode is not Alignment.AUTO:
        return min(search.best, key=lambda m: search.best[m][0].difference)
    kept = Alignment.NONE
    for candidate, (agreement, _) in search.best.items():
        current = search.best[kept][0]
        better = agreement.difference < (1 - MARGIN) * current.difference
        lost = current.overlap >= _SMALLEST_OVERLAP and agreement.overlap < _OVERLAP_KEPT * current.overlap
        if better and not lost:
            kept = candidate
    return kept


def _notes(mode: Alignment, kept: Alignment, before: Agreement, after: Agreement) -> tuple[str, ...]:
    notes = []
    if mode not in (kept, Alignment.AUTO):
        notes.append(f"The {mode.value} alignment was not better than {kept.value}, which was kept.")
    if after.similarity < before.similarity:
        notes.append(
            f"The {kept.value} alignment brought the structures further apart: "
            f"similarity {before.similarity:.3f} before, {after.similarity:.3f} after."
        )
    if after.overlap < 0.3:
        notes.append(f"The volumes share only {after.overlap:.0%} of the smaller one.")
    return tuple(notes)


def _turns(centre: np.ndarray) -> list[np.ndarray]:
    """No turn, and one each way about every axis through `centre`."""
    turns = [np.eye(4)]
    for axis in np.eye(3):
        for angle in (-_TURN, _TURN):
            turn = np.eye(4)
            turn[:3, :3] = np.reshape(sitk.VersorTransform(axis.tolist(), angle).GetMatrix(), (3, 3))
            turn[:3, 3] = centre - turn[:3, :3] @ centre
            turns.append(turn)
    return turns


def _pull_back(initial: sitk.Transform, target: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The point that `initial` takes to `target`, from `guess`, by fixed-point iteration or exactly where linear."""
    linear = affine_matrix(initial)
    if linear is not None:
        return np.linalg.solve(linear[:3, :3], target - linear[:3, 3])
    point = guess
    for _ in range(20):
        point = point + target - np.array(initial.TransformPoint(point.tolist()))
    return point


def _chain(initial: sitk.Transform, matrix: np.ndarray) -> sitk.Transform:
    """p -> initial(matrix p), as one affine transform where that is possible."""
    linear = affine_matrix(initial)
    if linear is not None:
        return affine_transform(linear @ matrix)
    chain = sitk.CompositeTransform(3)
    chain.AddTransform(initial)
    chain.AddTransform(affine_transform(matrix))
    return chain


def _final(initial: sitk.Transform, matrix: np.ndarray, fixed: sitk.Image) -> sitk.Transform:
    """Like `_chain`; a non-linear `initial` is first continued beyond the fixed volume as far as `matrix` reaches.

    A displacement field ends with a jump to the identity at its border, which would tear the mapping there.
    """
    if initial.IsLinear() or np.allclose(matrix, np.eye(4)):
        return initial if np.allclose(matrix, np.eye(4)) else _chain(initial, matrix)
    grid = Grid.of(fixed)
    ends = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [
        *(np.array(grid.size_xyz) - 1),
        1,
    ]
    reached = ends @ (grid.world_to_index @ matrix @ grid.index_to_world).T
    margin = [int(n) for n in np.ceil(np.abs(reached - ends)[:, :3].max(axis=0)) + 2]
    field_image = sitk.TransformToDisplacementField(
        initial, sitk.sitkVectorFloat64, fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection()
    )
    extended = sitk.DisplacementFieldTransform(sitk.ZeroFluxNeumannPad(field_image, margin, margin))
    return _chain(extended, matrix)
