"""The generated abdominal pair (`phantom`) as nodes of the scene, for trying the module and for its self-test."""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer

from ..errors import ComputationError
from .environment import python_executable, temporary_folder
from .translation import tr as _

_MAKE = """
import sys
from pathlib import Path
from VoxelOptRegistrationLib.phantom import make_phantom, write_phantom
write_phantom(make_phantom(tuple(map(int, sys.argv[2:5]))), Path(sys.argv[1]))
"""


@dataclass(frozen=True, eq=False)
class SamplePair:
    """Two CT-like volumes and, (N, 3) in RAS mm, the same anatomical points in both."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixed_points: np.ndarray
    moving_points: np.ndarray


def add_sample_pair(size_zyx: tuple[int, int, int] = (96, 112, 144)) -> SamplePair:
    """Generate the pair in a process of its own, which has SimpleITK, and add both volumes to the scene.

    Raises `ComputationError` where that process fails.
    """
    with tempfile.TemporaryDirectory(dir=temporary_folder()) as name:
        folder = Path(name)
        _generate(folder, size_zyx)
        points = [_read_points(folder / f"{role}_landmarks.csv") for role in ("fixed", "moving")]
        fixed = _add_volume(folder / "fixed.nii.gz", "Abdomen fixed")
        moving = _add_volume(folder / "moving.nii.gz", "Abdomen moving")
    return SamplePair(fixed, moving, points[0], points[1])


def _generate(folder: Path, size_zyx: tuple[int, int, int]) -> None:
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    command = [python_executable(), "-c", _MAKE, str(folder), *map(str, size_zyx)]
    finished = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        check=False,
    )
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
        raise ComputationError(
            _("The sample volumes could not be generated: {cause}").format(cause=lines[-1]),
            _("See the log for details."),
        )


def _read_points(path: Path) -> np.ndarray:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[float(row[name]) for name in ("x_mm", "y_mm", "z_mm")] for row in csv.DictReader(file)]
    return np.array(rows) * [-1.0, -1.0, 1.0]


def _add_volume(path: Path, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        raise ComputationError(
            _("The sample volume {file} could not be read.").format(file=path.name), _("See the log for details.")
        )
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(400.0, 40.0)
    return node
