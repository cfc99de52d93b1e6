"""The registration process is started when the module is opened, without a question, and is the one that computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer
from panel_support import Panel, open_panel
from VoxelOptRegistrationLib.worker.child import ChildProcess
from VoxelOptRegistrationLib.worker.protocol import Warm

SETTING = "VoxelOptRegistration/StartAhead"


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    """The panel, left by its user, who comes back to it in each test."""
    with open_panel(tmp_path) as opened:
        opened.host.leave()
        slicer.app.userSettings().setValue(SETTING, True)
        yield opened


def started(panel: Panel) -> bool:
    client = panel.widget.logic._client
    client.poll()
    return client.pid is not None


def test_it_is_started_when_the_module_is_opened(panel: Panel) -> None:
    panel.host.come_back()
    panel.host.pump(lambda: started(panel))
    process = panel.widget.logic._client.pid
    panel.host.leave()
    panel.host.come_back()
    panel.host.settle(0.5)
    panel.choose()
    panel.run()
    assert panel.widget.logic._client.pid == process
    assert panel.host.dialogs.shown == [] and panel.host.packages.requests == []


def test_it_gets_ready_for_the_chosen_device(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr(ChildProcess, "send", lambda child, message: sent.append(message))
    panel.parameters.device = "cpu"
    panel.host.come_back()
    panel.host.pump(lambda: bool(sent))
    assert sent == [Warm("cpu")]


@pytest.mark.parametrize(
    "reason", ["no PyTorch", "half a PyTorch", "left at once", "testing", "not wanted", "unloaded"]
)
def test_it_is_not_started_in_vain(panel: Panel, reason: str) -> None:
    if reason == "no PyTorch":
        panel.host.packages.installed["torch"] = None
    elif reason == "half a PyTorch":
        panel.host.packages.unrecorded.add("torch")
    elif reason == "testing":
        panel.host.application.setTesting(True)
    elif reason == "not wanted":
        slicer.app.userSettings().setValue(SETTING, "false")
    panel.host.come_back()
    if reason == "left at once":
        panel.host.leave()
    elif reason == "unloaded":
        client = panel.widget.logic._client
        panel.widget.cleanup()
        panel.host.settle(0.6)
        assert client.pid is None and panel.widget.logic._client is None
        return
    panel.host.settle(0.6)
    assert not started(panel)
    assert panel.host.dialogs.shown == []
