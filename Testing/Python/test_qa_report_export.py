"""The HTML report drawn again from the scene, in a real process."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import slicer
from qa_registration import add_registration, described, waves
from slicer_scene import new_scene
from VoxelOptRegistrationLib.errors import ComputationError, InputError
from VoxelOptRegistrationLib.qa import report_export
from VoxelOptRegistrationLib.qa.report_export import ReportExport

REPORT = {"jacobian": {"voxels": 10, "folds": 0, "folds_percent": 0.0, "sdlogj": 0.1, "sdlogj_l2r": 0.05}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that a test sees what stays."""
    new_scene()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(report_export, "temporary_folder", lambda: str(temporary))
    return temporary


def test_the_report_is_drawn_from_the_scene(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.html"
    export = ReportExport(add_registration(waves, report=REPORT), path)
    export.wait(120)
    page = path.read_text(encoding="utf-8")
    assert "<title>Registration of Moving scan onto Fixed scan</title>" in page
    assert len(re.findall(r"data:image/png;base64,", page)) > 20
    assert "SDlogJ" in page
    assert list(folder.iterdir()) == []


def test_a_report_can_be_drawn_without_the_warped_volume(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.html"
    ReportExport(add_registration(waves, report=REPORT, warped=False), path).wait(120)
    assert path.stat().st_size > 50_000


def test_a_report_about_a_hardened_volume_says_so(folder: Path, tmp_path: Path) -> None:
    registration = described(add_registration(waves, report=REPORT, warped=False))
    registration.moving.SetAndObserveTransformNodeID(registration.transform.GetID())
    registration.moving.HardenTransform()
    path = tmp_path / "result.html"
    ReportExport(registration, path).wait(120)
    assert "The moving volume was changed or moved after registration" in path.read_text(encoding="utf-8")


def test_without_its_maps_there_is_no_report(folder: Path, tmp_path: Path) -> None:
    registration = add_registration(waves)
    slicer.util.updateVolumeFromArray(registration.jacobian, np.ones((3, 3, 3)))
    with pytest.raises(InputError, match="jacobian volume of this registration is no longer"):
        ReportExport(registration, tmp_path / "result.html")
    assert list(folder.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    export = ReportExport(add_registration(waves, report=REPORT), tmp_path / "missing" / "result.html")
    with pytest.raises(ComputationError, match="cannot be written"):
        export.wait(120)
    assert list(folder.iterdir()) == []


def test_a_process_that_fails_says_why(folder: Path, tmp_path: Path) -> None:
    damaged = {**REPORT, "similarity": {"after": {}}}
    with pytest.raises(ComputationError, match="The report could not be drawn: KeyError: 'before'"):
        ReportExport(add_registration(waves, report=damaged), tmp_path / "result.html").wait(120)
    assert list(folder.iterdir()) == []


def test_a_cancelled_report_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.html"
    export = ReportExport(add_registration(waves, report=REPORT), path)
    assert len(list(folder.iterdir())) == 1
    export.cancel()
    assert list(folder.iterdir()) == [] and not path.exists()
