"""Texts in another language: what users of Slicer see goes through its translation, from whichever layer it comes."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import MODULE
from host import Host
from VoxelOptRegistrationLib.presets import preset_names, read_preset

LIBRARY = MODULE / "VoxelOptRegistrationLib"
TRANSLATED = [file for layer in ("mrml", "qa", "panel") for file in sorted((LIBRARY / layer).glob("*.py"))]
ERRORS = {"InputError", "ComputationError", "Cancelled", "computation_error"}
FROM_ELSEWHERE = [*sorted((LIBRARY / "worker").glob("*.py")), LIBRARY / "devices.py", LIBRARY / "errors.py"]
"""Files whose errors reach the panel and that know nothing of Slicer."""

PROGRAMMERS = {"conversion.py", "data.py", "exchange.py"}
"""Of these, files whose errors tell of a call that the module never makes."""

USE = """
import json, logging, sys
from pathlib import Path
import numpy as np
from host import start

texts, told = {}, []
handler = logging.Handler(logging.ERROR)
handler.emit = lambda record: told.append(record.getMessage())
logging.getLogger().addHandler(handler)

def note(when):
    for ui in (widget.ui, widget.qa.ui):
        for name, child in vars(ui).items():
            number = name.endswith("SpinBox")  # its unit stands in the .ui file
            for key in ("toolTip", "title", "placeholderText", *(() if number else ("text",))):
                value = getattr(child, key, "")
                if isinstance(value, str):
                    texts.setdefault(value, f"{when}: {name}.{key}")
            if type(child).__name__ == "QComboBox":
                for index in range(child.count):
                    texts.setdefault(child.itemText(index), f"{when}: {name}")
            if type(child).__name__ == "QTableWidget":
                items = [child.horizontalHeaderItem(column) for column in range(child.columnCount)]
                for row in range(child.rowCount):
                    items += [child.item(row, column) for column in range(child.columnCount)]
                for item in items:
                    texts.setdefault(item.text(), f"{when}: {name}")
                    texts.setdefault(item.toolTip(), f"{when}: {name}")

with start(Path(sys.argv[1]), (160, 140)) as host:
    host.application.language = lambda context, text: f"<<{text}>>"
    import slicer
    from panel_support import add_pair
    from slicer_scene import add_segmentation, add_volume, affine
    from test_qa_panel import BUTTONS, REPORT, Session
    REPORT.pop("warnings")
    session = Session(host)
    widget, ui = session.widget, session.widget.qa.ui
    note("result")
    for section in ("review", "measures", "transfer"):
        session.open(section)
    for button in (*BUTTONS.values(), "worstFoldButton", "worstEntropyButton"):
        host.click(getattr(ui, button))
        note(button)
    host.click(ui.gridCheckBox)
    session.registration.moving.SetOrigin(1, 2, 3)
    host.click(ui.blendButton)
    note("changed")
    host.click(ui.jacobianHistogramButton)
    note("plotted")
    cube = np.ones((20, 24, 28), np.uint8)
    ui.fixedSegmentsSelector.setCurrentNode(add_segmentation({"Liver": cube}, affine()))
    host.turn()
    host.click(ui.segmentsButton)
    note("segments")
    single = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "empty")
    ui.fixedLandmarksSelector.setCurrentNode(single)
    ui.movingLandmarksSelector.setCurrentNode(single)
    host.turn()
    host.click(ui.landmarksButton)
    flat = add_volume(np.zeros((1, 4, 5), np.int16), affine(), "flat")
    host.select(widget.ui.fixedSelector, flat)
    note("flat")
    for preset in range(widget.ui.presetSelector.count):
        host.select(widget.ui.presetSelector, preset)
        note("preset")
    fixed, moving = add_pair()
    host.select(widget.ui.fixedSelector, fixed)
    host.select(widget.ui.movingSelector, moving)
    host.packages.installed["torch"] = None
    host.answer("Cancel")
    host.click(widget.ui.applyButton)
    note("not installed")
    names = ["Liver"] + [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLNode") if node.GetName()]
    charts = [node.GetXAxisTitle() for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")]
    from VoxelOptRegistrationLib.qa.measures import measures
    from VoxelOptRegistrationLib.qa.tables import write_csv
    table = Path(sys.argv[1]) / "numbers.csv"
    write_csv(table, measures({"jacobian": {"folds": 2}}))
    said = [*told, *host.dialogs.shown, *charts]
    print(json.dumps({"texts": texts, "names": names, "said": said, "csv": table.read_text(encoding="utf-8-sig")}))
"""


def texts_of_forms() -> set[str]:
    """What stands in .ui files: Qt translates it when it loads them."""
    files = (MODULE / "Resources" / "UI").glob("*.ui")
    return {element.text or "" for file in files for element in ElementTree.parse(file).iter("string")}


def test_every_text_in_the_panel_is_translated(tmp_path: Path) -> None:
    """The panel in a language whose words stand between double angle brackets, in a process of its own."""
    search_path = os.pathsep.join([str(MODULE), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    own = {text: where for text, where in seen["texts"].items() if text not in texts_of_forms()}
    assert sum("<<" in text for text in own) > 80
    plain = {text: where for text, where in own.items() if re.search("[A-Za-z]{3}", text) and "<<" not in text}
    assert {text: where for text, where in plain.items() if text not in seen["names"]} == {}
    assert len(seen["said"]) == 3 and all("<<" in text for text in seen["said"])
    assert "Folds,,2,voxels," in seen["csv"], "what is saved is called the same in all languages"


def errors_in(file: Path) -> Iterator[ast.expr]:
    """What and what to do of every error that is made in a file, as written there."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
            yield from node.args
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("remedy", "text"):
            yield node.value


@pytest.mark.parametrize("file", TRANSLATED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_errors_are_translated_where_they_are_made(file: Path) -> None:
    for text in errors_in(file):
        assert not isinstance(text, (ast.Constant, ast.JoinedStr)), f"{file.name}:{text.lineno}"


def test_fixed_errors_of_other_layers_are_translated_in_the_panel(host: Host) -> None:
    host.load()
    from VoxelOptRegistrationLib.errors import Cancelled, ComputationError
    from VoxelOptRegistrationLib.panel.error_words import _fixed_texts, error_words

    made = [text for file in FROM_ELSEWHERE if file.name not in PROGRAMMERS for text in errors_in(file)]
    fixed = {text.value for text in made if isinstance(text, ast.Constant) and " " in str(text.value)}
    known = set(_fixed_texts())
    assert fixed - known == {"Choose auto, cuda, cuda:1 (and so on), mps or cpu."}, "the panel offers only devices"
    assert known - fixed == {Cancelled().text}
    host.application.language = lambda context, text: f"<{context}: {text}>"
    error = ComputationError("12 MB could not be written.", "Try again.")
    assert error_words(error) == "12 MB could not be written. <panel.error_words: Try again.>"


def test_presets_are_called_in_the_panel_as_in_their_files(host: Host) -> None:
    host.load()
    from VoxelOptRegistrationLib.panel.preset_words import preset_description, preset_title

    host.application.language = lambda context, text: f"<{text}>"
    for name in preset_names():
        preset = read_preset(name)
        assert preset_title(name) == f"<{preset.title}>"
        assert preset_description(name) == f"<{preset.description}>"
