"""Bring two volumes together before the deformable step, and keep only what measurably helps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..options import Alignment
from ..progress import Watcher
from .candidates import Candidates
from .coarse import JUDGE_VOXELS, Agreement, CoarseVolume, coarse_spacing, coarse_volume
from .grid import Grid
from .transforms import affine_matrix, affine_transform

MARGIN = 0.05
"""A more complex alignment must lower the difference of structures by this share to be kept."""
CHANCE_MARGIN = 0.02
"""... and by this share of the difference between unrelated places: nothing is gained between volumes that agree."""
_SMALLEST_OVERLAP = 0.05
"""Share of the smaller volume that both must cover; less counts as no overlap."""
POOR_FIT = 0.42
"""A fit below this is reported: found for volumes of different bodies and upside down; pairs of one body, or of one
modality, that lie right have more."""


@dataclass(frozen=True, eq=False)
class AlignmentResult:
    """transform: fixed point -> moving point, mm, LPS, the initial transform included; mode: the alignment kept.

    similarity_before, similarity_after: 1 - mean absolute difference of MIND-SSC descriptors where the volumes overlap,
    in [0, 1], with the initial transform alone and with `transform`. candidates: the same for every alignment tried.
    affine: 4 x 4 matrix of `transform`, None where it is not linear. fit: what `transform` takes away of the difference
    between unrelated places, 0 to 1. notes: sentences for the report.
    """

    transform: sitk.Transform
    mode: Alignment
    similarity_before: float
    similarity_after: float
    candidates: dict[str, float]
    affine: np.ndarray | None
    fit: float
    notes: tuple[str, ...] = ()


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
    spacing = min(coarse_spacing(fixed, JUDGE_VOXELS), coarse_spacing(moving, JUDGE_VOXELS))
    search = Candidates(
        _coarse(fixed, spacing, fixed_mask, background, "fixed"),
        _coarse(moving, spacing, moving_mask, background, "moving", initial),
        watcher,
    )
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
        fit=agreement.fit,
        notes=_notes(mode, kept, before, agreement),
    )


def _coarse(
    image: sitk.Image,
    spacing: float,
    mask: sitk.Image | None,
    background: float | None,
    name: str,
    placed_by: sitk.Transform | None = None,
) -> CoarseVolume:
    volume = coarse_volume(image, spacing, mask, background, placed_by)
    if volume.region_volume == 0:
        where = "inside its mask " if mask is not None else ""
        raise InputError(
            f"The {name} volume has no data {where}above the background ({background}).",
            "Check the mask and the background value.",
        )
    return volume


def _choose(search: Candidates, mode: Alignment) -> Alignment:
    if mode in (Alignment.NONE, Alignment.CENTRE, Alignment.MOMENTS):
        return mode
    if mode is not Alignment.AUTO:
        return min(search.best, key=lambda m: search.best[m][0].cost)
    kept = Alignment.NONE
    for candidate, (agreement, _) in search.best.items():
        current = search.best[kept][0].cost
        if agreement.cost < min((1 - MARGIN) * current, current - CHANCE_MARGIN * search.chance):
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
    if after.fit < POOR_FIT:
        remedy = "bring them together by hand and give that as initial transform"
        if mode in (Alignment.NONE, Alignment.CENTRE, Alignment.MOMENTS):
            remedy = "choose the alignment auto"
        notes.append(
            f"The volumes still fit poorly after the alignment ({kept.value}; fit {after.fit:.2f}: 1 is perfect, "
            f"0 chance): check the result, or {remedy}."
        )
    if after.overlap < 0.3:
        notes.append(f"The volumes share only {after.overlap:.0%} of the smaller one.")
    return tuple(notes)


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
