"""Volume nodes as arrays in the world: what is handed to the worker, and where the outputs will stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..worker.data import ImageData
from .geometry import Geometry, ijk_to_ras, matrix_from_array, to_world
from .translation import tr as _


@dataclass(frozen=True)
class PlacedVolume:
    """The voxels of a volume node with all its parent transforms taken into account.

    array: (k, j, i), a view of the node's voxels (of a hardened copy's where `hardened`). geometry: its lattice in the
    world. A volume under a non-linear parent transform is resampled in the world (`hardened`), on its own axes and
    spacing with room for the warped bounds, because its voxels are no lattice there. ignored: the transform that
    counted as absent, for what belongs to the volume as well.
    """

    node: slicer.vtkMRMLScalarVolumeNode
    name: str
    array: np.ndarray
    geometry: Geometry
    hardened: bool
    ignored: slicer.vtkMRMLTransformNode | None = None

    def image_data(self) -> ImageData:
        """What the worker takes: the array, not copied, and its lattice in LPS mm."""
        return ImageData(self.array, self.geometry.index_to_lps)


def place_volume(
    node: slicer.vtkMRMLScalarVolumeNode, role: str, ignored: slicer.vtkMRMLTransformNode | None = None
) -> PlacedVolume:
    """Read a scalar volume node; `role` ("fixed volume") names it in errors, `ignored` is as in `to_world`.

    Leaves the node and the scene as they are. Raises `InputError` for anything but a 3-D scalar volume with voxels.
    """
    check_volume(node, role)
    mapping = to_world(node, ignored)
    if isinstance(mapping, np.ndarray):
        geometry = Geometry(node.GetImageData().GetDimensions(), mapping @ ijk_to_ras(node))
        return PlacedVolume(node, node.GetName(), slicer.util.arrayFromVolume(node), geometry, False, ignored)
    copy = _hardened(node, mapping)
    geometry = Geometry(copy.GetImageData().GetDimensions(), ijk_to_ras(copy))
    return PlacedVolume(node, node.GetName(), slicer.util.arrayFromVolume(copy), geometry, True, ignored)


def check_volume(node: slicer.vtkMRMLScalarVolumeNode, role: str) -> None:
    """Raise `InputError` unless `node` is a 3-D scalar volume with voxels, in the scene."""
    if node is None:
        raise InputError(_("No {role} is selected.").format(role=role), _("Choose a {role}.").format(role=role))
    if not node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(
            _("The {role} '{name}' is a {kind}.").format(role=role, name=node.GetName(), kind=kind_of(node)),
            _("Choose a scalar volume."),
        )
    if node.GetScene() is not slicer.mrmlScene:
        raise InputError(
            _("The {role} '{name}' is not in the scene.").format(role=role, name=node.GetName()),
            _("Add it to the scene first."),
        )
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(
            _("The {role} '{name}' holds no voxels.").format(role=role, name=node.GetName()),
            _("Load its image, or choose another volume."),
        )
    components = image.GetNumberOfScalarComponents()
    if components != 1 or node.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise InputError(
            _("The {role} '{name}' has {count} values per voxel.").format(
                role=role, name=node.GetName(), count=components
            ),
            _("Choose a volume with one value per voxel, for example one frame or one channel of it."),
        )
    size = image.GetDimensions()
    if min(size) < 2:
        raise InputError(
            _("The {role} '{name}' has {x} x {y} x {z} voxels.").format(
                role=role, name=node.GetName(), x=size[0], y=size[1], z=size[2]
            ),
            _("Choose a 3-D volume."),
        )
    if abs(np.linalg.det(ijk_to_ras(node)[:3, :3])) < 1e-12:
        raise InputError(
            _("The {role} '{name}' has a spacing of zero.").format(role=role, name=node.GetName()),
            _("Correct its spacing in the Volumes module."),
        )


def kind_of(node: slicer.vtkMRMLNode) -> str:
    """The kind of a node in words, for errors: "label map volume"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", node.GetNodeTagName()).lower()


def _hardened(node: slicer.vtkMRMLScalarVolumeNode, mapping: vtk.vtkGeneralTransform) -> slicer.vtkMRMLScalarVolumeNode:
    """A copy of `node` resampled in the world. It never enters the scene, so nothing has to be removed from it."""
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetAndObserveImageData(node.GetImageData())
    copy.SetIJKToRASMatrix(matrix_from_array(ijk_to_ras(node)))
    copy.ApplyTransform(mapping)
    return copy
