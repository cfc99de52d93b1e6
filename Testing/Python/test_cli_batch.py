"""`voxelopt batch`: the table, resuming, rows that fail."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Command, command, command_environment
from hypothesis import given
from hypothesis import strategies as st
from VoxelOptRegistrationLib.batch import COLUMNS, read_table
from VoxelOptRegistrationLib.cli import main
from VoxelOptRegistrationLib.errors import InputError

FAST = ("--preset", "fast", "--align", "none")


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def results(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "results.csv", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_from_any_spreadsheet(tmp_path: Path, delimiter: str) -> None:
    text = "\ufefffixed,moving,name,preset\na.nii,b/c.nii.gz,,\n\na.nii,/d/e.nii.gz,second one,fast\n".replace(
        ",", delimiter
    )
    first, second = read_table(table(tmp_path, text))
    assert (first.name, first.preset) == ("001_c", "")
    assert (first.files.fixed, first.files.moving) == (tmp_path / "a.nii", tmp_path / "b" / "c.nii.gz")
    assert (second.name, second.preset, second.files.moving) == ("second one", "fast", Path("/d/e.nii.gz"))


def test_truth_columns_are_read(tmp_path: Path) -> None:
    header = ",".join(COLUMNS)
    (row,) = read_table(table(tmp_path, f"{header}\n{','.join(f'{name}.x' for name in COLUMNS)}\n"))
    assert row.truth.landmarks == (tmp_path / "fixed_landmarks.x", tmp_path / "moving_landmarks.x")
    assert row.truth.labels == (tmp_path / "fixed_labels.x", tmp_path / "moving_labels.x")
    assert row.files.initial_transform == tmp_path / "initial_transform.x"
    assert row.files.moving_mask == tmp_path / "moving_mask.x"


def test_landmarks_guide_a_row_or_measure_it(tmp_path: Path) -> None:
    text = "fixed,moving,fixed_guides,moving_guides\na,b,c.csv,d.csv\n"
    (row,) = read_table(table(tmp_path, text))
    assert (row.files.fixed_landmarks, row.files.moving_landmarks) == (tmp_path / "c.csv", tmp_path / "d.csv")
    assert row.truth.landmarks is None
    (row,) = read_table(table(tmp_path, text.replace("guides", "landmarks")))
    assert row.files.fixed_landmarks is None and row.truth.landmarks == (tmp_path / "c.csv", tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'fixed'"),
        ("fixed,moving\n", "no rows"),
        ("fixed\na\n", "'moving'"),
        ("fixed,moving,fixd_mask\na,b,c\n", "Did you mean fixed_mask"),
        ("fixed,moving\na\n", "Line 2"),
        ("fixed,moving\na,b,c\n", "Line 2"),
        ("fixed,moving\na,b\n,b\n", "Line 3"),
        ("fixed,moving,name\na,b,x\na,c,x\n", "called 'x'"),
        ("fixed,moving,name\na,b,../x\n", "'../x'"),
        ("fixed,moving,fixed_labels,moving_labels\na,b,c,\n", "labels for one volume only"),
        ("fixed,moving,fixed_guides,moving_guides\na,b,,c\n", "guides for one volume only"),
        ('fixed,moving\n"a"b,c\n', "Line 2"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.")) as caught:
        read_table(table(tmp_path, text))
    assert caught.value.remedy


@given(data=st.binary(max_size=60) | st.text('fixedmovng,;"\n\r\0 ', max_size=60).map(str.encode))
def test_any_file_is_a_table_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "table.csv"
    path.write_bytes(b"fixed,moving\n" + data)
    try:
        rows = read_table(path)
    except InputError as error:
        assert error.remedy
    else:
        assert rows


def test_rows_run_fail_and_resume(
    voxelopt: Command, phantom_files: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixed, moving = phantom_files["fixed"], phantom_files["moving"]
    truth = ",".join(str(phantom_files[f"{role}_landmarks"]) for role in ("fixed", "moving"))
    rows = table(
        tmp_path,
        "name,fixed,moving,fixed_landmarks,moving_landmarks\n"
        f"one,{fixed},{moving},{truth}\n"
        f"lost,{fixed},later.nii.gz,,\n"
        f"three,{fixed},{moving},,\n"
        f"untrue,{fixed},{moving},no.csv,no.csv\n",
    )
    out = tmp_path / "out"
    done = voxelopt("batch", rows, "-o", out, *FAST)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "2 of 4 rows failed" in done.stderr
    first = results(out)
    assert [row["status"] for row in first.values()] == ["done", "failed", "done", "failed"]
    assert "later.nii.gz" in first["lost"]["error"] and "no.csv" in first["untrue"]["error"]
    assert float(first["one"]["tre_mm"]) > 0 and float(first["one"]["seconds"]) > 0
    assert first["three"]["tre_mm"] == "" and float(first["three"]["folds_percent"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["one", "results.csv", "three"]

    shutil.copy(moving, tmp_path / "later.nii.gz")
    rows.write_text(rows.read_text().partition("untrue")[0])
    written = (out / "one" / "transform.h5").stat().st_mtime_ns
    assert main(["batch", str(rows), "-o", str(out), *FAST, "--json"]) == 0
    told, errors = capfd.readouterr()
    assert errors == ""
    events = [json.loads(line) for line in told.splitlines()]
    assert [event["name"] for event in events if event["event"] == "row"] == ["lost"]
    assert [row["status"] for row in results(out).values()] == ["done"] * 3
    assert results(out)["one"] == first["one"]
    assert (out / "one" / "transform.h5").stat().st_mtime_ns == written


def test_rows_with_other_settings_run_again(phantom_files: dict[str, Path], tmp_path: Path) -> None:
    rows = table(tmp_path, f"name,fixed,moving\na,{phantom_files['fixed']},{phantom_files['moving']}\n")
    keys = []
    for option in ("solver.levels=1", "solver.levels=2"):
        assert main(["batch", str(rows), "-o", str(tmp_path / "out"), *FAST, "--set", option, "--quiet"]) == 0
        keys.append(results(tmp_path / "out")["a"]["key"])
    assert keys[0] != keys[1]


def test_unknown_preset_in_a_row_stops_before_anything_runs(voxelopt: Command, tmp_path: Path) -> None:
    rows = table(tmp_path, "fixed,moving,preset\na,b,\na,b,lungct\n")
    done = voxelopt("batch", rows, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "lung-ct" in done.stderr and not (tmp_path / "out").exists()


def test_folder_that_cannot_take_the_results(
    phantom_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table(tmp_path, f"fixed,moving\n{phantom_files['fixed']},{phantom_files['moving']}\n")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "results.csv").write_text("my,own,table\n")
    for name in ("file", "folder"):
        assert main(["batch", str(rows), "-o", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "results.csv" in error
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.read_text() for path in (tmp_path / "folder").iterdir()] == ["my,own,table\n"]


@pytest.mark.skipif(os.name == "nt", reason="this signal is POSIX's")
def test_stopped_batch_keeps_finished_rows(phantom_files: dict[str, Path], tmp_path: Path) -> None:
    pair = f"{phantom_files['fixed']},{phantom_files['moving']}"
    rows = table(tmp_path, f"name,fixed,moving\na,{pair}\nb,{pair}\n")
    with subprocess.Popen(
        command("batch", rows, "-o", tmp_path / "out", *FAST, "--json"),
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "row" and event["name"] == "b":
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.count("\n")) == (130, 1)
    assert [(row["name"], row["status"]) for row in results(tmp_path / "out").values()] == [("a", "done")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "results.csv"]
