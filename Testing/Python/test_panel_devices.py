"""The list of devices comes from the real registration process, which is asked only when somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_support import Panel, open_panel
from VoxelOptRegistrationLib.devices import Device
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.system_memory import total_memory
from VoxelOptRegistrationLib.worker.data import DeviceAnswer

GPU = Device("cuda:0", "NVIDIA H200", 130 * 2**30, 139 * 2**30, "a CUDA GPU is present and works")
CPU = Device("cpu", "CPU", 20 * 2**30, 24 * 2**30, "works everywhere")


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with open_panel(tmp_path) as opened:
        yield opened


def titles(panel: Panel) -> list[str]:
    box = panel.ui.deviceSelector
    return [box.itemText(index) for index in range(box.count)]


def test_the_process_is_asked_when_the_section_is_opened_and_not_before(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert panel.widget.logic._client.pid is None and titles(panel) == ["Automatic", "CPU"]
    panel.open("device")
    assert panel.ui.deviceNote.text == "Looking for devices ..." and not panel.ui.refreshDevicesButton.enabled
    panel.host.pump(lambda: panel.ui.refreshDevicesButton.enabled)
    memory = f"{total_memory() / 2**30:.1f} GB"
    assert any(title.startswith("CPU (cpu), ") and memory in title for title in titles(panel))
    assert "torch" not in sys.modules
    process = panel.widget.logic._client.pid
    panel.host.click(panel.ui.refreshDevicesButton)
    panel.host.pump(lambda: panel.ui.refreshDevicesButton.enabled)
    assert panel.widget.logic._client.pid == process


def test_gpus_are_listed_with_their_memory_and_chosen(panel: Panel) -> None:
    panel.widget.devices.onAnswer(DeviceAnswer((GPU, CPU)))
    assert titles(panel)[1] == "NVIDIA H200 (cuda:0), 139.0 GB, 130.0 GB free"
    assert panel.ui.deviceNote.text == "Automatic takes NVIDIA H200."
    panel.open("device")
    panel.host.select(panel.ui.deviceSelector, 1)
    assert panel.parameters.device == "cuda:0"


def test_without_a_gpu_the_cpu_is_promised_to_work(panel: Panel) -> None:
    panel.widget.devices.onAnswer(DeviceAnswer((CPU,)))
    assert panel.ui.deviceNote.text == "No GPU was found; the CPU computes. That works, and takes longer."


def test_a_device_of_another_computer_is_kept_and_marked(panel: Panel) -> None:
    panel.parameters.device = "cuda:1"
    panel.host.turn()
    panel.widget.devices.onAnswer(DeviceAnswer((CPU,)))
    assert panel.ui.deviceSelector.currentText == "cuda:1 (not found on this computer)"
    assert panel.parameters.device == "cuda:1"


def test_what_keeps_the_process_from_answering_is_told(panel: Panel) -> None:
    panel.widget.devices.onAnswer(DeviceAnswer(error=ComputationError("PyTorch is broken.", "Repair it.")))
    assert panel.ui.deviceNote.text == "PyTorch is broken. Repair it." and titles(panel) == ["Automatic", "CPU"]
    assert not panel.ui.repairButton.visible
    broken = ComputationError("PyTorch cannot be loaded.", "Install it again.")
    broken.kind = "dependency"
    panel.widget.devices.onAnswer(DeviceAnswer(error=broken))
    assert panel.ui.repairButton.visible and panel.status == "PyTorch cannot be loaded. Install it again."


def test_without_pytorch_nobody_is_asked(panel: Panel) -> None:
    panel.host.packages.installed["torch"] = None
    panel.open("device")
    assert "At Apply you are asked to install it" in panel.ui.deviceNote.text
    assert panel.ui.refreshDevicesButton.enabled and panel.widget.logic._client.pid is None
    del panel.host.packages.installed["torch"]
    panel.host.click(panel.ui.refreshDevicesButton)
    panel.host.pump(lambda: "CPU" in panel.ui.deviceNote.text or "Automatic takes" in panel.ui.deviceNote.text)


def test_the_question_waits_for_the_run_under_way(panel: Panel) -> None:
    panel.choose()
    panel.apply()
    panel.widget.devices.refresh()
    panel.until("Registered in")
    panel.host.pump(lambda: panel.ui.refreshDevicesButton.enabled)
    assert len(titles(panel)) >= 2 and "Looking" not in panel.ui.deviceNote.text
