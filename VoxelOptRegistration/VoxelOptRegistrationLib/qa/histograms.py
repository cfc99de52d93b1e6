"""The report's histograms as Slicer's own tables and plots, saved with the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ..mrml.outputs import PREFIX
from ..mrml.record import Registration
from ..mrml.translation import tr as _

KEY_ATTRIBUTE = f"{PREFIX}.Plot"


@dataclass(frozen=True)
class Kind:
    """key: in the report's section `histograms`. color: of the curve, RGB."""

    key: str
    color: tuple[float, float, float]

    @property
    def title(self) -> str:
        """What is counted."""
        return {"jacobian": _("Jacobian determinant"), "entropy": _("Displacement entropy")}[self.key]

    @property
    def axis(self) -> str:
        """What is counted, and how to read it."""
        return {
            "jacobian": _("Jacobian determinant (1 keeps volume, 0 or less folds)"),
            "entropy": _("Displacement entropy (0 certain, 1 no signal)"),
        }[self.key]


KINDS = (Kind("jacobian", (0.1, 0.4, 0.8)), Kind("entropy", (0.85, 0.4, 0.1)))


def plot_histogram(registration: Registration, kind: Kind) -> slicer.vtkMRMLPlotChartNode | None:
    """The chart of one histogram, percent of the body's voxels over the value; None where the report has none.

    Made again for the same registration, it replaces the earlier one.
    """
    histogram = registration.report.get("histograms", {}).get(kind.key)
    if not histogram:
        return None
    title = f"{registration.name}: {kind.title}"
    table = _node(registration, kind, "vtkMRMLTableNode", title)
    values, share = _columns(histogram)
    share_title = _("Share (%)")
    slicer.util.updateTableFromArray(table, np.stack([values, share], axis=1), [kind.title, share_title])
    series = _node(registration, kind, "vtkMRMLPlotSeriesNode", f"{title}, curve")
    with slicer.util.NodeModify(series):
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(kind.title)
        series.SetYColumnName(share_title)
        series.SetPlotType(series.PlotTypeScatter)
        series.SetLineStyle(series.LineStyleSolid)
        series.SetMarkerStyle(series.MarkerStyleNone)
        series.SetLineWidth(2)
        series.SetColor(*kind.color)
    chart = _node(registration, kind, "vtkMRMLPlotChartNode", title)
    with slicer.util.NodeModify(chart):
        chart.SetTitle(title)
        chart.SetXAxisTitle(kind.axis)
        chart.SetYAxisTitle(_("Voxels of the body (%)"))
        chart.SetLegendVisibility(False)
        chart.RemoveAllPlotSeriesNodeIDs()
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show the chart in a plot view, added to the layout; nothing without the application."""
    application = getattr(slicer, "app", None)
    plots = getattr(getattr(slicer, "modules", None), "plots", None)
    if application is not None and application.layoutManager() is not None and plots is not None:
        plots.logic().ShowChartInLayout(chart)


def _columns(histogram: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Middle of each bin, and its share of all values in percent, those outside the bins included."""
    counts = np.array(histogram["counts"], dtype=float)
    edges = np.linspace(histogram["low"], histogram["high"], counts.size + 1)
    total = counts.sum() + histogram.get("below", 0) + histogram.get("above", 0)
    return (edges[:-1] + edges[1:]) / 2, 100.0 * counts / max(total, 1.0)


def _node(registration: Registration, kind: Kind, class_name: str, name: str) -> slicer.vtkMRMLNode:
    """The node of this class for this registration's histogram, made where it is not there."""
    scene = registration.transform.GetScene()
    key = f"{registration.transform.GetID()} {kind.key}"
    collection = scene.GetNodesByClass(class_name)
    collection.UnRegister(None)
    for index in range(collection.GetNumberOfItems()):
        node = collection.GetItemAsObject(index)
        if node.GetAttribute(KEY_ATTRIBUTE) == key:
            return node
    node = scene.AddNewNodeByClass(class_name, name)
    node.SetAttribute(KEY_ATTRIBUTE, key)
    return node
