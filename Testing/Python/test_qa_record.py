"""The scene remembers a registration, also after it was saved and opened again."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer
from qa_registration import add_registration
from slicer_scene import new_scene, node_counts
from VoxelOptRegistrationLib.mrml.record import recall, registrations, remember

REPORT = {"jacobian": {"folds": 3, "min": -0.5}, "warnings": ['Größe <b>; "quoted" & 50 %: a;b', "two\nlines"]}


@pytest.fixture(autouse=True)
def scene() -> slicer.vtkMRMLScene:
    return new_scene()


def test_what_is_remembered_is_recalled() -> None:
    registration = add_registration(report=REPORT, inverse=True)
    remember(registration)
    found = recall(registration.transform)
    assert found is not None
    for name in ("fixed", "moving", "transform", "warped", "entropy", "jacobian", "expected_error", "inverse"):
        assert getattr(found, name) is getattr(registration, name), name
    assert found.report == REPORT
    assert found.name == "Result"


def test_a_new_run_with_the_same_transform_replaces_the_record() -> None:
    registration = add_registration(report=REPORT)
    remember(registration)
    nodes = node_counts()
    changed = type(registration)(registration.fixed, registration.moving, registration.transform, {"jacobian": {}})
    remember(changed)
    assert node_counts() == nodes
    found = recall(registration.transform)
    assert found is not None and found.report == {"jacobian": {}}
    assert found.warped is None and found.entropy is None


def test_several_registrations_are_kept_apart() -> None:
    records = [add_registration(report={"number": number}) for number in range(3)]
    for record in records:
        remember(record)
    assert [found.report["number"] for found in registrations(slicer.mrmlScene)] == [0, 1, 2]
    second = recall(records[1].transform)
    assert second is not None and second.moving is records[1].moving


def test_nothing_is_recalled_without_its_volumes() -> None:
    registration = add_registration(report=REPORT)
    assert recall(registration.transform) is None
    assert recall(None) is None
    remember(registration)
    slicer.mrmlScene.RemoveNode(registration.entropy)
    found = recall(registration.transform)
    assert found is not None and found.entropy is None and found.jacobian is registration.jacobian
    slicer.mrmlScene.RemoveNode(registration.fixed)
    assert recall(registration.transform) is None
    assert registrations(slicer.mrmlScene) == []


def test_a_report_that_somebody_edited_is_no_error() -> None:
    registration = add_registration(report=REPORT)
    node = remember(registration)
    for text in ("{not json", "[1, 2]", ""):
        node.SetText(text)
        found = recall(registration.transform)
        assert found is not None and found.report == {}


def test_a_scene_that_was_saved_and_opened_still_has_it(tmp_path: Path) -> None:
    registration = add_registration(report=REPORT, inverse=True)
    remember(registration)
    names = {
        name: getattr(registration, name).GetName()
        for name in ("fixed", "moving", "transform", "warped", "entropy", "jacobian", "expected_error", "inverse")
    }
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()
    assert REPORT["warnings"][0] not in path.read_text(encoding="utf-8")  # escaped, whatever is in it
    scene = new_scene()
    scene.SetURL(str(path))
    scene.Connect()
    (found,) = registrations(scene)
    assert found.report == REPORT
    assert {name: getattr(found, name).GetName() for name in names} == names
