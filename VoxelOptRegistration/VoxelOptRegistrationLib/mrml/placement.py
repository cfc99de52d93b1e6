"""Where the moving volume stands: under a result, taken out of it again, or with it hardened into its voxels."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk

from ..errors import InputError
from .geometry import parent_chain
from .translation import tr as _


def is_applied(transform: slicer.vtkMRMLTransformNode | None, moving: slicer.vtkMRMLVolumeNode | None) -> bool:
    """Whether the moving volume stands under the transform."""
    return transform is not None and moving is not None and transform in parent_chain(moving)


def belongs(transform: slicer.vtkMRMLTransformNode | None, moving: slicer.vtkMRMLVolumeNode | None) -> bool:
    """Whether the transform is the result of registering this moving volume."""
    role = slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole()
    return transform is not None and moving is not None and transform.GetNodeReference(role) is moving


def take_out(transform: slicer.vtkMRMLTransformNode, moving: slicer.vtkMRMLVolumeNode) -> None:
    """Undo `apply_transform`: what stands directly under the transform, in moving's chain, leaves it."""
    below: slicer.vtkMRMLTransformableNode = moving
    for node in parent_chain(moving):
        if node is transform:
            below.SetAndObserveTransformNodeID(transform.GetTransformNodeID())
            return
        below = node


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a volume was: the transforms above it, nearest first, and what it was itself.

    image is the voxels themselves, not a copy; hardening gives the node others.
    """

    volume: slicer.vtkMRMLVolumeNode
    parents: tuple[tuple[slicer.vtkMRMLTransformableNode, str | None], ...]
    image: vtk.vtkImageData
    ijk_to_ras: vtk.vtkMatrix4x4

    @classmethod
    def of(cls, volume: slicer.vtkMRMLVolumeNode) -> Placement:
        """Where the volume is now."""
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        chain = [volume, *parent_chain(volume)]
        parents = tuple((node, node.GetTransformNodeID()) for node in chain)
        return cls(volume, parents, volume.GetImageData(), matrix)

    def restore(self) -> None:
        """Put the volume, and the transforms that it stood under, back; those that left the scene are passed over."""
        scene = self.volume.GetScene()
        if scene is None:
            return
        with slicer.util.NodeModify(self.volume):
            if self.volume.GetImageData() is not self.image:
                self.volume.SetAndObserveImageData(self.image)
            self.volume.SetIJKToRASMatrix(self.ijk_to_ras)
            for node, parent_id in self.parents:
                known = parent_id is None or scene.GetNodeByID(parent_id) is not None
                if node.GetScene() is scene and known and node.GetTransformNodeID() != parent_id:
                    node.SetAndObserveTransformNodeID(parent_id)


def harden(volume: slicer.vtkMRMLVolumeNode) -> Placement:
    """Write all transforms above the volume into its voxels, resampling them; returns where it was before.

    The volume keeps its spacing and axes and gets the room that the warped voxels need, so its size changes. Raises
    `InputError` for a volume under no transform.
    """
    if volume.GetParentTransformNode() is None:
        raise InputError(
            _("'{name}' is under no transform.").format(name=volume.GetName()), _("Apply the registration to it first.")
        )
    before = Placement.of(volume)
    volume.HardenTransform()
    return before
