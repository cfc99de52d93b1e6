"""How the output volumes look when they appear: windows and colours, also where Slicer's own tables are absent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

TABLE_ATTRIBUTE = "VoxelOptRegistration.ColorTable"
VIRIDIS_ID = "vtkMRMLColorTableNodeFileViridis.txt"
FOLD_COLOR = (1.0, 0.0, 1.0)
JACOBIAN_LIMIT = 2.0
ERROR_LIMIT = 6.0
"""mm, where the colours of the expected error end."""

Color = tuple[float, float, float]
_JACOBIAN_STOPS: Sequence[Color] = (
    (0.10, 0.25, 0.65),
    (0.45, 0.65, 0.90),
    (0.97, 0.97, 0.97),
    (0.95, 0.60, 0.45),
    (0.65, 0.08, 0.12),
)
_ENTROPY_STOPS: Sequence[Color] = (
    (0.10, 0.05, 0.25),
    (0.20, 0.25, 0.55),
    (0.12, 0.50, 0.58),
    (0.40, 0.75, 0.42),
    (0.99, 0.93, 0.40),
)


def show_warped(node: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give the warped volume the window, threshold and colours of the moving one."""
    node.CreateDefaultDisplayNodes()
    display, source = node.GetDisplayNode(), moving.GetDisplayNode()
    if source is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(source.GetWindow(), source.GetLevel())
        display.SetAutoThreshold(False)
        display.SetThreshold(source.GetLowerThreshold(), source.GetUpperThreshold())
        display.SetApplyThreshold(source.GetApplyThreshold())
        display.SetInterpolate(source.GetInterpolate())
        if source.GetColorNode() is not None:
            display.SetAndObserveColorNodeID(source.GetColorNodeID())


def show_entropy(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show displacement entropy from 0 (dark: one displacement fits) to 1 (bright: no signal decides)."""
    scene = node.GetScene()
    table = scene.GetNodeByID(VIRIDIS_ID) or color_table(scene, "entropy", "Displacement entropy", entropy_colors())
    _show(node, table, 0.0, 1.0)


def show_expected_error(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show the expected error from 0 (dark) to `ERROR_LIMIT` mm (bright)."""
    scene = node.GetScene()
    table = scene.GetNodeByID(VIRIDIS_ID) or color_table(scene, "entropy", "Displacement entropy", entropy_colors())
    _show(node, table, 0.0, ERROR_LIMIT)


def show_jacobian(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show the Jacobian determinant from 0 to 2: blue below 1, white at 1, red above, folds (0 and below) in magenta.

    The first of the 256 colours is what stands at or below 0, so the window starts one colour step below 0.
    """
    table = color_table(node.GetScene(), "jacobian", "Jacobian determinant (folds in magenta)", jacobian_colors())
    _show(node, table, -JACOBIAN_LIMIT / 254, JACOBIAN_LIMIT)


def jacobian_colors() -> np.ndarray:
    """(256, 3) colours in [0, 1]: magenta, then 255 of a diverging scale whose middle is white."""
    return np.vstack([FOLD_COLOR, _ramp(_JACOBIAN_STOPS, 255)])


def entropy_colors() -> np.ndarray:
    """(256, 3) colours in [0, 1] whose lightness rises throughout."""
    return _ramp(_ENTROPY_STOPS, 256)


def color_table(scene: slicer.vtkMRMLScene, key: str, name: str, colors: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    """The scene's own table `key`, added where it is not there yet; saved with the scene."""
    existing = scene.GetNodesByClass("vtkMRMLColorTableNode")
    existing.UnRegister(None)
    for index in range(existing.GetNumberOfItems()):
        node = existing.GetItemAsObject(index)
        if node.GetAttribute(TABLE_ATTRIBUTE) == key:
            return node
    table = scene.CreateNodeByClass("vtkMRMLColorTableNode")
    table.UnRegister(None)
    table.SetName(scene.GenerateUniqueName(name))
    table.SetTypeToUser()
    table.SetAttribute(TABLE_ATTRIBUTE, key)
    table.SetAttribute("Category", "VoxelOptRegistration")
    table.SetNumberOfColors(len(colors))
    for index, (red, green, blue) in enumerate(colors):
        table.SetColor(index, str(index), float(red), float(green), float(blue), 1.0)
    return scene.AddNode(table)


def _show(node: slicer.vtkMRMLScalarVolumeNode, table: slicer.vtkMRMLColorNode, low: float, high: float) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(table.GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(low, high)
        display.SetApplyThreshold(False)


def _ramp(stops: Sequence[Color], count: int) -> np.ndarray:
    """(count, 3) colours, linear between equally spaced stops."""
    position = np.linspace(0.0, len(stops) - 1.0, count)
    return np.stack([np.interp(position, np.arange(len(stops)), channel) for channel in np.transpose(stops)], axis=1)
