"""The module's own file: its panel, logic and self-test on a real scene, with strict stand-ins for Qt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from conftest import MODULE
from logic_stand_in import LOGIC_STAND_IN
from slicer_application import EventLoop, ModulePanel, load_module
from slicer_scene import add_volume, affine, new_scene, node_counts
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.mrml.environment import python_executable
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair
from VoxelOptRegistrationLib.worker.client import WorkerClient


class Panel:
    """The module's panel with a process that behaves as told."""

    def __init__(self, module: types.ModuleType, loop: EventLoop, folder: Path, behaviour: str) -> None:
        self.loop = loop
        self.widget = module.VoxelOptRegistrationWidget(ModulePanel())
        self.widget.setup()
        environment = {**os.environ, "LOGIC_STAND_IN": behaviour, "OMP_NUM_THREADS": "1"}
        self.widget.logic._client = WorkerClient(folder=folder, environment=environment, entry=[str(LOGIC_STAND_IN)])

    def choose(self) -> tuple[slicer.vtkMRMLNode, slicer.vtkMRMLNode]:
        nodes = tuple(add_volume(np.zeros((8, 9, 10), np.int16), affine(), name) for name in ("CT", "MR"))
        self.widget.fixedSelector.setCurrentNode(nodes[0])
        self.widget.movingSelector.setCurrentNode(nodes[1])
        return nodes

    def run(self, until: str) -> None:
        """Let the event loop turn until the status says `until`."""
        begin = time.monotonic()
        while until not in self.widget.statusLabel.text:
            assert time.monotonic() - begin < 30, self.widget.statusLabel.text
            time.sleep(0.02)
            self.loop.turn()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> tuple[types.ModuleType, EventLoop]:
    new_scene()
    return load_module(monkeypatch)


@pytest.fixture
def panel(
    module: tuple[types.ModuleType, EventLoop], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Panel]:
    opened = Panel(*module, tmp_path, getattr(request, "param", "known"))
    yield opened
    opened.widget.cleanup()
    opened.loop.turn()
    assert not opened.loop.waiting and not any(tmp_path.iterdir())


def test_slicer_is_told_what_the_module_is(module: tuple[types.ModuleType, EventLoop]) -> None:
    parent = types.SimpleNamespace()
    module[0].VoxelOptRegistration(parent)
    assert parent.title == "VoxelOpt Registration" and parent.categories == ["Registration"]
    assert len(parent.helpText) > 100 and "arXiv 2506.19975" in parent.acknowledgementText


def test_apply_waits_for_both_volumes(panel: Panel) -> None:
    assert not panel.widget.applyButton.enabled
    panel.choose()
    assert panel.widget.applyButton.enabled
    panel.widget.movingSelector.setCurrentNode(None)
    assert not panel.widget.applyButton.enabled


def test_the_presets_are_offered(panel: Panel) -> None:
    box = panel.widget.presetSelector
    assert box.items[box.currentIndex] == "generic" and "lung-ct" in box.items


def test_a_run_from_the_panel_and_another_into_the_same_nodes(panel: Panel) -> None:
    fixed, moving = panel.choose()
    panel.widget.applyButton.click()
    assert panel.widget.applyButton.text == "Cancel" and panel.widget.progressBar.visible
    panel.run("Done: MR to CT: displacement")
    assert panel.widget.applyButton.text == "Apply" and not panel.widget.progressBar.visible
    assert "The answer was known beforehand." in panel.widget.statusLabel.text
    assert panel.widget.progressBar.value >= 25
    before = node_counts()
    panel.widget.statusLabel.text = ""
    panel.widget.applyButton.click()
    panel.run("Done: MR to CT: displacement")
    assert node_counts() == before


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_the_same_button_cancels(panel: Panel) -> None:
    panel.choose()
    before = node_counts()
    panel.widget.applyButton.click()
    panel.run("Still searching")
    panel.widget.applyButton.click()
    assert panel.widget.statusLabel.text == "Cancelling ..."
    panel.run("was cancelled")
    assert panel.widget.applyButton.text == "Apply" and node_counts() == before


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_closing_the_scene_during_a_run(panel: Panel) -> None:
    panel.choose()
    panel.widget.applyButton.click()
    panel.run("Still searching")
    slicer.mrmlScene.Clear()
    panel.run("scene was closed")
    assert panel.widget.applyButton.text == "Apply" and not panel.widget.applyButton.enabled
    panel.choose()
    assert panel.widget.applyButton.enabled


@pytest.mark.parametrize("panel", ["refuse"], indirect=True)
def test_a_failed_run_says_why(panel: Panel, caplog: pytest.LogCaptureFixture) -> None:
    panel.choose()
    panel.widget.applyButton.click()
    panel.run("The fixed volume is constant. Choose another volume.")
    assert "The registration failed." in caplog.text
    assert panel.widget.applyButton.text == "Apply" and panel.widget.applyButton.enabled


@pytest.mark.parametrize("panel", ["slow"], indirect=True)
def test_leaving_slicer_during_a_run(panel: Panel) -> None:
    panel.choose()
    panel.widget.applyButton.click()
    panel.run("Still searching")
    panel.widget.cleanup()
    panel.loop.turn()
    assert not panel.loop.waiting


def test_what_cannot_start_is_said_at_once(panel: Panel) -> None:
    fixed, _ = panel.choose()
    fixed.SetAndObserveImageData(None)
    with pytest.raises(Exception, match="'CT' holds no voxels"):
        panel.widget.applyButton.click()
    assert panel.widget.applyButton.text == "Apply"


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
    program = tmp_path / "PythonSlicer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert python_executable() == sys.executable
    load_module(monkeypatch)
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
    assert finished.stdout.splitlines() == ["b to a: displacement", "['scipy']"], finished.stderr
