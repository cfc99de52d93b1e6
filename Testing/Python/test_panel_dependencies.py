"""What is missing is asked for at Apply, with consent; a broken PyTorch is explained and mended."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from panel_support import Panel, open_panel
from VoxelOptRegistrationLib.mrml import environment


@pytest.fixture
def panel(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Panel]:
    with open_panel(tmp_path, getattr(request, "param", "known")) as opened:
        opened.choose()
        yield opened


def press(name: str) -> Any:
    """An answer that presses a button of the dialog."""

    def answer(dialog: Any) -> Any:
        import qt

        return getattr(qt.QMessageBox, name)

    return answer


def test_with_everything_there_nothing_is_asked_or_installed(panel: Panel) -> None:
    panel.run()
    assert panel.host.dialogs.shown == [] and panel.host.packages.requests == []


def test_opening_the_panel_asks_nothing(panel: Panel) -> None:
    panel.host.packages.installed |= {"torch": None, "SimpleITK": None}
    panel.host.leave()
    panel.host.come_back()
    assert panel.host.dialogs.shown == [] and panel.host.packages.requests == []


def test_missing_pytorch_is_installed_after_asking(panel: Panel) -> None:
    panel.host.packages.installed["torch"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert "PyTorch, which is not installed" in panel.host.dialogs.shown[0]
    wanted = ">=2.4,<2.13" if sys.platform == "win32" else ">=2.4"
    assert panel.host.packages.requests == [("installTorch", wanted)]
    panel.run()
    assert len(panel.host.dialogs.shown) == 1


def test_declining_starts_nothing(panel: Panel) -> None:
    panel.host.packages.installed["torch"] = None
    panel.host.dialogs.answers.append(press("Cancel"))
    panel.apply()
    assert panel.status == "Not started: PyTorch is not installed." and panel.ui.applyButton.text == "Apply"
    assert panel.host.packages.requests == [] and not panel.ui.repairButton.visible


def test_without_the_pytorch_extension_it_says_where_to_get_it(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    panel.host.packages.installed["torch"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    panel.apply()
    assert "Install the extension PyTorch in the Extensions Manager, restart Slicer" in panel.status


@pytest.mark.parametrize("kind", ["record without files", "files without record"])
def test_a_half_installed_pytorch_is_explained_and_repaired(panel: Panel, kind: str) -> None:
    packages = panel.host.packages
    if kind == "record without files":
        packages.installed["torch"] = "2.13.0"
        found = packages._find_spec
        packages._find_spec = lambda name, package=None: None if name == "torch" else found(name, package)
    else:
        packages.unrecorded.add("torch")
    panel.apply()
    assert "PyTorch is not completely installed in this Slicer" in panel.status
    assert panel.ui.repairButton.visible and panel.host.packages.requests == []
    if kind == "record without files":
        packages._find_spec = found
    panel.host.dialogs.answers.append(press("Ok"))
    panel.host.click(panel.ui.repairButton)
    assert [request[0] for request in packages.requests] == ["uninstallTorch", "installTorch"]
    assert "PyTorch is installed. Press Apply." in panel.status and not panel.ui.repairButton.visible


@pytest.mark.parametrize("panel", ["broken"], indirect=True)
def test_a_pytorch_that_cannot_be_loaded_is_explained_and_repaired(panel: Panel, tmp_path: Path) -> None:
    panel.host.dialogs.answers.append(lambda dialog: 0)
    panel.apply()
    panel.until("cannot be loaded: libtorch.so is missing")
    assert panel.ui.repairButton.visible
    panel.host.dialogs.answers[:] = [press("Ok")]
    panel.host.click(panel.ui.repairButton)
    panel.host.pump(lambda: panel.ui.refreshDevicesButton.enabled)
    assert not panel.ui.repairButton.visible and "cannot be loaded" not in panel.ui.deviceNote.text
    panel.widget.logic.close()
    panel.behave("known", tmp_path / "jobs")
    panel.run()


def test_a_repair_that_is_declined_changes_nothing(panel: Panel) -> None:
    panel.host.packages.unrecorded.add("torch")
    panel.apply()
    panel.host.dialogs.answers.append(press("Cancel"))
    panel.host.click(panel.ui.repairButton)
    assert panel.status == "PyTorch was left as it is." and panel.host.packages.requests == []


def test_an_installation_that_fails_says_what_to_do(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import PyTorchUtils

    def fail(self: Any, **keywords: Any) -> None:
        raise RuntimeError("No space left on device.\nmore")

    monkeypatch.setattr(PyTorchUtils.PyTorchUtilsLogic, "installTorch", fail)
    panel.host.packages.installed["torch"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.apply()
    assert "PyTorch could not be installed: No space left on device. Check the internet" in panel.status
    assert panel.ui.repairButton.visible


def test_the_extension_cannot_bring_torch_into_slicers_process(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real extension imports torch at the end of its installation."""
    import PyTorchUtils

    def install(self: Any, **keywords: Any) -> Any:
        panel.host.packages.installed.pop("torch")
        import torch

        return torch

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(PyTorchUtils.PyTorchUtilsLogic, "installTorch", install)
    panel.host.packages.installed["torch"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert "torch" not in sys.modules


def test_other_packages_go_through_slicers_own_installer(panel: Panel) -> None:
    panel.host.packages.installed["SimpleITK"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert panel.host.packages.requests == [("pip", ["install", "SimpleITK>=2.4"])]


def test_declining_other_packages_starts_nothing(panel: Panel) -> None:
    panel.host.packages.installed["SimpleITK"] = None
    panel.host.dialogs.answers.append(press("Cancel"))
    panel.apply()
    assert panel.status.startswith("Not started: ") and panel.ui.applyButton.text == "Apply"
    assert panel.host.packages.requests == []


def test_slicer_5_10_has_no_packaging_and_is_asked_by_the_panel(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.delattr(slicer, "packaging", raising=False)
    asked: list[str] = []

    def install(requirements: str) -> None:
        asked.append(requirements)
        panel.host.packages.installed.pop("SimpleITK")

    monkeypatch.setattr(slicer.util, "pip_install", install)
    panel.host.packages.installed["SimpleITK"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert asked == ["SimpleITK>=2.4"] and "SimpleITK>=2.4. Install them now?" in panel.host.dialogs.shown[0]


def test_numba_is_offered_once_and_the_process_starts_anew_with_it(panel: Panel) -> None:
    panel.run()
    process = panel.widget.logic._client.pid
    panel.host.packages.installed["numba"] = None
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    asked = ["--only-binary", "numba,llvmlite", "numba>=0.61", f"numpy=={np.__version__}"]
    assert panel.host.packages.requests == [("pip", ["install", *asked])]
    assert len(panel.host.dialogs.shown) == 1 and "Without it everything works" in panel.host.dialogs.shown[0]
    assert panel.widget.logic._client.pid != process
    panel.run()
    assert len(panel.host.dialogs.shown) == 1


def test_numba_declined_is_not_offered_again(panel: Panel) -> None:
    panel.host.packages.installed["numba"] = None
    panel.host.dialogs.answers.append(press("Cancel"))
    panel.run()
    panel.run()
    assert len(panel.host.dialogs.shown) == 1 and panel.host.packages.requests == []


def test_a_numba_that_cannot_be_installed_stops_nothing(panel: Panel, caplog: pytest.LogCaptureFixture) -> None:
    packages = panel.host.packages
    packages.installed["numba"] = None
    packages.pip_returns = 1
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert "numba could not be installed, which only costs time" in caplog.text
    panel.run()
    assert len(panel.host.dialogs.shown) == 1 and len(packages.requests) == 1


def test_numba_comes_with_pytorch(panel: Panel) -> None:
    panel.host.packages.installed |= {"torch": None, "numba": None}
    panel.host.dialogs.answers.append(press("Ok"))
    panel.run()
    assert "numba, which speeds up" in panel.host.dialogs.shown[0] and len(panel.host.dialogs.shown) == 1
    assert [request[0] for request in panel.host.packages.requests] == ["installTorch", "pip"]


def fake_torch(folder: Path, compiled: bool, version: str | None) -> None:
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    if compiled:
        (folder / "torch" / "_C.cpython-312-x86_64-linux-gnu.so").touch()
    if version is not None:
        record = folder / f"torch-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("compiled", "version", "words"),
    [
        (True, "2.9.1+cpu", ""),
        (False, "2.9.1", "some of its files are missing"),
        (True, None, "not the record"),
        (True, "2.3.1", "version 2.3.1 is too old"),
    ],
)
def test_damage_is_seen_in_the_files_without_importing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool, version: str | None, words: str
) -> None:
    fake_torch(tmp_path, compiled, version)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *[entry for entry in sys.path if "site-packages" not in entry]])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    damage = environment.torch_damage()
    assert (words in damage) if words else damage == ""
    assert "torch" not in sys.modules
    assert isinstance(importlib.util.find_spec, types.FunctionType)
