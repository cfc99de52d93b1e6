"""Slice views drawn by Slicer's own code, offscreen: volumes blended, and what displayable managers add."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
COLORS = {"Red": (0.95, 0.29, 0.24), "Yellow": (0.93, 0.84, 0.29), "Green": (0.43, 0.69, 0.29)}
LAYOUT_LABELS = {"Red": "R", "Yellow": "Y", "Green": "G"}
MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)


class SliceView:
    """One slice view of the scene: its nodes, its logic and its render window.

    drawings: begin (``time.perf_counter``), seconds and seconds of this thread's own work of every drawing so far.
    """

    def __init__(self, name: str, application: slicer.vtkSlicerApplicationLogic, size: tuple[int, int]) -> None:
        self.name = name
        self.drawings: list[tuple[float, float, float]] = []
        self._application = application
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.AddSliceNode(name)
        application.GetSliceLogics().AddItem(self.logic)
        self.node.SetLayoutLabel(LAYOUT_LABELS[name])
        self.node.SetLayoutColor(COLORS[name])
        self.node.SetOrientation(VIEWS[name])
        self._window: vtk.vtkRenderWindow | None = None
        self._observed: list[tuple[vtk.vtkObject, int]] = []
        self.resize(*size)
        self._window = self._open(*size)

    @property
    def node(self) -> slicer.vtkMRMLSliceNode:
        return self.logic.GetSliceNode()

    @property
    def composite(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self.logic.GetSliceCompositeNode()

    def resize(self, width: int, height: int) -> None:
        node = self.node
        if node is None or tuple(node.GetDimensions()[:2]) == (width, height):
            return
        self.logic.ResizeSliceNode(width, height)
        node.SetDimensions(width, height, 1)
        if self._window is not None:
            self._window.SetSize(width, height)

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever Slicer would ask the view to draw itself anew."""

        def relay(caller: vtk.vtkObject, event: str) -> None:
            changed()

        self._observed = [
            (source, source.AddObserver(event, relay))
            for source, event in (
                (self.logic, vtk.vtkCommand.ModifiedEvent),
                (self._managers, vtk.vtkCommand.UpdateEvent),
            )
        ]

    def render(self) -> None:
        """Draw; nothing happens once the view is closed."""
        if self._window is None:
            return
        begin, own = time.perf_counter(), time.thread_time()
        connection = self.logic.GetImageDataConnection()
        self._actor.SetVisibility(connection is not None)
        if connection is not None:
            self._mapper.SetInputConnection(connection)
        self._window.Render()
        self.drawings.append((begin, time.perf_counter() - begin, time.thread_time() - own))

    def draw(self) -> np.ndarray:
        """Draw; pixels (row from the top, column, RGB), uint8."""
        assert self._window is not None, "the view is closed"
        self.render()
        return self.pixels()

    def pixels(self) -> np.ndarray:
        """What was drawn last, read back: (row from the top, column, RGB), uint8."""
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows = image.GetDimensions()[:2]
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)
        return pixels[::-1].copy()

    def close(self) -> None:
        if self._window is not None:
            for source, tag in self._observed:
                source.RemoveObserver(tag)
            self._observed = []
            self._managers.SetMRMLDisplayableNode(None)
            self._window.Finalize()
            self._window = None
        self.logic.SetMRMLScene(None)

    def _open(self, width: int, height: int) -> vtk.vtkRenderWindow:
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetMultiSamples(0)
        window.SetSize(width, height)
        renderer = vtk.vtkRenderer()
        renderer.SetBackground(0, 0, 0)
        window.AddRenderer(renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(window)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(self._actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(self._application)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, renderer)
        self._managers.SetMRMLDisplayableNode(self.node)
        return window


def application_logic(scene: slicer.vtkMRMLScene) -> slicer.vtkSlicerApplicationLogic:
    """The application's logic on this scene, with an empty list of slice views."""
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return logic


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write RGB pixels (row, column, 3)."""
    from PySide6.QtGui import QImage

    rows, columns = pixels.shape[:2]
    QImage(np.ascontiguousarray(pixels).data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).save(str(path))
