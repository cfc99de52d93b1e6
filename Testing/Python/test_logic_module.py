"""Around the logic: sample volumes, which Python runs, what Slicer's own process must never load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from conftest import MODULE
from slicer_scene import new_scene, node_counts
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.mrml.environment import python_executable
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair


def test_the_sample_pair_shows_the_same_anatomy_at_its_points() -> None:
    new_scene()
    pair = add_sample_pair((24, 28, 36))
    assert pair.fixed.GetName() == "Abdomen fixed" and pair.fixed_points.shape == pair.moving_points.shape
    for node, points in ((pair.fixed, pair.fixed_points), (pair.moving, pair.moving_points)):
        bounds = np.zeros(6)
        node.GetRASBounds(bounds)
        assert (points > bounds[::2]).all() and (points < bounds[1::2]).all()
        assert slicer.util.arrayFromVolume(node).dtype == np.int16
    assert node_counts()["vtkMRMLScalarVolumeNode"] == 2


def test_a_sample_that_cannot_be_made_says_why_and_leaves_nothing() -> None:
    new_scene()
    before = node_counts()
    with pytest.raises(ComputationError, match=r"could not be generated: .*\(4, 4, 4\)"):
        add_sample_pair((4, 4, 4))
    assert node_counts() == before


@pytest.mark.skipif(sys.platform == "win32", reason="makes an executable file as POSIX does")
def test_only_inside_the_application_slicers_python_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from host import start

    program = tmp_path / "PythonSlicer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert python_executable() == sys.executable
    with start(tmp_path):
        assert python_executable() == str(program)


def test_slicer_never_imports_torch_or_simpleitk() -> None:
    """A whole run in a process of its own: what the worker needs must not be loaded beside the scene."""
    program = """
import os, sys
import numpy as np
from slicer_scene import add_volume, affine, new_scene
from logic_stand_in import LOGIC_STAND_IN
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic
from VoxelOptRegistrationLib.worker.client import WorkerClient
new_scene()
nodes = [add_volume(np.zeros((8, 9, 10), np.int16), affine(), name) for name in "ab"]
environment = {**os.environ, "LOGIC_STAND_IN": "known"}
logic = RegistrationLogic(client=WorkerClient(environment=environment, entry=[str(LOGIC_STAND_IN)]))
print(logic.registerVolumes(*nodes).outputTransformNode.GetName())
logic.close()
print([name for name in ("torch", "SimpleITK", "qt", "scipy") if name in sys.modules])
"""
    search_path = os.pathsep.join([str(MODULE), str(Path(__file__).parent)])
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.stdout.splitlines() == ["Displacement (b to a)", "['scipy']"], finished.stderr
