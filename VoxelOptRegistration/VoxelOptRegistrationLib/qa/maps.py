"""Entropy, expected-error and Jacobian maps as overlays on the fixed volume, drawn inside the body only."""

from __future__ import annotations

import numpy as np
import slicer

from ..mrml.geometry import Geometry, ijk_to_ras
from .scratch import find_scratch, scratch_node, scratch_volume

COLORS = 256
FOLD = (255, 0, 220)
JACOBIAN_HIGH = 2.0
ERROR_HIGH = 6.0
"""mm, where the colours of the expected error end."""
_OUTSIDE = 1e6
_ENTROPY_STOPS = ((60, 180, 120), (150, 205, 90), (250, 215, 70), (245, 140, 40), (205, 30, 30))
_JACOBIAN_STOPS = ((20, 60, 220), (60, 140, 250), (128, 128, 128), (250, 150, 50), (220, 60, 0))
_BODY_THRESHOLD = 0.1


def body_outline(values: np.ndarray) -> np.ndarray:
    """Roughly where the patient is, bool (k, j, i): between the outermost bright voxels along both in-slice axes.

    Bright is more than a tenth of the way from the darkest to the brightest, as `inspection.body` has it. Good enough
    to keep colours out of the air around the body; nothing is measured with it.
    """
    low, high = np.percentile(values[::2, ::2, ::2], (0.5, 99.5))
    bright = values > low + _BODY_THRESHOLD * (high - low)
    return np.asarray(_between(bright, 1) & _between(bright, 2))


def entropy_overlay(
    entropy: slicer.vtkMRMLScalarVolumeNode, threshold: float, body: np.ndarray
) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume that shows `entropy` inside `body` where it is at least `threshold`, 0 to 1."""
    colors = _ramp(_ENTROPY_STOPS, np.linspace(0, 1, COLORS))
    return _overlay(entropy, "entropy", "Displacement entropy", colors, (0.0, 1.0), (threshold, 2.0), body)


def expected_error_overlay(
    expected: slicer.vtkMRMLScalarVolumeNode, threshold: float, body: np.ndarray
) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume that shows the `expected` error inside `body` where it is at least `threshold`, mm."""
    colors = _ramp(_ENTROPY_STOPS, np.linspace(0, 1, COLORS))
    drawn = (threshold, 2 * ERROR_HIGH)
    return _overlay(expected, "expected error", "Expected error", colors, (0.0, ERROR_HIGH), drawn, body)


def jacobian_overlay(jacobian: slicer.vtkMRMLScalarVolumeNode, body: np.ndarray) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary volume that shows `jacobian` inside `body`: blue below 1, grey at 1, orange above, magenta at 0.

    Equal factors are equal steps of colour, from 1/2 to 2. What lies below the first of 256 steps, 0.008, has the
    colour of folds; the folds themselves are marked by `fold_labels`.
    """
    values = np.linspace(0, JACOBIAN_HIGH, COLORS)
    place = 0.5 + 0.5 * np.log(np.maximum(values, 1e-9)) / np.log(JACOBIAN_HIGH)
    colors = _ramp(_JACOBIAN_STOPS, np.clip(place, 0, 1))
    colors[0] = np.array(FOLD) / 255
    drawn = (-_OUTSIDE, 2 * JACOBIAN_HIGH)
    return _overlay(jacobian, "jacobian", "Jacobian determinant", colors, (0.0, JACOBIAN_HIGH), drawn, body)


def fold_labels(jacobian: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """A temporary label map of the folds, to lie on top of everything in magenta; None where nothing folds."""
    folds = (slicer.util.arrayFromVolume(jacobian) <= 0).astype(np.uint8)
    if not folds.any():
        return None
    node = scratch_volume(jacobian.GetScene(), "folds", "Folds", folds, _lattice(jacobian), "vtkMRMLLabelMapVolumeNode")
    node.SetAndObserveTransformNodeID(jacobian.GetTransformNodeID())
    table = _table(jacobian.GetScene(), "folds", "Folds", np.array([[0.0, 0.0, 0.0], np.array(FOLD) / 255]))
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    return node


def show_legend(node: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
    """A colour bar for an overlay that is shown in the slice viewers; Slicer's Colors module has to be there for it."""
    if not node.GetScene().GetClassNameByTag(slicer.vtkMRMLColorLegendDisplayNode().GetNodeTagName()):
        return
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    with slicer.util.NodeModify(legend):
        legend.SetSaveWithScene(False)
        legend.SetAndObserveColorNodeID(node.GetDisplayNode().GetColorNodeID())
        legend.SetTitleText(title)
        legend.SetLabelFormat("%.2f")
        legend.SetSize(0.08, 0.4)
        legend.SetPosition(0.98, 0.5)
        legend.GetTitleTextProperty().SetFontSize(14)
        legend.GetLabelTextProperty().SetFontSize(12)
        legend.SetVisibility(True)


def hide_legends(scene: slicer.vtkMRMLScene) -> None:
    """Hide the colour bars of all overlays."""
    for key in ("entropy", "expected error", "jacobian"):
        overlay = find_scratch(scene, key)
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay) if overlay is not None else None
        if legend is not None:
            legend.SetVisibility(False)


def _overlay(
    source: slicer.vtkMRMLScalarVolumeNode,
    key: str,
    title: str,
    colors: np.ndarray,
    window: tuple[float, float],
    drawn: tuple[float, float],
    body: np.ndarray,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A temporary copy of `source`; only values inside `drawn` (low, high) are not clear, and none outside `body`."""
    scene, values = source.GetScene(), slicer.util.arrayFromVolume(source)
    if values.shape == body.shape:
        # Far outside, so that display interpolation between the two leaves no coloured rim.
        values = np.where(body, np.minimum(values, window[1]), values.dtype.type(_OUTSIDE))
    node = scratch_volume(scene, key, f"{title}, overlay", values, _lattice(source))
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    table = _table(scene, key, title, colors)
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(table.GetID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*window)
        display.SetAutoThreshold(False)
        display.SetThreshold(*drawn)
        display.SetApplyThreshold(True)
    return node


def _table(scene: slicer.vtkMRMLScene, key: str, title: str, colors: np.ndarray) -> slicer.vtkMRMLColorTableNode:
    """The temporary colour table `key`; the first of two colours is clear."""
    table = scratch_node(scene, f"{key} colors", "vtkMRMLColorTableNode", f"{title}, overlay colors")
    if table.GetNumberOfColors() != len(colors):
        table.SetTypeToUser()
        table.SetNumberOfColors(len(colors))
        for index, (red, green, blue) in enumerate(colors):
            opacity = 0.0 if index == 0 and len(colors) == 2 else 1.0
            table.SetColor(index, str(index), float(red), float(green), float(blue), opacity)
    return table


def _ramp(stops: tuple[tuple[int, int, int], ...], place: np.ndarray) -> np.ndarray:
    """(N, 3) colours in [0, 1] at `place`, 0 to 1, between equally spaced stops."""
    steps = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(place, steps, channel) / 255 for channel in np.transpose(stops)], axis=1)


def _lattice(volume: slicer.vtkMRMLScalarVolumeNode) -> Geometry:
    return Geometry(volume.GetImageData().GetDimensions(), ijk_to_ras(volume))


def _between(bright: np.ndarray, axis: int) -> np.ndarray:
    """Where there is something bright on both sides along `axis`, or here."""
    ahead = np.maximum.accumulate(bright, axis)
    behind = np.flip(np.maximum.accumulate(np.flip(bright, axis), axis), axis)
    return np.asarray(ahead & behind)
