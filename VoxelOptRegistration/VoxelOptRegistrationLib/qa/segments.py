"""What a registration does to each segment: change of volume, folds, certainty, and overlap where both have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..errors import ComputationError, InputError
from ..mrml.geometry import Geometry, as_transform, to_world
from ..mrml.masks import segment_values
from ..mrml.rasterisation import oriented_image, paint
from ..mrml.record import Registration
from ..mrml.translation import tr as _
from ..mrml.volumes import place_volume
from .pair import matches


@dataclass(frozen=True)
class SegmentMeasure:
    """One structure; None where it cannot be told.

    volume_ml: in the fixed volume. change_percent: how much larger the same tissue is in the moving volume, by the mean
    Jacobian determinant. jacobian_min, folds (voxels), entropy (mean): inside it. dice_before, dice_after: overlap of
    the two segmentations on the fixed lattice.
    """

    name: str
    volume_ml: float
    change_percent: float | None
    jacobian_min: float | None
    folds: int | None
    entropy: float | None
    dice_before: float | None
    dice_after: float | None


def segment_measures(
    registration: Registration,
    fixed_node: slicer.vtkMRMLNode | None,
    moving_node: slicer.vtkMRMLNode | None,
) -> list[SegmentMeasure]:
    """Every structure of the fixed segmentation, those of the moving one with the same name compared with them.

    Segmentations or label maps, parent transforms taken into account. Without a fixed one, the moving structures are
    carried over and measured instead. Raises `InputError` for other nodes and where neither is given.
    """
    if fixed_node is None and moving_node is None:
        raise InputError(_("No segmentation is chosen."), _("Choose the fixed or the moving segmentation, or both."))
    fixed = place_volume(registration.fixed, _("fixed volume"))
    lattice = fixed.geometry
    here = _structures(fixed_node, lattice, None, None) if fixed_node is not None else {}
    before, after = {}, {}
    if moving_node is not None:
        before = _structures(moving_node, lattice, None, registration.transform)
        after = _structures(moving_node, lattice, registration.transform, registration.transform)
    maps = [_values(node, lattice) for node in (registration.jacobian, registration.entropy)]
    millilitres = abs(float(np.linalg.det(lattice.ijk_to_world[:3, :3]))) / 1000
    rows = []
    for name, mask in (here or after).items():
        dice: tuple[float | None, float | None] = (None, None)
        if name in here and name in after:
            dice = (_dice(mask, before[name]), _dice(mask, after[name]))
        rows.append(_measure(name, mask, maps[0], maps[1], millilitres, dice))
    return rows


def _measure(
    name: str,
    mask: np.ndarray,
    jacobian: np.ndarray | None,
    entropy: np.ndarray | None,
    voxel_ml: float,
    dice: tuple[float | None, float | None],
) -> SegmentMeasure:
    determinants = jacobian[mask] if jacobian is not None else np.empty(0)
    uncertainty = entropy[mask] if entropy is not None else np.empty(0)
    known = determinants.size > 0
    return SegmentMeasure(
        name,
        voxel_ml * int(np.count_nonzero(mask)),
        100.0 * (float(determinants.mean(dtype=np.float64)) - 1.0) if known else None,
        float(determinants.min()) if known else None,
        int(np.count_nonzero(determinants <= 0)) if known else None,
        float(uncertainty.mean(dtype=np.float64)) if uncertainty.size else None,
        *dice,
    )


def _structures(
    node: slicer.vtkMRMLNode,
    lattice: Geometry,
    result: slicer.vtkMRMLTransformNode | None,
    ignored: slicer.vtkMRMLTransformNode | None,
) -> dict[str, np.ndarray]:
    """Masks of a segmentation or label map by name, bool (k, j, i), carried over by `result` where it is given."""
    mapping = vtk.vtkGeneralTransform()
    mapping.PostMultiply()
    mapping.Concatenate(as_transform(to_world(node, ignored)))
    if result is not None:
        carried = vtk.vtkGeneralTransform()
        result.GetTransformToWorld(carried)
        mapping.Concatenate(carried)
    values = segment_values(node, _("segmentation"))
    if values is None:
        labels = np.zeros(lattice.shape, slicer.util.arrayFromVolume(node).dtype)
        paint(labels, oriented_image(node.GetImageData(), node), lattice, mapping, None)
        present = np.unique(slicer.util.arrayFromVolume(node))
        return {_label_name(node, int(value)): labels == value for value in present if value}
    return {
        node.GetSegmentation().GetSegment(identifier).GetName(): _mask(node, identifier, lattice, mapping)
        for identifier in values
    }


def _mask(
    node: slicer.vtkMRMLSegmentationNode, identifier: str, lattice: Geometry, mapping: vtk.vtkGeneralTransform
) -> np.ndarray:
    image = slicer.vtkOrientedImageData()
    mask = np.zeros(lattice.shape, np.uint8)
    if not slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentBinaryLabelmapRepresentation(
        node, identifier, image, False
    ):
        name = node.GetSegmentation().GetSegment(identifier).GetName()
        raise ComputationError(
            _("Segment '{segment}' of '{name}' could not be turned into a label map.").format(
                segment=name, name=node.GetName()
            ),
            _("Export the segmentation to a label map in the Segmentations module, and choose that."),
        )
    paint(mask, image, lattice, mapping, 1)
    return mask != 0


def _label_name(node: slicer.vtkMRMLLabelMapVolumeNode, value: int) -> str:
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    name = colors.GetColorName(value) if colors is not None else None
    return f"{name} ({value})" if name and name != str(value) else f"label {value}"


def _dice(one: np.ndarray, other: np.ndarray) -> float | None:
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2.0 * int(np.count_nonzero(one & other)) / total if total else None


def _values(node: slicer.vtkMRMLScalarVolumeNode | None, lattice: Geometry) -> np.ndarray | None:
    """Voxels of a map of the run, (k, j, i); None where it is gone or lies on another lattice."""
    return slicer.util.arrayFromVolume(node) if node is not None and matches(node, lattice) else None
