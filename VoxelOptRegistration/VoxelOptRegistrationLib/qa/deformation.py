"""The deformation itself in the slice viewers: a warped grid and arrows.

Both are drawn by Slicer from the transform's ToParent direction, which carries moving tissue onto the fixed volume: the
grid is one that was regular in the moving volume, an arrow starts where tissue was and ends where it comes to lie.
"""

from __future__ import annotations

import slicer

from .scratch import KEY_ATTRIBUTE, find_scratch, scratch_node

COLOR_STOPS = ((0.0, 0.3, 0.9, 1.0), (10.0, 0.5, 1.0, 0.4), (20.0, 1.0, 0.9, 0.2), (40.0, 1.0, 0.4, 0.2))
"""Length in mm, red, green, blue."""
GRID, ARROWS = "deformation grid", "deformation arrows"


def show_grid(transform: slicer.vtkMRMLTransformNode, visible: bool, spacing_mm: float) -> None:
    """Draw, or stop drawing, the grid whose lines lay `spacing_mm` apart."""
    display = _display(transform, GRID, visible)
    if display is not None:
        with slicer.util.NodeModify(display):
            display.SetVisualizationMode(display.VIS_MODE_GRID)
            display.SetGridSpacingMm(spacing_mm)
            display.SetGridResolutionMm(max(1.0, spacing_mm / 5))
            display.SetGridScalePercent(100)
            display.SetVisibility2D(True)
            display.SetVisibility(True)


def show_arrows(transform: slicer.vtkMRMLTransformNode, visible: bool, spacing_mm: float) -> None:
    """Draw, or stop drawing, arrows of true length that start `spacing_mm` apart."""
    display = _display(transform, ARROWS, visible)
    if display is not None:
        with slicer.util.NodeModify(display):
            display.SetVisualizationMode(display.VIS_MODE_GLYPH)
            display.SetGlyphType(display.GLYPH_TYPE_ARROW)
            display.SetGlyphSpacingMm(spacing_mm)
            display.SetGlyphScalePercent(100)
            display.SetGlyphDisplayRangeMinMm(0.0)
            display.SetGlyphDisplayRangeMaxMm(1000.0)
            display.SetVisibility2D(True)
            display.SetVisibility(True)


def _colors(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLProceduralColorNode:
    """Colours by the length of the displacement, mm; bright ones, to stand out from grey images."""
    node = scratch_node(scene, "deformation colors", "vtkMRMLProceduralColorNode", "Deformation, colors")
    function = node.GetColorTransferFunction()
    if function.GetSize() == 0:
        for length_mm, red, green, blue in COLOR_STOPS:
            function.AddRGBPoint(length_mm, red, green, blue)
    return node


def _display(
    transform: slicer.vtkMRMLTransformNode, key: str, visible: bool
) -> slicer.vtkMRMLTransformDisplayNode | None:
    """A display node of the transform's for this purpose alone; None, and none is left, where it is not visible."""
    scene = transform.GetScene()
    display = find_scratch(scene, key)
    if display is not None and (not visible or display.GetDisplayableNode() is not transform):
        scene.RemoveNode(display)
        display = None
    if visible and display is None:
        display = slicer.vtkMRMLTransformDisplayNode()
        display.SetName(key.capitalize())
        display.SetSaveWithScene(False)
        display.SetVisibility(False)
        display.SetAttribute(KEY_ATTRIBUTE, key)
        display = scene.AddNode(display)
        display.SetAndObserveColorNodeID(_colors(scene).GetID())
        transform.AddAndObserveDisplayNodeID(display.GetID())
    return display
