"""The worst voxels of a registration in the world, and the slice viewers brought there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import slicer

from ..mrml.record import Registration
from ..mrml.translation import tr as _
from ..mrml.volumes import place_volume


class Worst(Enum):
    """What can be bad at a voxel; the values are the keys of the report's section `worst_voxels`."""

    FOLD = "jacobian"
    DISPLACEMENT = "displacement"
    ENTROPY = "entropy"


@dataclass(frozen=True)
class Place:
    """A voxel of the fixed volume: what is there (mm for a displacement), and where, RAS mm in the world."""

    value: float
    position: tuple[float, float, float]


def worst_places(registration: Registration, kind: Worst) -> list[Place]:
    """The places that the report names, the worst first; none where it names none."""
    voxels = registration.report.get("worst_voxels", {}).get(kind.value, [])
    if not voxels:
        return []
    matrix = place_volume(registration.fixed, _("fixed volume")).geometry.ijk_to_world
    places = []
    for voxel in voxels:
        r, a, s = (matrix @ np.array([*voxel["index"], 1.0]))[:3]
        places.append(Place(float(voxel["value"]), (float(r), float(a), float(s))))
    return places


def describe(place: Place, kind: Worst) -> str:
    """What is at the place, in words."""
    if kind is Worst.FOLD:
        words = _("Jacobian determinant {value:.2f} (a fold)")
        if place.value > 0:
            words = _("Jacobian determinant {value:.2f} (no fold)")
    elif kind is Worst.DISPLACEMENT:
        words = _("displacement {value:.1f} mm")
    else:
        words = _("entropy {value:.2f}")
    r, a, s = place.position
    where = f"{abs(r):.0f} mm {'R' if r >= 0 else 'L'}, {abs(a):.0f} mm {'A' if a >= 0 else 'P'}, "
    where += f"{abs(s):.0f} mm {'S' if s >= 0 else 'I'}"
    return _("{what} at {where}").format(what=words.format(value=place.value), where=where)


def jump_to(scene: slicer.vtkMRMLScene, position: tuple[float, float, float]) -> None:
    """Bring all slice viewers to `position`, RAS mm, and mark it with the crosshair where the scene has one."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *position, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    crosshairs = scene.GetNodesByClass("vtkMRMLCrosshairNode")
    crosshairs.UnRegister(None)
    for index in range(crosshairs.GetNumberOfItems()):
        crosshair = crosshairs.GetItemAsObject(index)
        crosshair.SetCrosshairRAS(*position)
        crosshair.SetCrosshairMode(crosshair.ShowBasic)
