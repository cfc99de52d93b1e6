"""Applying a registration to other nodes: segmentations, models, markups, volumes, in either direction."""

from __future__ import annotations

from enum import Enum

import slicer
import vtk

from ..errors import InputError
from ..mrml.geometry import as_transform, matrix_from_array, to_world
from ..mrml.outputs import PREFIX
from ..mrml.record import Registration
from ..mrml.transforms import apply_transform
from ..mrml.translation import tr as _
from ..mrml.volumes import kind_of, place_volume
from .pair import changed_since
from .resampling import resample

_INVERSE_OF = "voxelOptInverseOf"


class Direction(Enum):
    """Where nodes are taken: onto the fixed volume from the moving one, or the other way."""

    TO_FIXED = "moving to fixed"
    TO_MOVING = "fixed to moving"


def transform_for(registration: Registration, direction: Direction) -> slicer.vtkMRMLTransformNode:
    """The transform that takes nodes there when they are put under it.

    Towards moving it is the run's inverse transform; where that was not kept, a transform that inverts the result is
    added to the scene, once.
    """
    if direction is Direction.TO_FIXED:
        return registration.transform
    if registration.inverse is not None:
        return registration.inverse
    scene = registration.transform.GetScene()
    collection = scene.GetNodesByClass("vtkMRMLTransformNode")
    collection.UnRegister(None)
    for index in range(collection.GetNumberOfItems()):
        node = collection.GetItemAsObject(index)
        if node.GetNodeReference(_INVERSE_OF) is registration.transform:
            break
    else:
        node = scene.AddNewNodeByClass(
            "vtkMRMLTransformNode", scene.GenerateUniqueName(f"{registration.name}, inverted")
        )
    node.CopyContent(registration.transform)
    node.Inverse()
    node.SetNodeReferenceID(_INVERSE_OF, registration.transform.GetID())
    node.SetAttribute(f"{PREFIX}.Role", "inverse")
    return node


def link(
    registration: Registration, node: slicer.vtkMRMLTransformableNode, direction: Direction
) -> slicer.vtkMRMLTransformNode:
    """Put `node`, with the transforms that it already has, under the transform; returns that. Can be taken back.

    Raises `InputError` for the registration's own volumes going the wrong way, and for what cannot be transformed.
    """
    _check(registration, node, direction)
    transform = transform_for(registration, direction)
    stays = registration.fixed if direction is Direction.TO_FIXED else registration.moving
    apply_transform(transform, node, stays)
    return transform


def copy(
    registration: Registration, node: slicer.vtkMRMLTransformableNode, direction: Direction
) -> slicer.vtkMRMLTransformableNode:
    """A copy of `node` with its own transforms and the registration applied for good; `node` stays as it is.

    Volumes come to lie on the lattice of the volume that they are taken to, label maps by nearest neighbour.
    """
    _check(registration, node, direction)
    transform = transform_for(registration, direction)
    target = registration.fixed if direction is Direction.TO_FIXED else registration.moving
    scene = registration.transform.GetScene()
    name = scene.GenerateUniqueName(f"{node.GetName()} on {target.GetName()}")
    made = scene.AddNewNodeByClass(node.GetClassName(), name)
    try:
        if node.IsA("vtkMRMLScalarVolumeNode"):
            _copy_volume(registration, node, made, transform, target)
        else:
            _copy_other(node, made, transform)
    except BaseException:
        scene.RemoveNode(made)
        raise
    made.SetName(name)
    return made


def _copy_volume(
    registration: Registration,
    node: slicer.vtkMRMLScalarVolumeNode,
    made: slicer.vtkMRMLScalarVolumeNode,
    transform: slicer.vtkMRMLTransformNode,
    target: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    labels = bool(node.IsA("vtkMRMLLabelMapVolumeNode"))
    placed = place_volume(target, "volume", ignored=registration.transform)
    fill = 0.0 if labels else float(slicer.util.arrayFromVolume(node).min())
    values = resample(node, placed.geometry, transform, ignored=transform, nearest=labels, fill=fill)
    slicer.util.updateVolumeFromArray(made, values)
    made.SetIJKToRASMatrix(matrix_from_array(placed.geometry.ijk_to_world))
    made.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        made.GetDisplayNode().CopyContent(node.GetDisplayNode())
        made.GetDisplayNode().SetAndObserveColorNodeID(node.GetDisplayNode().GetColorNodeID())


def _copy_other(
    node: slicer.vtkMRMLTransformableNode,
    made: slicer.vtkMRMLTransformableNode,
    transform: slicer.vtkMRMLTransformNode,
) -> None:
    made.CopyContent(node)
    made.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None and made.GetDisplayNode() is not None:
        made.GetDisplayNode().CopyContent(node.GetDisplayNode())
    whole = vtk.vtkGeneralTransform()
    whole.PostMultiply()
    whole.Concatenate(as_transform(to_world(node, transform)))
    onwards = vtk.vtkGeneralTransform()
    transform.GetTransformToWorld(onwards)
    whole.Concatenate(onwards)
    made.SetAndObserveTransformNodeID(None)
    made.ApplyTransform(whole)


def _check(registration: Registration, node: slicer.vtkMRMLTransformableNode, direction: Direction) -> None:
    if not node.IsA("vtkMRMLTransformableNode") or node.IsA("vtkMRMLTransformNode"):
        raise InputError(
            _("'{name}' is a {kind}.").format(name=node.GetName(), kind=kind_of(node)),
            _("Choose a volume, segmentation, model or markups."),
        )
    if node.IsA("vtkMRMLVolumeNode") and node.GetClassName() not in (
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLLabelMapVolumeNode",
    ):
        raise InputError(
            _("'{name}' is a {kind}.").format(name=node.GetName(), kind=kind_of(node)),
            _("Choose a volume with one value per voxel."),
        )
    stays = registration.fixed if direction is Direction.TO_FIXED else registration.moving
    if node is stays:
        raise InputError(
            _("'{name}' is where nodes are taken to.").format(name=node.GetName()),
            _("Choose the other direction, or another node."),
        )
    if node is registration.moving and "moving" in changed_since(registration):
        raise InputError(
            _("'{name}' was changed or moved after registration, so the result does not fit it any more.").format(
                name=node.GetName()
            ),
            _("If it was hardened, it lies on the fixed volume already; else undo the change."),
        )
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is None:
        raise InputError(_("'{name}' holds no voxels.").format(name=node.GetName()), _("Choose another volume."))
