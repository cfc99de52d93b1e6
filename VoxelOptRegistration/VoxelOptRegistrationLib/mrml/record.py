"""A finished registration as the scene remembers it: its nodes and its report, also after saving and loading."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import slicer

from .geometry import parent_chain
from .outputs import PREFIX, OutputNodes

ROLE_ATTRIBUTE = f"{PREFIX}.Role"
ROLE = "report"


@dataclass(frozen=True, eq=False)
class Registration:
    """The nodes of one registration and its report (see `inspection.report`); nodes that were not kept are None.

    transform, inverse: `RegistrationResult`'s. warped, entropy, jacobian, expected_error (mm): volumes on the fixed
    lattice.
    """

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    transform: slicer.vtkMRMLTransformNode
    report: dict[str, Any]
    warped: slicer.vtkMRMLScalarVolumeNode | None = None
    entropy: slicer.vtkMRMLScalarVolumeNode | None = None
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    inverse: slicer.vtkMRMLTransformNode | None = None
    expected_error: slicer.vtkMRMLScalarVolumeNode | None = None

    @classmethod
    def of(
        cls,
        fixed: slicer.vtkMRMLScalarVolumeNode,
        moving: slicer.vtkMRMLScalarVolumeNode,
        outputs: OutputNodes,
        report: dict[str, Any],
    ) -> Registration:
        """A run that has written `outputs`, its transform among them."""
        assert outputs.transform is not None
        maps = (outputs.volume, outputs.entropy, outputs.jacobian)
        return cls(fixed, moving, outputs.transform, report, *maps, outputs.inverse, outputs.expected_error)

    @property
    def name(self) -> str:
        """What users know it by: its transform's name."""
        return str(self.transform.GetName())

    @property
    def applied(self) -> bool:
        """Whether the moving volume stands under the transform."""
        return self.transform in parent_chain(self.moving)


_NODES = [entry.name for entry in fields(Registration) if entry.name != "report"]
_ROLES = {name: "voxelOpt" + name.title().replace("_", "") for name in _NODES}


def remember(registration: Registration) -> slicer.vtkMRMLTextNode:
    """Keep the registration in its transform's scene; one that has the same transform is replaced.

    The text node holds the report as JSON inside the scene file itself, and refers to the nodes.
    """
    scene = registration.transform.GetScene()
    node = _node_of(registration.transform)
    if node is None:
        node = slicer.vtkMRMLTextNode()
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeNever)
        node.SetName(scene.GenerateUniqueName(f"{registration.name}: report"))
        node = scene.AddNode(node)
    with slicer.util.NodeModify(node):
        node.SetAttribute(ROLE_ATTRIBUTE, ROLE)
        node.SetText(json.dumps(registration.report))
        for name, role in _ROLES.items():
            referred = getattr(registration, name)
            node.SetNodeReferenceID(role, referred.GetID() if referred is not None else None)
    return node


def recall(transform: slicer.vtkMRMLTransformNode | None) -> Registration | None:
    """The registration whose result `transform` is; None if there is none or its volumes have left the scene."""
    node = _node_of(transform) if transform is not None else None
    if node is None:
        return None
    nodes = {name: node.GetNodeReference(role) for name, role in _ROLES.items()}
    if nodes["fixed"] is None or nodes["moving"] is None:
        return None
    try:
        report = json.loads(node.GetText() or "{}")
    except ValueError:
        report = {}
    return Registration(report=report if isinstance(report, dict) else {}, **nodes)


def registrations(scene: slicer.vtkMRMLScene) -> list[Registration]:
    """All registrations that the scene remembers, oldest first."""
    found = [recall(node.GetNodeReference(_ROLES["transform"])) for node in _nodes(scene)]
    return [registration for registration in found if registration is not None]


def _nodes(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLTextNode]:
    collection = scene.GetNodesByClass("vtkMRMLTextNode")
    collection.UnRegister(None)
    nodes = [collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())]
    return [node for node in nodes if node.GetAttribute(ROLE_ATTRIBUTE) == ROLE]


def _node_of(transform: slicer.vtkMRMLTransformNode) -> slicer.vtkMRMLTextNode | None:
    scene = transform.GetScene()
    matching = [node for node in _nodes(scene) if node.GetNodeReference(_ROLES["transform"]) is transform]
    return matching[0] if matching else None
