"""What the slice viewers show: read, set and put back. Without slice viewers nothing happens."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from ..mrml.geometry import array_from_matrix


@dataclass(frozen=True)
class Layers:
    """The three layers of one slice viewer, by node ID, their opacities, and whether the viewer follows the others."""

    background: str | None
    foreground: str | None
    label: str | None
    foreground_opacity: float
    label_opacity: float
    compositing: int  # 0: the upper layer blended over the lower one
    linked: bool


@dataclass(frozen=True)
class Position:
    """Where one slice viewer looks: its plane (row by row), field of view and origin, mm."""

    slice_to_ras: tuple[float, ...]
    field_of_view: tuple[float, float, float]
    origin: tuple[float, float, float]


@dataclass(frozen=True)
class SavedViews:
    """What all slice viewers show, by composite node ID, where they look, by slice node ID, and how the crosshair is
    drawn, by its node's ID.
    """

    layers: dict[str, Layers]
    positions: dict[str, Position]
    crosshairs: dict[str, int]


def read_views(scene: slicer.vtkMRMLScene) -> SavedViews:
    """What every slice viewer shows now."""
    layers = {
        node.GetID(): Layers(
            node.GetBackgroundVolumeID(),
            node.GetForegroundVolumeID(),
            node.GetLabelVolumeID(),
            node.GetForegroundOpacity(),
            node.GetLabelOpacity(),
            node.GetCompositing(),
            bool(node.GetLinkedControl()),
        )
        for node in _nodes(scene, "vtkMRMLSliceCompositeNode")
    }
    positions = {
        node.GetID(): Position(
            tuple(array_from_matrix(node.GetSliceToRAS()).ravel()), node.GetFieldOfView(), node.GetXYZOrigin()
        )
        for node in _nodes(scene, "vtkMRMLSliceNode")
    }
    crosshairs = {node.GetID(): node.GetCrosshairMode() for node in _nodes(scene, "vtkMRMLCrosshairNode")}
    return SavedViews(layers, positions, crosshairs)


def restore_views(scene: slicer.vtkMRMLScene, saved: SavedViews) -> None:
    """Put back what `read_views` returned; volumes that have left the scene give empty layers."""
    for node in _nodes(scene, "vtkMRMLSliceCompositeNode"):
        if node.GetID() in saved.layers:
            _write(scene, node, saved.layers[node.GetID()])
    for node in _nodes(scene, "vtkMRMLSliceNode"):
        if node.GetID() in saved.positions:
            position = saved.positions[node.GetID()]
            with slicer.util.NodeModify(node):
                node.GetSliceToRAS().DeepCopy(position.slice_to_ras)
                node.SetFieldOfView(*position.field_of_view)
                node.SetXYZOrigin(*position.origin)
                node.UpdateMatrices()
    for node in _nodes(scene, "vtkMRMLCrosshairNode"):
        if node.GetID() in saved.crosshairs:
            node.SetCrosshairMode(saved.crosshairs[node.GetID()])


def set_layers(
    scene: slicer.vtkMRMLScene,
    background: slicer.vtkMRMLVolumeNode,
    foreground: slicer.vtkMRMLVolumeNode | None = None,
    opacity: float = 0.5,
    label: slicer.vtkMRMLVolumeNode | None = None,
) -> None:
    """Show these in all slice viewers, linked."""
    layers = Layers(_id(background), _id(foreground), _id(label), opacity, 1.0, 0, True)
    for node in _nodes(scene, "vtkMRMLSliceCompositeNode"):
        _write(scene, node, layers)


def set_foreground_opacity(scene: slicer.vtkMRMLScene, opacity: float) -> None:
    """Of all slice viewers, 0 to 1."""
    for node in _nodes(scene, "vtkMRMLSliceCompositeNode"):
        node.SetForegroundOpacity(opacity)


def fit_viewers() -> None:
    """Fit every slice viewer to what it shows; without the application there are none."""
    application = getattr(slicer, "app", None)
    manager = application.layoutManager() if application is not None else None
    if manager is not None:
        for name in manager.sliceViewNames():
            manager.sliceWidget(name).sliceLogic().FitSliceToBackground()


def _write(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLSliceCompositeNode, layers: Layers) -> None:
    def present(identifier: str | None) -> str | None:
        return identifier if identifier and scene.GetNodeByID(identifier) is not None else None

    with slicer.util.NodeModify(node):
        node.SetLinkedControl(layers.linked)
        node.SetBackgroundVolumeID(present(layers.background))
        node.SetForegroundVolumeID(present(layers.foreground))
        node.SetLabelVolumeID(present(layers.label))
        node.SetForegroundOpacity(layers.foreground_opacity)
        node.SetLabelOpacity(layers.label_opacity)
        node.SetCompositing(layers.compositing)


def _id(node: slicer.vtkMRMLNode | None) -> str | None:
    return None if node is None else node.GetID()


def _nodes(scene: slicer.vtkMRMLScene, kind: str) -> list[slicer.vtkMRMLNode]:
    collection = scene.GetNodesByClass(kind)
    collection.UnRegister(None)
    return [collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())]
