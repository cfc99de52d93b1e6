"""Masks and labels, from label map volumes or segmentations, on the lattice of the volume that they belong to."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import slicer
import vtk

from ..errors import ComputationError, InputError
from ..worker.data import ImageData
from .geometry import Geometry, ijk_to_ras, to_world
from .rasterisation import oriented_image, paint
from .translation import tr as _
from .volumes import PlacedVolume, kind_of


def mask_image(
    node: slicer.vtkMRMLNode | None, reference: PlacedVolume, role: str, segments: Collection[str] = ()
) -> ImageData | None:
    """Mask of a label map (every label counts) or a segmentation: uint8 0 or 1, (k, j, i).

    segments: the IDs of the segments that count; none for all of them.

    Parent transforms of the node are taken into account, linear or not; labels are resampled with nearest neighbour.
    Where `reference` is a hardened copy, what lies outside the original is masked out, also without a node; else no
    node gives no mask. Raises `InputError` for another kind of node and where no voxel of `reference` is inside.
    """
    if node is None:
        return ImageData(_field_of_view(reference), reference.geometry.index_to_lps) if reference.hardened else None
    values = segment_values(node, role)
    if values is not None and segments:
        gone = [identifier for identifier in segments if identifier not in values]
        if gone:
            raise InputError(
                _("The {role} '{name}' has no segment '{segment}' any more.").format(
                    role=role, name=node.GetName(), segment=gone[0]
                ),
                _("Choose its segments again."),
            )
        values = {identifier: value for identifier, value in values.items() if identifier in segments}
    labels = label_array(node, reference, role, values)
    mask = (labels != 0).astype(np.uint8)
    if reference.hardened:
        mask &= _field_of_view(reference)
    if not mask.any():
        raise InputError(
            _("The {role} '{name}' covers no voxel of '{volume}'.").format(
                role=role, name=node.GetName(), volume=reference.name
            ),
            _("Check that it was drawn on this volume and is not empty, or leave the mask out."),
        )
    return ImageData(mask, reference.geometry.index_to_lps)


def label_images(
    fixed_node: slicer.vtkMRMLNode, moving_node: slicer.vtkMRMLNode, fixed: PlacedVolume, moving: PlacedVolume
) -> tuple[ImageData, ImageData]:
    """Labels of both volumes, with the same number for the same structure: (fixed, moving), integer arrays (k, j, i).

    Segments are matched by name, label maps by value. Raises `InputError` where the two kinds are mixed, no name is
    common, or a label map or segmentation covers no voxel of its volume.
    """
    values = [
        segment_values(fixed_node, _("fixed segmentation")),
        segment_values(moving_node, _("moving segmentation")),
    ]
    if (values[0] is None) != (values[1] is None):
        raise InputError(
            _("'{fixed}' and '{moving}' are a label map and a segmentation.").format(
                fixed=fixed_node.GetName(), moving=moving_node.GetName()
            ),
            _("Give two label maps or two segmentations."),
        )
    if values[0] is not None and values[1] is not None:
        values = list(_matched(fixed_node, moving_node))
    images = []
    for node, placed, role, numbers in (
        (fixed_node, fixed, _("fixed segmentation"), values[0]),
        (moving_node, moving, _("moving segmentation"), values[1]),
    ):
        labels = label_array(node, placed, role, numbers)
        if labels.dtype.kind == "f":
            labels = np.rint(labels).astype(np.int32)
        if not labels.any():
            raise InputError(
                _("The {role} '{name}' covers no voxel of '{volume}'.").format(
                    role=role, name=node.GetName(), volume=placed.name
                ),
                _("Check that it belongs to this volume and is not empty."),
            )
        images.append(ImageData(labels, placed.geometry.index_to_lps))
    return images[0], images[1]


def segment_values(node: slicer.vtkMRMLNode, role: str) -> dict[str, int] | None:
    """Number for each segment ID of a segmentation, from 1 in order; None for a label map volume."""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return None
    if not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(
            _("The {role} '{name}' is a {kind}.").format(role=role, name=node.GetName(), kind=kind_of(node)),
            _("Choose a segmentation or a label map."),
        )
    identifiers = vtk.vtkStringArray()
    node.GetSegmentation().GetSegmentIDs(identifiers)
    return {identifiers.GetValue(index): index + 1 for index in range(identifiers.GetNumberOfValues())}


def label_array(
    node: slicer.vtkMRMLNode, reference: PlacedVolume, role: str, values: dict[str, int] | None
) -> np.ndarray:
    """Labels of `node` on the lattice of `reference`, (k, j, i); `values` is None for a label map.

    Where segments overlap, the one with the higher number wins. A label map on the same lattice is returned as it is,
    not copied.
    """
    local_to_world = to_world(node, reference.ignored)
    if values is None:
        image = node.GetImageData()
        if image is None or image.GetPointData().GetScalars() is None:
            raise InputError(
                _("The {role} '{name}' holds no voxels.").format(role=role, name=node.GetName()),
                _("Choose another label map."),
            )
        if isinstance(local_to_world, np.ndarray):
            own = Geometry(image.GetDimensions(), local_to_world @ ijk_to_ras(node))
            if own.matches(reference.geometry):
                return slicer.util.arrayFromVolume(node)
        oriented = oriented_image(image, node)
        result = np.zeros(reference.geometry.shape, dtype=slicer.util.arrayFromVolume(node).dtype)
        paint(result, oriented, reference.geometry, local_to_world, None)
        return result
    result = np.zeros(reference.geometry.shape, dtype=np.int16)
    for identifier, value in values.items():
        oriented = slicer.vtkOrientedImageData()
        if not slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentBinaryLabelmapRepresentation(
            node, identifier, oriented, False
        ):
            name = node.GetSegmentation().GetSegment(identifier).GetName()
            raise ComputationError(
                _("Segment '{segment}' of the {role} '{name}' could not be turned into a label map.").format(
                    segment=name, role=role, name=node.GetName()
                ),
                _("Export the segmentation to a label map in the Segmentations module, and choose that."),
            )
        paint(result, oriented, reference.geometry, local_to_world, value)
    return result


def _field_of_view(volume: PlacedVolume) -> np.ndarray:
    """Where the lattice of `volume` lies inside the original voxels of its node: uint8 0 or 1, (k, j, i)."""
    everywhere = vtk.vtkImageData()
    everywhere.SetDimensions(volume.node.GetImageData().GetDimensions())
    everywhere.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    everywhere.GetPointData().GetScalars().Fill(1)
    inside = np.zeros(volume.geometry.shape, np.uint8)
    paint(inside, oriented_image(everywhere, volume.node), volume.geometry, to_world(volume.node, volume.ignored), None)
    return inside


def _matched(fixed_node: slicer.vtkMRMLNode, moving_node: slicer.vtkMRMLNode) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers by segment name, from 1 in the fixed order: those of both nodes, by segment ID."""
    names = []
    for node in (fixed_node, moving_node):
        segmentation = node.GetSegmentation()
        identifiers = segment_values(node, _("segmentation")) or {}
        names.append({segmentation.GetSegment(identifier).GetName(): identifier for identifier in identifiers})
    common = [name for name in names[0] if name in names[1]]
    if not common:
        raise InputError(
            _("No segment of '{fixed}' has the name of a segment of '{moving}'.").format(
                fixed=fixed_node.GetName(), moving=moving_node.GetName()
            ),
            _("Give the same structure the same name in both."),
        )
    numbers = {name: index + 1 for index, name in enumerate(common)}
    fixed, moving = ({by_name[name]: numbers[name] for name in common} for by_name in names)
    return fixed, moving
