"""What makes the module an extension of Slicer: catalogue entry, sample data, self-tests, translation, keyboard."""

from __future__ import annotations

import ast
import functools
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
from conftest import MODULE, REPOSITORY
from host import Host
from panel_support import add_pair, open_panel
from slicer_scene import add_volume, affine

ENTRY_KEYS = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""Keys of version 1.0.1 of the schema of Slicer's extensions catalogue; no others are allowed."""
SHOWN = {"text", "toolTip", "title", "windowTitle", "placeholderText", "helpText", "acknowledgementText", "format"}
SHOWING = {"errorDisplay", "infoDisplay", "warningDisplay", "confirmOkCancelDisplay", "confirmYesNoDisplay"}
SHOWING |= {"tryWithErrorDisplay", "delayDisplay", "setText", "setToolTip", "addItem", "setWindowTitle"}
CONTROLS = {"QPushButton", "QCheckBox", "QComboBox", "QSpinBox", "QDoubleSpinBox", "ctkSliderWidget"}
CONTROLS |= {"qMRMLNodeComboBox", "qMRMLSegmentSelectorWidget"}
LIBRARY = MODULE / "VoxelOptRegistrationLib"
SLICER_FILES = [file for layer in ("mrml", "qa", "panel") for file in sorted((LIBRARY / layer).glob("*.py"))]


def test_catalogue_entry_follows_the_schema() -> None:
    path = REPOSITORY / "VoxelOptRegistration.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(ENTRY_KEYS)
    assert all(type(value) is ENTRY_KEYS[key] for key, value in entry.items())
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["tier"] in (1, 3, 5) and all(isinstance(name, str) for name in entry["build_dependencies"])
    assert b"\r" not in path.read_bytes() and entry["scm_url"].startswith("https://")


def test_catalogue_entry_agrees_with_cmake() -> None:
    entry = json.loads((REPOSITORY / "VoxelOptRegistration.json").read_text(encoding="utf-8"))
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    cmake = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"\n]+)"\)$', text, re.MULTILINE))
    (project,) = re.findall(r"^project\((\w+)\)$", text, re.MULTILINE)
    assert project == "VoxelOptRegistration" and not project.startswith("Slicer")
    assert entry["category"] == cmake["CATEGORY"] and entry["build_dependencies"] == cmake["DEPENDS"].split()
    home = entry["scm_url"].removesuffix(".git")
    assert cmake["HOMEPAGE"] == home and home.rpartition("/")[2].startswith("Slicer")
    raw = home.replace("github.com", "raw.githubusercontent.com") + f"/{entry['scm_revision']}/"
    for address in [cmake["ICONURL"], *cmake["SCREENSHOTURLS"].split()]:
        assert address.startswith(raw) and address.endswith(".png")
        assert (REPOSITORY / address.removeprefix(raw)).read_bytes().startswith(b"\x89PNG"), address


def test_the_address_stands_where_the_developers_page_says() -> None:
    """Only these files change with the address."""
    entry = json.loads((REPOSITORY / "VoxelOptRegistration.json").read_text(encoding="utf-8"))
    match = re.fullmatch(r"https://github\.com/([A-Za-z0-9-]{1,39})/(Slicer[A-Za-z0-9._-]+)\.git", entry["scm_url"])
    assert match and re.fullmatch(r"[\w./-]+", entry["scm_revision"])
    owner = f"{match[1]}/{match[2]}"
    kinds = (".py", ".txt", ".json", ".md", ".ui", ".toml")
    files = [file for file in REPOSITORY.rglob("*") if file.suffix in kinds and not any_hidden(file)]
    naming = {file.relative_to(REPOSITORY).as_posix() for file in files if owner in file.read_text(encoding="utf-8")}
    assert naming == {"CMakeLists.txt", "VoxelOptRegistration.json"}
    page = (REPOSITORY / "Testing" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page.partition("## The repository's address")[2] for name in naming)


def any_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(REPOSITORY).parts)


def test_cmake_runs_every_test_that_is_meant_for_slicer() -> None:
    folder = REPOSITORY / "Testing" / "Python"
    listed = set(re.findall(r"^  (\w+\.py)$", (folder / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {file.name for file in folder.glob("VoxelOptRegistration*Test.py")}
    top = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "add_subdirectory(Testing)" in top and "add_subdirectory(VoxelOptRegistration)" in top
    assert "add_subdirectory(Python)" in (REPOSITORY / "Testing" / "CMakeLists.txt").read_text(encoding="utf-8")
    module = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "slicer_add_python_unittest(SCRIPT ${MODULE_NAME}.py)" in module and "WITH_GENERIC_TESTS" in module


def test_the_repository_is_small_enough_for_the_catalogue() -> None:
    files = (f for f in REPOSITORY.rglob("*") if f.is_file() and not any(p.startswith(".") for p in f.parts[-4:]))
    pictures = [file for file in files if file.suffix == ".png"]
    assert pictures and max(file.stat().st_size for file in pictures) < 1_500_000


def test_the_module_file_is_thin() -> None:
    text = (REPOSITORY / "VoxelOptRegistration" / "VoxelOptRegistration.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 500


def test_slicer_is_told_what_the_module_is(host: Host) -> None:
    host.load()
    parent = slicer.modules.VoxelOptRegistrationInstance.parent
    assert parent.title == "VoxelOpt Registration" and parent.categories == ["Registration"]
    assert len(parent.helpText) > 100 and "arXiv 2506.19975" in parent.acknowledgementText
    assert not parent.icon.isNull()


def test_sample_pairs_are_offered_and_shown(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import SampleData

    host.load()
    from VoxelOptRegistrationLib.mrml import sample_data

    small = functools.partial(sample_data.add_sample_pair, size_zyx=(24, 28, 36))
    monkeypatch.setattr(sample_data, "add_sample_pair", small)
    assert {category for category, _ in host.samples.sources} == {"VoxelOpt Registration"}
    fixed, moving = SampleData.downloadSample("VoxelOptAbdomenPair")
    layers = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert layers.GetBackgroundVolumeID() == fixed.GetID() and layers.GetForegroundVolumeID() == moving.GetID()
    assert slicer.util.arrayFromVolume(fixed).std() > 100
    for name in ("MRBrainTumor1", "MRBrainTumor2"):
        array = np.zeros((4, 5, 6), np.int16)
        host.samples.builtin[name] = lambda array=array, name=name: add_volume(array, affine(), name)
    names = [node.GetName() for node in SampleData.downloadSample("VoxelOptBrainTumorPair")]
    assert names == ["MRBrainTumor1", "MRBrainTumor2"]
    with pytest.raises(ConnectionError):
        host.samples.builtin.clear()
        SampleData.downloadSample("VoxelOptBrainTumorPair")


def test_reload_and_test(host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The developer's button: the panel is made anew, then the module's own test runs to its end."""
    import qt

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    caplog.set_level(logging.INFO)
    qt.QSettings().setValue("Developer/DeveloperMode", True)
    slicer.app.userSettings().setValue("Developer/SelfTestDisplayMessageDelay", 0)
    before = host.open()
    before.onReloadAndTest()
    host.turn()
    after = slicer.modules.VoxelOptRegistrationWidget
    assert after is not before and after.ui.applyButton.visible
    assert "Test passed" in caplog.text, host.dialogs.shown


@pytest.mark.parametrize("missing", [("torch",), ("torch", "SimpleITK")])
def test_the_modules_own_test_in_ctest(host: Host, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    """Without PyTorch, or without SimpleITK too, only what needs it is left out, for a plain reason."""
    import unittest

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    host.open()
    host.packages.installed |= dict.fromkeys(missing)
    result = unittest.TestResult()
    test = sys.modules["VoxelOptRegistration"].VoxelOptRegistrationTest
    unittest.defaultTestLoader.loadTestsFromTestCase(test).run(result)
    assert result.testsRun == 5 and result.wasSuccessful(), [text for _, text in result.errors + result.failures]
    left_out = {case._testMethodName: reason for case, reason in result.skipped}
    assert sorted(left_out) == ["test_SamplePair", "test_SampleVolumes"][: len(missing)]
    assert all("is not installed in this Slicer, and a test installs nothing" in text for text in left_out.values())
    assert host.packages.requests == [] and host.dialogs.shown == []


def test_reload_and_test_without_pytorch(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    host.open()
    host.packages.installed |= {"torch": None, "SimpleITK": None}
    sys.modules["VoxelOptRegistration"].VoxelOptRegistrationTest().runTest()
    assert "Left out: PyTorch is not installed" in caplog.text and "Test passed" in caplog.text


def test_the_test_for_ctest(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import unittest

    from VoxelOptRegistrationPanelTest import VoxelOptRegistrationPanelTest

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    host.open()
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(VoxelOptRegistrationPanelTest).run(result)
    assert result.testsRun == 1 and result.wasSuccessful() and not result.skipped, [
        text for _, text in result.errors + result.failures
    ]


def test_everything_is_reached_with_the_keyboard(tmp_path: Path) -> None:
    with open_panel(tmp_path) as panel:
        host, widget = panel.host, panel.widget
        fixed, moving = add_pair()
        for selector, node in ((widget.ui.fixedSelector, fixed), (widget.ui.movingSelector, moving)):
            host.keys_to(selector)
            for _ in range(3):
                if selector.currentNode() is not node:
                    host.press("Down")
            assert selector.currentNode() is node
        host.keys_to(widget.ui.applyButton)
        host.press("Space")
        panel.until("Registered in")
        for ui in (widget.ui, widget.qa.ui):
            for name, section in vars(ui).items():
                if name.endswith("Section") and section.collapsed:
                    host.keys_to(section)
                    host.press("Space")
                    assert not section.collapsed, name
            controls = [w for w in vars(ui).values() if type(w).__name__ in CONTROLS and w.visible and w.enabled]
            assert len(controls) > 8
            for control in controls:
                host.keys_to(control)


def test_every_control_says_what_it_is_for(host: Host) -> None:
    widget = host.open()
    for ui in (widget.ui, widget.qa.ui):
        silent = [name for name, w in vars(ui).items() if type(w).__name__ in CONTROLS and not w.toolTip]
        assert set(silent) <= {"applyButton"}, "what Apply waits for is its text"


def test_slicers_process_loads_neither_torch_nor_simpleitk(tmp_path: Path) -> None:
    """Panel, run and views in a process of its own."""
    program = """
import sys
from pathlib import Path
from panel_support import open_panel
with open_panel(Path(sys.argv[1])) as panel:
    panel.choose()
    panel.run()
    for name in ("checkerboardButton", "entropyButton", "jacobianButton"):
        panel.host.click(getattr(panel.widget.qa.ui, name))
    print(panel.status)
print([name for name in ("torch", "SimpleITK") if name in sys.modules])
"""
    search_path = os.pathsep.join([str(MODULE), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"] and "Registered" in done.stdout, done.stderr


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


@pytest.mark.parametrize("file", [MODULE / "VoxelOptRegistration.py", *SLICER_FILES], ids=lambda file: file.name)
def test_texts_can_be_translated(file: Path) -> None:
    """Literal texts go through _() whole: no f-string in it, nothing shown without it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for name, call in calls(tree):
        where = f"{file.name}:{call.lineno}"
        if name == "_":
            assert all(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in call.args), where
        if name == "translate":
            assert not any(isinstance(a, (ast.JoinedStr, ast.BinOp)) for a in call.args), where
        if name in SHOWING:
            assert not any(isinstance(a, (ast.JoinedStr, ast.Constant)) and spoken(a) for a in call.args), where
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            if node.targets[0].attr in SHOWN:
                assert not spoken(node.value), f"{file.name}:{node.lineno}"


def spoken(value: ast.AST) -> bool:
    """Whether an untranslated text with words in it stands there."""
    if isinstance(value, ast.JoinedStr):
        return any(spoken(part) for part in value.values)
    return (
        isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and bool(re.search(r"[A-Za-z]{2}", value.value))
    )
