"""Entropy and Jacobian maps as overlays: clear where nothing is wrong, so that the anatomy stays visible."""

from __future__ import annotations

import numpy as np
import slicer

from ..inspection.colours import FOLD, ColourScale, entropy_scale, jacobian_scale
from ..mrml.geometry import Geometry, ijk_to_ras
from .scratch import scratch_node, scratch_volume

COLORS = 256
CLEAR = 0.12
"""Where a scale would cover the anatomy less than this, nothing is drawn: a layer's colours are clear or not."""
JACOBIAN_RANGE = (0.001, 2.0)
ENTROPY_RANGE = (0.0, 1.0)


def entropy_overlay(entropy: slicer.vtkMRMLScalarVolumeNode, threshold: float) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume that shows `entropy` where it is at least `threshold`, 0 to 1."""
    node = _overlay(entropy, "entropy", "Displacement entropy", entropy_scale(), *ENTROPY_RANGE, folds=False)
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAutoThreshold(False)
        display.SetThreshold(threshold, 2.0)
        display.SetApplyThreshold(threshold > 0)
    return node


def jacobian_overlay(jacobian: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume that shows `jacobian`: blue below 1, clear at 1, orange above, folds in magenta.

    The first of the colours is what stands below 0.001, so the window starts one colour step below that.
    """
    low, high = JACOBIAN_RANGE
    first = low - (high - low) / (COLORS - 2)
    return _overlay(jacobian, "jacobian", "Jacobian determinant", jacobian_scale(), first, high, folds=True)


def fold_labels(jacobian: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """A temporary label map of the folds, to lie on top of everything in magenta; None where nothing folds."""
    folds = (slicer.util.arrayFromVolume(jacobian) <= 0).astype(np.uint8)
    if not folds.any():
        return None
    scene, lattice = jacobian.GetScene(), Geometry(jacobian.GetImageData().GetDimensions(), ijk_to_ras(jacobian))
    node = scratch_volume(scene, "folds", "Folds", folds, lattice, "vtkMRMLLabelMapVolumeNode")
    node.SetAndObserveTransformNodeID(jacobian.GetTransformNodeID())
    table = scratch_node(scene, "fold colors", "vtkMRMLColorTableNode", "Folds, colors")
    if table.GetNumberOfColors() != 2:
        table.SetTypeToUser()
        table.SetNumberOfColors(2)
        table.SetColor(0, "none", 0.0, 0.0, 0.0, 0.0)
        table.SetColor(1, "fold", *(channel / 255 for channel in FOLD), 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    return node


def overlay_colors(scale: ColourScale, low: float, high: float, folds: bool) -> np.ndarray:
    """(256, 4) colours in [0, 1], opacity 0 or 1, for values at equal steps from `low` to `high`; folds: the first."""
    place = scale.position(np.linspace(low, high, COLORS))
    steps = np.linspace(0, 1, len(scale.anchors))
    channels = [np.interp(place, steps, [anchor[i] / 255 for anchor in scale.anchors]) for i in range(3)]
    colors = np.stack([*channels, np.interp(place, steps, scale.cover) >= CLEAR], axis=1)
    if folds:
        colors[0] = (*(channel / 255 for channel in FOLD), 1.0)
    return colors


def _overlay(
    source: slicer.vtkMRMLScalarVolumeNode,
    key: str,
    title: str,
    scale: ColourScale,
    low: float,
    high: float,
    *,
    folds: bool,
) -> slicer.vtkMRMLScalarVolumeNode:
    scene, image = source.GetScene(), source.GetImageData()
    node = scratch_volume(scene, key, f"{title}, overlay", image, Geometry(image.GetDimensions(), ijk_to_ras(source)))
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    table = scratch_node(scene, f"{key} colors", "vtkMRMLColorTableNode", f"{title}, overlay colors")
    if table.GetNumberOfColors() != COLORS:
        table.SetTypeToUser()
        table.SetNumberOfColors(COLORS)
        for index, color in enumerate(overlay_colors(scale, low, high, folds)):
            table.SetColor(index, str(index), *map(float, color))
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(table.GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(low, high)
    _show_legend(node, title)
    return node


def _show_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
    """A colour bar in the slice viewers; Slicer's Colors module has to be there for it."""
    if not node.GetScene().GetClassNameByTag(slicer.vtkMRMLColorLegendDisplayNode().GetNodeTagName()):
        return
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    with slicer.util.NodeModify(legend):
        legend.SetSaveWithScene(False)
        legend.SetTitleText(title)
        legend.SetLabelFormat("%.2f")
        legend.SetVisibility(True)
