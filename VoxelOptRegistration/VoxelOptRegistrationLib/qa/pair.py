"""The two volumes of a registration on one lattice, before and after, ready to be put into one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import slicer

from ..mrml.geometry import Geometry, ijk_to_ras, to_world
from ..mrml.record import Registration
from ..mrml.translation import tr as _
from ..mrml.volumes import PlacedVolume, place_volume
from .comparison import Window, in_window_of, window_of
from .maps import body_outline
from .resampling import resample
from .scratch import scratch_volume

T = TypeVar("T")
SAME_PLACE_MM = 0.01


class ComparedPair:
    """Fixed and moving volume of `registration`; arrays are made on first need and again when a volume has changed.

    Its properties raise `InputError` where a volume has lost its voxels.
    """

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self._kept: dict[str, tuple[Any, Any]] = {}

    @property
    def geometry(self) -> Geometry:
        """The fixed lattice in the world."""
        return self._fixed().geometry

    @property
    def fixed(self) -> np.ndarray:
        """Voxels of the fixed volume, (k, j, i)."""
        return self._fixed().array

    @property
    def body(self) -> np.ndarray:
        """Roughly where the patient is, bool (k, j, i)."""
        return self._keep("body", lambda: body_outline(self.fixed), self.registration.fixed)

    @property
    def window(self) -> Window:
        """The window that the fixed volume is shown with."""
        return _window(self.registration.fixed, self.fixed)

    @property
    def changed(self) -> tuple[str, ...]:
        """Which of the two are no longer what was registered, see `changed_since`."""
        registration = self.registration
        state = registration.transform.GetTransformToWorldMTime()
        nodes = (registration.fixed, registration.moving)
        return self._keep("changed", lambda: changed_since(registration), *nodes, others=(state,))

    def moving(self, after: bool) -> np.ndarray:
        """The moving volume on the fixed lattice, after or before registration, to be shown with `window`; float32."""
        nodes = (self.registration.fixed, self.registration.moving, self.registration.warped)
        circumstances = (self.window, self.registration.transform.GetTransformToWorldMTime())
        return self._keep(f"moving {after}", lambda: self._moving(after), *nodes, others=circumstances)

    def moving_node(self, after: bool) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume that shows the moving one after or before registration: one that is there, or a temporary one."""
        registration = self.registration
        if after and registration.warped is not None:
            return registration.warped
        if registration.applied == after or "moving" in self.changed:
            return registration.moving
        placed = place_volume(registration.moving, _("moving volume"), ignored=registration.transform)
        image = placed.array if placed.hardened else registration.moving.GetImageData()
        name = f"{registration.moving.GetName()}, {'after' if after else 'before'}"
        node = scratch_volume(registration.moving.GetScene(), f"moving {after}", name, image, placed.geometry)
        show_as(node, registration.moving)
        node.SetAndObserveTransformNodeID(registration.transform.GetID() if after else None)
        return node

    def _moving(self, after: bool) -> np.ndarray:
        values = moving_on_fixed(self.registration, self.geometry, after, changed="moving" in self.changed)
        warped = self.registration.warped
        source = warped if after and warped is not None else self.registration.moving
        return in_window_of(values, _window(source, values), self.window)

    def _fixed(self) -> PlacedVolume:
        fixed = self.registration.fixed
        return self._keep("fixed", lambda: place_volume(fixed, _("fixed volume")), fixed)

    def _keep(
        self, name: str, make: Callable[[], T], *nodes: slicer.vtkMRMLVolumeNode | None, others: tuple[Any, ...] = ()
    ) -> T:
        """What `make` returns, kept while `nodes` have the same voxels in the same place and `others` are equal."""
        state = (*[_state(node) for node in nodes if node is not None], *others)
        if name not in self._kept or self._kept[name][0] != state:
            self._kept[name] = (state, make())
        kept: T = self._kept[name][1]
        return kept


def changed_since(registration: Registration) -> tuple[str, ...]:
    """Which of "fixed" and "moving" have other voxels or another place than when they were registered.

    That is so after hardening, cropping, or when a transform above the volume was changed. Told by the report, and
    never where the report does not say.
    """
    changed = []
    for role, node in (("fixed", registration.fixed), ("moving", registration.moving)):
        was = registration.report.get("inputs", {}).get(role, {})
        if "size" not in was or "origin_mm" not in was:
            continue
        now = place_volume(node, f"{role} volume", ignored=registration.transform).geometry
        moved = np.abs(now.index_to_lps[:3, 3] - was["origin_mm"]).max()
        if list(now.dimensions) != list(was["size"]) or moved > SAME_PLACE_MM:
            changed.append(role)
    return tuple(changed)


def moving_on_fixed(registration: Registration, lattice: Geometry, after: bool, *, changed: bool = False) -> np.ndarray:
    """The moving volume on the fixed `lattice` in its own voxel type, (k, j, i), after or before registration.

    After: the run's warped volume, where it was kept; outside the moving volume, its smallest value. changed: the
    moving volume is not what it was when it was registered, so it is taken as it is.
    """
    if after and registration.warped is not None and matches(registration.warped, lattice):
        return slicer.util.arrayFromVolume(registration.warped)
    result = registration.transform
    fill = float(slicer.util.arrayFromVolume(registration.moving).min())
    if changed:
        return resample(registration.moving, lattice, fill=fill)
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


def _state(volume: slicer.vtkMRMLVolumeNode) -> tuple[Any, ...]:
    """Something that is different when the voxels of `volume` have changed or lie elsewhere."""
    image, parent = volume.GetImageData(), volume.GetParentTransformNode()
    return (
        None if image is None else (image, image.GetMTime()),
        ijk_to_ras(volume).tobytes(),
        None if parent is None else (parent, parent.GetTransformToWorldMTime()),
    )


def _window(volume: slicer.vtkMRMLScalarVolumeNode, values: np.ndarray) -> Window:
    display = volume.GetDisplayNode()
    shown = None if display is None else (display.GetWindowLevelMin(), display.GetWindowLevelMax())
    return window_of(values, shown)
