"""The two volumes of a registration on one lattice, before and after, ready to be put into one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ..mrml.geometry import Geometry, ijk_to_ras, to_world
from ..mrml.record import Registration
from ..mrml.volumes import place_volume
from .comparison import Window, in_window_of, window_of
from .resampling import resample
from .scratch import scratch_volume


class ComparedPair:
    """Fixed and moving volume of `registration`; arrays are made on first need and again when a volume has changed."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self._placed = place_volume(registration.fixed, "fixed volume")
        self._kept: dict[bool, tuple[Any, np.ndarray]] = {}

    @property
    def geometry(self) -> Geometry:
        """The fixed lattice in the world."""
        return self._placed.geometry

    @property
    def fixed(self) -> np.ndarray:
        """Voxels of the fixed volume, (k, j, i)."""
        return self._placed.array

    @property
    def window(self) -> Window:
        """The window that the fixed volume is shown with."""
        return _window(self.registration.fixed, self.fixed)

    def moving(self, after: bool) -> np.ndarray:
        """The moving volume on the fixed lattice, after or before registration, to be shown with `window`; float32."""
        key = self._state()
        kept = self._kept.get(after)
        if kept is None or kept[0] != key:
            kept = (key, self._moving(after))
            self._kept[after] = kept
        return kept[1]

    def moving_node(self, after: bool) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume that shows the moving one after or before registration: one that is there, or a temporary one."""
        registration = self.registration
        if after and registration.warped is not None:
            return registration.warped
        if registration.applied == after:
            return registration.moving
        placed = place_volume(registration.moving, "moving volume", ignored=registration.transform)
        image = placed.array if placed.hardened else registration.moving.GetImageData()
        name = f"{registration.moving.GetName()}, {'after' if after else 'before'}"
        node = scratch_volume(registration.moving.GetScene(), f"moving {after}", name, image, placed.geometry)
        show_as(node, registration.moving)
        node.SetAndObserveTransformNodeID(registration.transform.GetID() if after else None)
        return node

    def _moving(self, after: bool) -> np.ndarray:
        values = moving_on_fixed(self.registration, self.geometry, after)
        warped = self.registration.warped
        source = warped if after and warped is not None else self.registration.moving
        return in_window_of(values, _window(source, values), self.window)

    def _state(self) -> tuple[Any, ...]:
        nodes = (self.registration.moving, self.registration.warped, self.registration.fixed)
        changed = tuple(node.GetImageData().GetMTime() for node in nodes if node is not None and node.GetImageData())
        return (*changed, self.registration.transform.GetTransformToWorldMTime(), self.window)


def moving_on_fixed(registration: Registration, lattice: Geometry, after: bool) -> np.ndarray:
    """The moving volume on the fixed `lattice` in its own voxel type, (k, j, i), after or before registration.

    After: the run's warped volume, where it was kept; outside the moving volume, its smallest value.
    """
    if after and registration.warped is not None and matches(registration.warped, lattice):
        return slicer.util.arrayFromVolume(registration.warped)
    result = registration.transform
    fill = float(slicer.util.arrayFromVolume(registration.moving).min())
    return resample(registration.moving, lattice, result if after else None, ignored=result, fill=fill)


def show_as(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give `node` the window and the colours of `source`."""
    display, shown = node.GetDisplayNode(), source.GetDisplayNode()
    if shown is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(shown.GetWindowLevelMin(), shown.GetWindowLevelMax())
        display.SetInterpolate(shown.GetInterpolate())
        if shown.GetColorNode() is not None:
            display.SetAndObserveColorNodeID(shown.GetColorNodeID())


def matches(volume: slicer.vtkMRMLScalarVolumeNode, geometry: Geometry) -> bool:
    """Whether the voxels of `volume` lie at the points of `geometry` in the world."""
    mapping = to_world(volume)
    if volume.GetImageData() is None or not isinstance(mapping, np.ndarray):
        return False
    return Geometry(volume.GetImageData().GetDimensions(), mapping @ ijk_to_ras(volume)).matches(geometry)


def _window(volume: slicer.vtkMRMLScalarVolumeNode, values: np.ndarray) -> Window:
    display = volume.GetDisplayNode()
    shown = None if display is None else (display.GetWindowLevelMin(), display.GetWindowLevelMax())
    return window_of(values, shown)
