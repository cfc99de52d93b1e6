"""`voxelopt register`, `evaluate` and `demo` as users run them: what they write, say and return."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Command, command, command_environment
from VoxelOptRegistrationLib.cli import main

CONTRACT = {
    "transform.h5",
    "inverse_transform.h5",
    "warped.nii.gz",
    "entropy.nii.gz",
    "expected_error.nii.gz",
    "jacobian.nii.gz",
    "report.json",
    "report.html",
}


@pytest.fixture(scope="module")
def registered(voxelopt: Command, phantom_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one registration of the phantom, run with --json; its events in events.jsonl beside them."""
    folder = tmp_path_factory.mktemp("registered") / "out"
    done = voxelopt(
        "register", phantom_files["fixed"], phantom_files["moving"], "-o", folder, "--preset", "abdomen-ct", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    (folder.parent / "events.jsonl").write_text(done.stdout)
    return folder


def landmark_errors(transform: sitk.Transform, files: dict[str, Path]) -> np.ndarray:
    """Distances |T(fixed) - moving| of the phantom's landmarks, mm."""
    fixed, moving = (
        np.genfromtxt(files[f"{role}_landmarks"], delimiter=",", skip_header=1)[:, -3:] for role in ("fixed", "moving")
    )
    moved = np.array([transform.TransformPoint(point) for point in fixed.tolist()])
    return np.linalg.norm(moved - moving, axis=1)


def test_folder_holds_what_the_contract_says(registered: Path, phantom_files: dict[str, Path]) -> None:
    assert {path.name for path in registered.iterdir()} == CONTRACT
    fixed, moving = sitk.ReadImage(str(phantom_files["fixed"])), sitk.ReadImage(str(phantom_files["moving"]))
    maps = [(name, sitk.sitkFloat32) for name in ("entropy", "expected_error", "jacobian")]
    for name, pixel in (("warped", moving.GetPixelID()), *maps):
        image = sitk.ReadImage(str(registered / f"{name}.nii.gz"))
        assert image.GetPixelID() == pixel and image.GetSize() == fixed.GetSize()
        assert np.allclose(image.GetOrigin(), fixed.GetOrigin(), atol=1e-3)
        assert np.allclose(image.GetDirection(), fixed.GetDirection(), atol=1e-5)
    entropy = sitk.GetArrayFromImage(sitk.ReadImage(str(registered / "entropy.nii.gz")))
    assert 0 <= entropy.min() < entropy.max() <= 1
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(registered / "expected_error.nii.gz")))
    report = json.loads((registered / "report.json").read_text())
    assert 0 <= expected.min() < expected.max() < 50
    assert report["expected_error"]["p95_mm"] <= expected.max()
    assert report["expected_error"]["calibration"] == "abdomen-ct" and report["expected_error"]["calibrated"]
    assert (registered / "report.html").read_text().lstrip().lower().startswith("<!doctype html")


def test_transform_brings_the_landmarks_together(registered: Path, phantom_files: dict[str, Path]) -> None:
    before = landmark_errors(sitk.Transform(3, sitk.sitkIdentity), phantom_files)
    after = landmark_errors(sitk.ReadTransform(str(registered / "transform.h5")), phantom_files)
    assert after.mean() < 0.5 * before.mean()


def test_inverse_undoes_the_transform(registered: Path, phantom_files: dict[str, Path]) -> None:
    forward = sitk.ReadTransform(str(registered / "transform.h5"))
    inverse = sitk.ReadTransform(str(registered / "inverse_transform.h5"))
    points = np.genfromtxt(phantom_files["fixed_landmarks"], delimiter=",", skip_header=1)[:, -3:]
    back = np.array([inverse.TransformPoint(forward.TransformPoint(p)) for p in points.tolist()])
    spacing = min(sitk.ReadImage(str(phantom_files["fixed"])).GetSpacing())
    assert np.linalg.norm(back - points, axis=1).mean() < 0.1 * spacing


def test_json_lines_tell_progress_and_result(registered: Path) -> None:
    events = [json.loads(line) for line in (registered.parent / "events.jsonl").read_text().splitlines()]
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert len(fractions) > 3 and fractions == sorted(fractions) and 0 <= fractions[0] and fractions[-1] <= 1
    assert events[-1]["event"] == "result" and events[-1]["folder"] == str(registered)


def test_labels_and_landmarks_take_part(voxelopt: Command, phantom_files: dict[str, Path], tmp_path: Path) -> None:
    """Labels as features, and landmarks from a CSV file and from Slicer's."""
    points = np.genfromtxt(phantom_files["moving_landmarks"], delimiter=",", skip_header=1)[:, -3:]
    markup = {
        "coordinateSystem": "RAS",
        "controlPoints": [{"position": (p * (-1, -1, 1)).tolist(), "positionStatus": "defined"} for p in points],
    }
    (tmp_path / "moving.mrk.json").write_text(json.dumps({"markups": [markup]}))
    arguments = ["register", phantom_files["fixed"], phantom_files["moving"], "-o", tmp_path / "out"]
    arguments += ["--fixed-labels", phantom_files["fixed_labels"], "--moving-labels", phantom_files["moving_labels"]]
    arguments += ["--fixed-landmarks", phantom_files["fixed_landmarks"]]
    arguments += ["--moving-landmarks", tmp_path / "moving.mrk.json"]
    arguments += ["--preset", "fast", "--align", "center", "--features", "labels", "--set", "grid.max_voxels=30000"]
    done = voxelopt(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["features"]["name"] == "labels"
    assert report["overlap"]["after"]["mean"] > report["overlap"]["before"]["mean"]
    after = landmark_errors(sitk.ReadTransform(str(tmp_path / "out" / "transform.h5")), phantom_files).mean()
    assert after == pytest.approx(report["constraints"]["after"]["mean"], abs=0.05)
    assert after < 0.5 * report["constraints"]["solved"]["mean"]
    assert "no measure of its accuracy" in (tmp_path / "out" / "report.html").read_text()


def test_evaluate_measures_the_saved_transform(
    voxelopt: Command, registered: Path, phantom_files: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--fixed", phantom_files["fixed"], "--transform", registered / "transform.h5"]
    arguments += ["--landmarks", phantom_files["fixed_landmarks"], phantom_files["moving_landmarks"]]
    arguments += ["--labels", phantom_files["fixed_labels"], phantom_files["moving_labels"], "--scored", "1,2"]
    done = voxelopt(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    errors = landmark_errors(sitk.ReadTransform(str(registered / "transform.h5")), phantom_files)
    assert found["tre_mm"]["all"]["mean"] == pytest.approx(errors.mean())
    assert found["dice"]["labels"] == 2 and found["folds_percent"] == 0
    assert main([str(argument) for argument in arguments]) == 0
    text = capfd.readouterr().out
    assert f"mean {errors.mean():.2f} mm" in text and "Folds: 0.0000 %" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--landmarks", "missing.csv", "missing.csv"], "missing.csv"),
        (["--labels", "missing.nii", "missing.nii"], "missing.nii"),
        (["--scored", "one,two"], "one,two"),
        (["--scored", "-1"], "scored"),
    ],
)
def test_evaluate_names_what_is_wrong(
    registered: Path,
    phantom_files: dict[str, Path],
    options: list[str],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = ("--fixed", phantom_files["fixed"], "--transform", registered / "transform.h5", *options)
    assert main(["evaluate", *map(str, given)]) == 2
    out, errors = capfd.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert said in errors


def test_quiet_says_nothing(voxelopt: Command, phantom_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["register", phantom_files["fixed"], phantom_files["moving"], "-o", tmp_path / "out"]
    done = voxelopt(*arguments, "--quiet", "--preset", "fast")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == CONTRACT


@pytest.mark.skipif(os.name == "nt", reason="these signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["at once", "while solving"])
def test_stopped_run_leaves_the_folder_as_it_was(
    phantom_files: dict[str, Path], tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "transform.h5").write_text("an earlier result")
    with subprocess.Popen(
        command("register", phantom_files["fixed"], phantom_files["moving"], "-o", folder, "--json"),
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        if moment == "while solving":
            while json.loads(process.stdout.readline()).get("fraction", 0) < 0.3:
                pass
        else:
            time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        seconds = time.monotonic() - start
    assert (process.returncode, errors.count("\n")) == (130, 1), errors
    assert "ancelled" in errors
    assert seconds < 5
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {
        folder / "transform.h5": "an earlier result"
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("errors_are_read", [True, False])
def test_output_that_nobody_reads_is_one_line(errors_are_read: bool) -> None:
    with subprocess.Popen(
        command("presets"), env=command_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        errors = process.stderr.read() if errors_are_read else process.stderr.close()
    assert process.returncode == 3
    assert errors is None or errors.count("\n") == 1, errors


def test_unexpected_error_is_one_line_and_debug_shows_where(voxelopt: Command, tmp_path: Path) -> None:
    (tmp_path / "SimpleITK").mkdir()
    (tmp_path / "SimpleITK" / "__init__.py").write_text("raise RuntimeError('broken\\nbuild')")
    done = voxelopt("register", "a", "b", "-o", tmp_path / "out", python_path=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "RuntimeError: broken build" in done.stderr and "--debug" in done.stderr
    done = voxelopt("register", "a", "b", "-o", tmp_path / "out", "--debug", python_path=tmp_path)
    assert done.returncode == 3 and "Traceback" in done.stderr


def test_presets_and_devices_in_both_forms(voxelopt: Command, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("presets", "devices"):
        lines = [json.loads(line) for line in voxelopt(name, "--json").stdout.splitlines()]
        assert main([name]) == 0
        text = capfd.readouterr().out
        assert lines and all(line["name"] in text for line in lines)


def test_demo_ends_with_a_summary_and_files(voxelopt: Command, tmp_path: Path) -> None:
    done = voxelopt("demo", "-o", tmp_path / "demo", "--size", "small")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "demo" / "registration").iterdir()} == CONTRACT
    evaluation = json.loads((tmp_path / "demo" / "evaluation.json").read_text())
    before, after = evaluation["before"], evaluation["after"]
    assert after["tre_mm"]["all"]["mean"] < 0.5 * before["tre_mm"]["all"]["mean"]
    assert after["dice"]["mean"] > before["dice"]["mean"] and after["folds_percent"] == 0
    assert f"{after['dice']['mean']:.3f}" in done.stdout and "report.html" in done.stdout


def test_module_and_command_are_the_same(voxelopt: Command) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from VoxelOptRegistrationLib.cli import main; sys.exit(main(['--version']))",
        ],
        env=command_environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, voxelopt("--version").stdout)
    assert done.stdout.startswith("voxelopt ")
