"""The result as nodes of the scene: which may take it, where they stand, what they are called, where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import slicer
import vtk

from ..errors import InputError
from .display import show_entropy, show_expected_error, show_jacobian, show_warped
from .geometry import ijk_to_ras, matrix_from_array, parent_chain, to_world
from .prepared import PreparedOutputs
from .transforms import set_resampling
from .translation import tr as _
from .volumes import PlacedVolume, kind_of

PREFIX = "VoxelOptRegistration"
DEFAULT_OUTPUTS = frozenset({"transform", "volume", "entropy", "jacobian", "expected_error"})


@dataclass(frozen=True, eq=False)
class OutputNodes:
    """Nodes that take the result; None: created on success where it is among the outputs wanted, else left out."""

    transform: slicer.vtkMRMLTransformNode | None = None
    volume: slicer.vtkMRMLScalarVolumeNode | None = None
    entropy: slicer.vtkMRMLScalarVolumeNode | None = None
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    inverse: slicer.vtkMRMLTransformNode | None = None
    expected_error: slicer.vtkMRMLScalarVolumeNode | None = None

    def given(self) -> dict[str, slicer.vtkMRMLNode]:
        """The nodes that are there, by field name."""
        return {entry.name: node for entry in fields(self) if (node := getattr(self, entry.name)) is not None}


_TITLES = {
    "transform": "displacement",
    "volume": "warped",
    "entropy": "displacement entropy",
    "jacobian": "Jacobian determinant",
    "inverse": "inverse displacement",
    "expected_error": "expected error",
}
_MEANINGS = {
    "transform": "Displacement in mm that resamples the moving volume onto the fixed one "
    "(FromParent: fixed point to moving point).",
    "volume": "Moving volume resampled onto the fixed grid.",
    "entropy": "Entropy of the displacement candidates per voxel, 0 (one fits) to 1 (no signal), no unit.",
    "jacobian": "Jacobian determinant of fixed point to moving point, no unit; above 1 the tissue is larger in the "
    "moving than in the fixed volume, 0 or below is a fold.",
    "inverse": "Displacement in mm that resamples the fixed volume onto the moving one "
    "(FromParent: moving point to fixed point).",
    "expected_error": "Expected length of the error of the displacement, mm.",
}


def output_words(name: str) -> str:
    """What an output, by its field of `OutputNodes`, is called in texts for users."""
    return {
        "transform": _("output transform"),
        "volume": _("output volume"),
        "entropy": _("output displacement entropy"),
        "jacobian": _("output Jacobian determinant"),
        "inverse": _("output inverse transform"),
        "expected_error": _("output expected error"),
    }[name]


def check_outputs(outputs: OutputNodes, inputs: Mapping[str, slicer.vtkMRMLNode | None]) -> None:
    """Raise `InputError` for an output node of the wrong kind, not in the scene, chosen twice, or an input as well.

    inputs: the nodes that are read, by their title in errors. The initial transform may be overwritten: leave it out.
    """
    seen: dict[str, str] = {node.GetID(): title for title, node in inputs.items() if node is not None and node.GetID()}
    for name, node in outputs.given().items():
        title = output_words(name)
        grid = name in ("transform", "inverse")
        if not (_holds_grid(node) if grid else node.GetClassName() == "vtkMRMLScalarVolumeNode"):
            raise InputError(
                _("The {title} '{name}' is a {kind}.").format(title=title, name=node.GetName(), kind=kind_of(node)),
                _("Choose a general transform.") if grid else _("Choose a scalar volume."),
            )
        if node.GetScene() is not slicer.mrmlScene:
            raise InputError(
                _("The {title} '{name}' is not in the scene.").format(title=title, name=node.GetName()),
                _("Add it to the scene first."),
            )
        if node.GetID() in seen:
            raise InputError(
                _("'{name}' is chosen as {title} and as {other}.").format(
                    name=node.GetName(), title=title, other=seen[node.GetID()]
                ),
                _("Choose different nodes."),
            )
        seen[node.GetID()] = title


def check_chains(
    fixed: slicer.vtkMRMLTransformableNode,
    moving: slicer.vtkMRMLTransformableNode,
    outputs: OutputNodes,
    initial: slicer.vtkMRMLTransformNode | None,
) -> None:
    """Raise `InputError` where writing the result would move the inputs, or the initial transform would count twice.

    The one exception is a moving volume that an earlier run's result was applied to: its topmost transform may be the
    output, which is then left out of where moving is.
    """
    for node in (outputs.transform, outputs.inverse):
        chain = parent_chain(moving)
        allowed = node is outputs.transform and chain and chain[-1] is node
        if node is not None and (node in parent_chain(fixed) or (node in chain and not allowed)):
            raise InputError(
                _("The output transform '{name}' already acts on the fixed or the moving volume.").format(
                    name=node.GetName()
                ),
                _("Choose another output transform, or take the volume out of it."),
            )
    acting = [chained for chained in parent_chain(moving) if chained is not outputs.transform]
    if initial is not None and initial in acting:
        raise InputError(
            _("The initial transform '{transform}' already acts on '{volume}' and would count twice.").format(
                transform=initial.GetName(), volume=moving.GetName()
            ),
            _("Leave the initial transform empty: transforms that the volume stands under are respected."),
        )


def write_outputs(
    prepared: PreparedOutputs,
    outputs: OutputNodes,
    fixed: PlacedVolume,
    moving: PlacedVolume,
    provenance: Mapping[str, str],
) -> Generator[None, None, OutputNodes]:
    """Give the result to the given nodes and, where there is none for a part of it, to new ones; returns all of them.

    One node a step, so that the application can answer in between. Transforms stand in the world. Volumes take the
    fixed volume's IJK to RAS and parent transform where its voxels are still where they were when the run began; else
    (a non-linear parent, or one that has changed since) its lattice in the world. If something fails, or is thrown in,
    new nodes are removed.
    """
    scene = slicer.mrmlScene
    created: list[slicer.vtkMRMLNode] = []
    written: dict[str, slicer.vtkMRMLNode] = {}

    def obtain(name: str, kind: str) -> slicer.vtkMRMLNode:
        node = getattr(outputs, name)
        if node is None:
            title = f"{_TITLES[name][0].upper()}{_TITLES[name][1:]} ({moving.name} to {fixed.name})"
            node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(title))
            created.append(node)
        written[name] = node
        return node

    try:
        for name, transform in prepared.transforms.items():
            node = obtain(name, "vtkMRMLTransformNode")
            set_resampling(node, transform)
            _describe(node, name, fixed.node, moving.node, provenance)
            yield
        for name, image in prepared.images.items():
            node = obtain(name, "vtkMRMLScalarVolumeNode")
            if node.GetDisplayNode() is None or node.GetAttribute(f"{PREFIX}.Role") != name:
                # Before the voxels are there, else VTK would look through them for a window of its own.
                _show(name, node, moving.node)
            _place(node, image, fixed)
            _describe(node, name, fixed.node, moving.node, provenance)
            yield
    except BaseException:
        for node in reversed(created):
            _remove(node)
        raise
    for node in created:
        _put_beside(node, fixed.node)
    return replace(outputs, **written)


def provenance_attributes(
    version: str, date: str, settings: Mapping[str, Any], fixed: slicer.vtkMRMLNode, moving: slicer.vtkMRMLNode
) -> dict[str, str]:
    """What every output remembers about its origin, as node attributes without their prefix."""
    return {
        "Version": version,
        "Date": date,
        "Preset": str(settings.get("preset", "")),
        "Settings": json.dumps(settings, sort_keys=True),
        "FixedVolumeName": fixed.GetName(),
        "FixedVolumeID": fixed.GetID(),
        "MovingVolumeName": moving.GetName(),
        "MovingVolumeID": moving.GetID(),
    }


def _holds_grid(node: slicer.vtkMRMLNode) -> bool:
    return bool(node.GetClassName() in ("vtkMRMLTransformNode", "vtkMRMLGridTransformNode"))


def _place(node: slicer.vtkMRMLScalarVolumeNode, image: vtk.vtkImageData, fixed: PlacedVolume) -> None:
    matrix, parent_id = fixed.geometry.ijk_to_world, None
    now = to_world(fixed.node)
    if isinstance(now, np.ndarray) and np.allclose(now @ ijk_to_ras(fixed.node), matrix, rtol=0, atol=1e-6):
        matrix, parent_id = ijk_to_ras(fixed.node), fixed.node.GetTransformNodeID()
    with slicer.util.NodeModify(node):
        node.SetAndObserveImageData(image)
        node.SetIJKToRASMatrix(matrix_from_array(matrix))
        node.SetAndObserveTransformNodeID(parent_id)


def _describe(
    node: slicer.vtkMRMLNode,
    name: str,
    fixed: slicer.vtkMRMLNode,
    moving: slicer.vtkMRMLNode,
    provenance: Mapping[str, str],
) -> None:
    with slicer.util.NodeModify(node):
        for key, value in {**provenance, "Role": name, "Meaning": _MEANINGS[name]}.items():
            node.SetAttribute(f"{PREFIX}.{key}", value)
        roles = (
            slicer.vtkMRMLTransformNode.GetFixedNodeReferenceRole(),
            slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole(),
        )
        pair = (moving, fixed) if name == "inverse" else (fixed, moving)
        for role, reference in zip(roles, pair, strict=True):
            node.SetNodeReferenceID(role, reference.GetID())


def _show(name: str, node: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode) -> None:
    shown: dict[str, Callable[[], None]] = {
        "volume": lambda: show_warped(node, moving),
        "entropy": lambda: show_entropy(node),
        "jacobian": lambda: show_jacobian(node),
        "expected_error": lambda: show_expected_error(node),
    }
    shown[name]()


def _remove(node: slicer.vtkMRMLNode) -> None:
    scene = node.GetScene()
    if scene is None:
        return
    if node.IsA("vtkMRMLDisplayableNode"):
        for index in reversed(range(node.GetNumberOfDisplayNodes())):
            scene.RemoveNode(node.GetNthDisplayNode(index))
    scene.RemoveNode(node)


def _put_beside(node: slicer.vtkMRMLNode, sibling: slicer.vtkMRMLNode) -> None:
    """Put `node` into the folder or study of `sibling`; without Slicer's subject hierarchy plugins there is none."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    neighbour = hierarchy.GetItemByDataNode(sibling) if item else 0
    if item and neighbour:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(neighbour))
