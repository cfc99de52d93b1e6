"""Scores of a saved transform: the same code for every program, from files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..file_jobs import evaluate_files
from .cases import Case


def score(case: Case, transform: Path | None, inverse: Path | None = None) -> dict[str, Any]:
    """Measures of `transform` (fixed -> moving point) by the keys of `table.MEASURES`, tre_p95_mm and tre_regions_mm.

    Those without truth are left out. Without `transform` it is the identity. With `inverse` (moving -> fixed point)
    also how far a point of the body is from where it was after both. Raises `InputError` naming the file at fault.
    """
    evaluation = evaluate_files(case.reference or case.fixed, transform, case.truth)
    scores = {key: evaluation[key] for key in ("folds_percent", "sdlogj", "sdlogj_l2r")}
    if "tre_mm" in evaluation:
        errors: Mapping[str, Mapping[str, float]] = evaluation["tre_mm"]
        scores["tre_mm"] = errors["all"]["mean"]
        scores["tre_p95_mm"] = errors["all"]["p95"]
        regions = {region: error["mean"] for region, error in errors.items() if region != "all"}
        scores["tre_regions_mm"] = regions or None
    if "dice" in evaluation:
        overlap = evaluation["dice"]
        missing = len(set(case.truth.scored or ()) - set(overlap["per_label"])) if case.absent_counts else 0
        scores["dice"] = overlap["mean"] * overlap["labels"] / (overlap["labels"] + missing)
        scores["hd95_mm"] = evaluation["hd95_mm"]
    if transform is not None and inverse is not None:
        scores["inverse_voxels"] = inverse_error(case, transform, inverse)
    return scores


def inverse_error(case: Case, transform: Path, inverse: Path) -> float | None:
    """Mean distance between a voxel of the fixed body and where `transform` and then `inverse` send it, voxels.

    None where no voxel of the body is sent into the moving volume.
    """
    import SimpleITK as sitk

    from ..images.grid import Grid
    from ..images.reading import read_transform, read_volume
    from ..inspection.body import body_mask
    from ..inspection.consistency import inverse_consistency

    fields, grids = [], []
    fixed, moving = read_volume(case.fixed), read_volume(case.moving)
    for image, path in ((fixed, transform), (moving, inverse)):
        field = sitk.TransformToDisplacementField(
            read_transform(path),
            sitk.sitkVectorFloat64,
            image.GetSize(),
            image.GetOrigin(),
            image.GetSpacing(),
            image.GetDirection(),
        )
        fields.append(sitk.GetArrayFromImage(field))
        grids.append(Grid.of(image))
    mask = body_mask(fixed, case.background)
    return inverse_consistency(fields[0], grids[0], fields[1], grids[1], mask=mask).get("mean_voxels")
