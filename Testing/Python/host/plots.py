"""Slicer's plot charts drawn offscreen by VTK's charts, which Slicer's plot view is made of."""

from __future__ import annotations

from pathlib import Path

import slicer
import vtk


def draw_chart(chart: slicer.vtkMRMLPlotChartNode, path: Path, size: tuple[int, int] = (560, 340)) -> Path:
    """A PNG of what the chart node says: its series, title and axes."""
    drawn = vtk.vtkChartXY()
    drawn.SetTitle(chart.GetTitle())
    drawn.SetShowLegend(chart.GetLegendVisibility())
    drawn.GetAxis(vtk.vtkAxis.BOTTOM).SetTitle(chart.GetXAxisTitle())
    drawn.GetAxis(vtk.vtkAxis.LEFT).SetTitle(chart.GetYAxisTitle())
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        line = drawn.AddPlot(vtk.vtkChart.LINE)
        line.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        line.GetPen().SetColorF(*series.GetColor())
        line.SetWidth(series.GetLineWidth())
    window, renderer, actor = vtk.vtkRenderWindow(), vtk.vtkRenderer(), vtk.vtkContextActor()
    window.SetOffScreenRendering(True)
    window.SetSize(*size)
    renderer.SetBackground(1, 1, 1)
    window.AddRenderer(renderer)
    actor.GetScene().AddItem(drawn)
    actor.GetScene().SetRenderer(renderer)
    renderer.AddActor(actor)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(grab.GetOutputPort())
    writer.SetFileName(str(path))
    writer.Write()
    window.Finalize()
    return path
