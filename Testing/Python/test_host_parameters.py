"""The stand-in for Slicer's typed parameter nodes, and Slicer's own Python layer in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Union

import numpy as np
import pytest
import slicer
from conftest import MODULE, REPOSITORY
from host import Host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slicer_scene import add_volume, affine

VALUES = {
    "whole": st.integers(1, 9),
    "real": st.floats(0, 1),
    "flag": st.booleans(),
    "text": st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=20),
    "color": st.sampled_from(["RED", "BLUE"]),
    "names": st.lists(st.text(st.characters(categories=["L"]), max_size=5), max_size=3),
}


class Color(Enum):
    RED = 1
    BLUE = 2

    def label(self) -> str:
        return self.name.title()


@pytest.fixture
def kind(host: Host) -> type:
    """A wrapper class with one parameter of each type."""
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    either = Union[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLTransformNode, None]  # noqa: UP007

    class Parameters:
        pass

    Parameters.__annotations__ = {
        "volume": slicer.vtkMRMLScalarVolumeNode,
        "either": either,
        "whole": Annotated[int, WithinRange(1, 9)],
        "real": Annotated[float, WithinRange(0.0, 1.0), Default(0.25)],
        "flag": bool,
        "text": str,
        "choice": Annotated[str, Choice(["a", "b"])],
        "color": Color,
        "names": list[str],
    }
    Parameters.whole, Parameters.flag, Parameters.choice = 5, True, "a"
    return parameterNodeWrapper(Parameters)


def node() -> slicer.vtkMRMLScriptedModuleNode:
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def test_defaults_types_and_ranges(kind: type) -> None:
    parameters = kind(node())
    found = [getattr(parameters, name) for name in ("volume", "either", "whole", "real", "flag", "text", "choice")]
    assert found == [None, None, 5, 0.25, True, "", "a"]
    assert parameters.color is Color.RED and list(parameters.names) == []
    for name, wrong in (("whole", 0), ("whole", 10), ("real", 1.5), ("choice", "c")):
        with pytest.raises(ValueError):
            setattr(parameters, name, wrong)
    for name, wrong in (("whole", "3"), ("text", 3), ("volume", "CT"), ("flag", None), ("color", "RED")):
        with pytest.raises((TypeError, ValueError)):
            setattr(parameters, name, wrong)


def test_a_default_must_be_one_of_the_choices(host: Host) -> None:
    from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

    class Parameters:
        pass

    Parameters.__annotations__ = {"choice": Annotated[str, Choice(["a", "b"])]}
    with pytest.raises(ValueError):
        parameterNodeWrapper(Parameters)(node())


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries(VALUES))
def test_values_are_kept_on_the_node(kind: type, values: dict[str, Any]) -> None:
    raw = node()
    parameters = kind(raw)
    for name, value in values.items():
        setattr(parameters, name, Color[value] if name == "color" else value)
    again = kind(raw)
    for name, value in values.items():
        assert getattr(again, name) == (Color[value] if name == "color" else value)
    slicer.mrmlScene.RemoveNode(raw)


def test_they_are_saved_with_the_scene(kind: type, tmp_path: Path) -> None:
    raw = node()
    parameters = kind(raw)
    parameters.volume = add_volume(np.zeros((3, 4, 5), np.int16), affine(), "CT")
    parameters.color, parameters.names = Color.BLUE, ["x", "y"]
    identifier = raw.GetID()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear()
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Connect()
    loaded = kind(slicer.mrmlScene.GetNodeByID(identifier))
    assert loaded.volume.GetName() == "CT" and loaded.color is Color.BLUE and list(loaded.names) == ["x", "y"]


def test_widgets_and_parameters_follow_each_other(host: Host, kind: type) -> None:
    import qt

    selector, spin, box, combo, check = (
        slicer.qMRMLNodeComboBox(),
        qt.QSpinBox(),
        qt.QComboBox(),
        qt.QComboBox(),
        qt.QCheckBox(),
    )
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    volume = add_volume(np.zeros((3, 4, 5), np.int16), affine(), "CT")
    parameters = kind(node())
    widgets = {"either": selector, "whole": spin, "choice": box, "color": combo, "flag": check}
    tag = parameters.connectParametersToGui(widgets)
    assert (spin.minimum, spin.maximum, spin.value, check.checked, box.currentText) == (1, 9, 5, True, "a")
    assert [combo.itemText(index) for index in range(combo.count)] == ["Red", "Blue"]
    assert set(selector.nodeTypes) == {"vtkMRMLScalarVolumeNode", "vtkMRMLTransformNode"}
    selector.setCurrentNode(volume)
    spin.value, box.currentIndex, combo.currentIndex, check.checked = 7, 1, 1, False
    host.check()
    assert parameters.either is volume and parameters.color is Color.BLUE
    assert (parameters.whole, parameters.choice, parameters.flag) == (7, "b", False)
    parameters.whole, parameters.either = 3, None
    assert spin.value == 3 and selector.currentNode() is None
    parameters.disconnectGui(tag)
    spin.value = 9
    assert parameters.whole == 3


def test_a_list_is_kept_on_the_node_and_is_no_list(kind: type) -> None:
    raw = node()
    names = kind(raw).names
    names.append("x")
    names[0] = "y"
    names += ["z", "w"]
    del names[1]
    assert kind(raw).names == ["y", "w"] and not isinstance(names, list)
    with pytest.raises((TypeError, NotImplementedError)):
        names + ["v"]
    with pytest.raises(TypeError):
        kind(raw).names = ["y", 1]
    assert list(kind(raw).names) == ["y", "w"]


def test_defaults_can_be_asked_for(kind: type) -> None:
    parameters = kind(node())
    parameters.whole, parameters.flag = 7, False
    defaults = {name: parameters.default(name).value for name in ("volume", "whole", "real", "flag", "color")}
    assert defaults == {"volume": None, "whole": 5, "real": 0.25, "flag": True, "color": Color.RED}
    with pytest.raises(ValueError, match="nothing"):
        parameters.default("nothing")


def test_widgets_with_the_property_are_connected_without_a_tag(kind: type) -> None:
    import qt

    parameters, spin, other = kind(node()), qt.QSpinBox(), qt.QSpinBox()
    spin.setProperty("SlicerParameterName", "whole")
    assert parameters.connectGui(SimpleNamespace(spin=spin, other=other)) is None
    assert (spin.value, other.value) == (5, 0)
    spin.value = other.value = 8
    assert parameters.whole == 8


def test_a_widget_that_slicer_does_not_know_is_refused(kind: type) -> None:
    import qt

    parameters = kind(node())
    for name, widget in (("text", qt.QPlainTextEdit()), ("volume", slicer.qMRMLSegmentSelectorWidget())):
        with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
            parameters.connectParametersToGui({name: widget})
    with pytest.raises(ValueError, match="Cannot find a param"):
        parameters.connectParametersToGui({"nothing": qt.QCheckBox()})


def test_slicers_own_python_layer_takes_the_place_of_the_stand_ins(tmp_path: Path) -> None:
    """Files in the layout of Slicer's Base/Python are imported, twice in a row, and seen by the module."""
    layer = tmp_path / "Base" / "slicer"
    layer.mkdir(parents=True)
    (layer / "i18n.py").write_text("genuine = True\ntr = lambda text: text\ntranslate = lambda context, text: text\n")
    (layer / "ScriptedLoadableModule.py").write_text("from host.scripted_module import *\n")
    (layer / "parameterNodeWrapper").mkdir()
    (layer / "parameterNodeWrapper" / "__init__.py").write_text(
        "from host.parameter_types import *\nfrom host.parameter_node import parameterNodeWrapper\n"
    )
    (layer / "packaging.py").write_text("def pip_ensure(*a, **k): pass\n")
    program = """
import sys, tempfile
from pathlib import Path
from host import start
for run in range(2):
    with start(Path(tempfile.mkdtemp())) as host:
        widget = host.open()
        import slicer.i18n, slicer.packaging
        assert slicer.i18n.genuine and "Base" in slicer.packaging.__file__
        print(widget.ui.applyButton.enabled)
    assert "slicer.i18n" not in sys.modules
"""
    search_path = os.pathsep.join([str(MODULE), str(REPOSITORY / "Testing" / "Python")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": search_path, "SLICER_PYTHON_DIR": str(layer.parent), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == ["False", "False"], done.stderr
