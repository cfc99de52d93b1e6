"""`voxelopt benchmark` as users run it, on small generated data."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_data import write_abdomenctct
from conftest import Command, command, command_environment
from VoxelOptRegistrationLib.benchmark.processes import Conditions, run_process
from VoxelOptRegistrationLib.cli import main
from VoxelOptRegistrationLib.interruption import SIGNALS, Interruption, StopRequested

FAST = ("--set", "solver.levels=2", "--set", "align=none", "--threads", 1)


@pytest.fixture(scope="module")
def data(phantom_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose description has the phantom and a synthetic pair of it."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("fixed", "moving", "fixed_labels", "moving_labels", "fixed_landmarks", "moving_landmarks"):
        path = phantom_files[name]
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "scored.txt").write_text("1 2 3\n")
    pair = {
        "name": "phantom",
        "preset": "abdomen-ct",
        "fixed": "fixed.nii.gz",
        "moving": "moving.nii.gz",
        "landmarks": ["fixed_landmarks.csv", "moving_landmarks.csv"],
        "labels": ["fixed_labels.nii.gz", "moving_labels.nii.gz"],
        "scored": "scored.txt",
        "peers_rigid": True,
    }
    synthetic = {"name": "made", "preset": "fast", "image": "moving.nii.gz", "labels": "moving_labels.nii.gz"}
    (folder / "pairs.json").write_text(json.dumps({"pairs": [pair], "synthetic": [synthetic]}))
    return folder


@pytest.fixture
def without_greedy(tmp_path: Path) -> Path:
    """A folder for the import path that hides the package picsl_greedy, installed or not."""
    folder = tmp_path / "hiding"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['picsl_greedy'] = None\n")
    return folder


def here(*words: object) -> int:
    """The exit code of the command in this process, which has loaded everything; its registrations have their own."""
    return main([str(word) for word in words])


def rows_of(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(folder / "benchmark.csv", newline="") as file:
        return {(row["pair"], row["program"]): row for row in csv.DictReader(file)}


def test_one_table_of_own_and_other_programs_and_its_comparison(
    voxelopt: Command, data: Path, tmp_path: Path, without_greedy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    some = ("--data", data, "--only", "phantom", "--methods", "voxelopt", "--refinements", "local-ncc", *FAST)
    done = voxelopt("benchmark", *some, "-o", out, "--peers", "demons,greedy", python_path=without_greedy)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert {path.name for path in out.iterdir()} == {f"benchmark.{suffix}" for suffix in ("md", "csv", "json")}
    rows = rows_of(out)
    assert list(rows) == [("phantom", name) for name in ("before", "voxelopt + local-ncc", "demons", "greedy")]
    before, own, demons, greedy = rows.values()
    assert greedy["status"] == "not installed" and "picsl_greedy" in greedy["note"]
    assert own["default"] == "yes" and demons["default"] == ""
    for row in (own, demons):
        assert row["status"] == "done" and float(row["tre_mm"]) < float(before["tre_mm"])
        assert 0 < float(row["seconds"]) < float(row["wall_seconds"]) and float(row["peak_memory_mib"]) > 20
    assert float(own["inverse_voxels"]) < 0.1 and demons["inverse_voxels"] == ""
    assert "SimpleITK demons" in (out / "benchmark.md").read_text()

    kept = json.loads((out / "benchmark.json").read_text())
    for row in kept["rows"]:
        if row["program"] == "before":
            row["values"]["dice"] += 0.1
    better = tmp_path / "kept.json"
    better.write_text(json.dumps(kept))
    assert here("benchmark", *some, "-o", tmp_path / "again", "--program", "before", "--compare", better) == 3
    said, errors = capfd.readouterr()
    assert errors.count("\n") == 1
    assert "1 of the table's numbers got worse: phantom, before: Dice" in errors
    assert "Worse: phantom, before: Dice" in said
    assert "voxelopt + local-ncc: only in the kept table" in said
    assert (tmp_path / "again" / "benchmark.json").exists()


def test_runs_that_fail_are_rows_and_files_can_be_kept(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = here(
        "benchmark", "--data", data, "--only", "made", "--methods", "voxelopt", "--refinements", "none", *FAST,
        "--set", "grid.max_voxels=600", "--peers", "demons", "--peers-python", "/no/such/python", "--keep", "--json",
        "-o", out,
    )  # fmt: skip
    told, errors = capfd.readouterr()
    assert (code, errors) == (0, "")
    events = [json.loads(line) for line in told.splitlines()]
    runs = [event for event in events if event["event"] == "run"]
    assert [event["program"] for event in runs] == ["before", "voxelopt", "demons"]
    assert runs[1]["status"] == "done" and runs[2]["status"] == "failed"
    assert "/no/such/python" in runs[2]["note"]
    assert (out / "runs" / "002-made-voxelopt" / "registration" / "transform.h5").exists()


def test_abdomenctct_and_the_ablations(tmp_path: Path) -> None:
    learn2reg = write_abdomenctct(tmp_path / "AbdomenCTCT", (32, 32, 32))
    one = ("--data", learn2reg, "--only", "24 <- 25", "--threads", 1, "--set", "solver.levels=4")
    rows = ("--program", "before", "--program", "voxelopt-paper, raw")
    assert here("benchmark", "abdomenctct", *one, *rows, "-o", tmp_path / "a") == 0
    table = json.loads((tmp_path / "a" / "benchmark.json").read_text())
    before, after = table["rows"]
    assert before["pair"] == after["pair"] == "24 <- 25" and len(table["runs"]) == 2
    assert after["values"]["dice"] > before["values"]["dice"] + 0.02

    assert here("benchmark", "ablations", *one, "--program", "k = 2", "-o", tmp_path / "b", "--keep") == 0
    (report,) = (tmp_path / "b").rglob("report.json")
    settings = json.loads(report.read_text())["settings"]
    assert settings["solver"]["search_radius"] == 2 and settings["solver"]["inverse_consistency"] is False
    assert (settings["grid"]["spacing"], settings["features"]["window"]) == (4.0, [-500, 800])
    assert json.loads(report.read_text())["working_grid"]["size"] == [16, 16, 16]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--methods", "voxelop"), "voxelopt"),
        (("--only", "phantm"), "phantom"),
        (("--program", "nothing"), "'nothing'"),
        (("--set", "solver.level=1"), "solver.levels"),
        (("--peers", "gredy"), "greedy"),
        (("--threads", 0), "--threads"),
        (("--limit", "0"), "--limit"),
        (("--compare", "no.json"), "no.json"),
        (("--weights", "no.pth"), "no.pth"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_wrong_arguments_stop_before_anything_runs(
    data: Path, tmp_path: Path, arguments: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    some = () if "--only" in arguments else ("--only", "phantom")
    words = ("benchmark", "--data", data, *some, "-o", tmp_path / "out", *arguments)
    assert here(*words) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and said in errors and not list(tmp_path.rglob("benchmark.*"))


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """After a signal an `Interruption` leaves others ignored: its process is about to end, this one is not."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_before")
def test_a_shielded_block_runs_to_its_end_before_the_signal_counts() -> None:
    steps = []
    with Interruption() as interruption, pytest.raises(StopRequested):
        with interruption.shielded():
            signal.raise_signal(signal.SIGINT)
            steps.append("inside")
        steps.append("after")
    assert steps == ["inside"] and interruption.requested


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """A "Python" that writes its process number and sleeps."""
    path = tmp_path / "sleeper"
    path.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/number.part\nmv {tmp_path}/number.part {tmp_path}/number\nexec sleep 60\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def ended(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for a program")
def test_a_run_past_its_limit_is_ended_and_a_row(data: Path, tmp_path: Path, sleeper: Path) -> None:
    code = here(
        "benchmark", "--data", data, "--only", "made", "--program", "demons", "--methods", "none",
        "--peers", "demons", "--peers-python", sleeper, "--limit", 1, "-o", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    assert "longer than 1 s" in rows_of(tmp_path / "out")["made", "demons"]["note"]
    assert ended(int((tmp_path / "number").read_text()))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_ctrl_c_and_a_closed_terminal_end_the_running_program_too(
    data: Path, tmp_path: Path, sleeper: Path, name: str
) -> None:
    arguments = ["benchmark", "--data", data, "--only", "made", "--methods", "none", "--peers", "demons"]
    line = command(*arguments, "--peers-python", sleeper, "-o", tmp_path / "out")

    def heard() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests themselves were told to ignore it

    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=command_environment(), stdout=pipe, stderr=pipe, preexec_fn=heard) as process:
        started = time.monotonic()
        while not (tmp_path / "number").exists():
            assert process.poll() is None and time.monotonic() - started < 120
            time.sleep(0.05)
        process.send_signal(signal.Signals[name])
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.decode().count("\n") == 1
    assert list(rows_of(tmp_path / "out")) == [("made", "before")]  # what was done stays
    assert ended(int((tmp_path / "number").read_text()))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_was_told_to_outlive_its_terminal_does() -> None:
    """As `nohup` tells it."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
        assert not interruption.requested and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)


@pytest.mark.skipif(os.name == "nt", reason="a program of POSIX")
@pytest.mark.usefixtures("signals_as_before")
def test_a_signal_while_a_program_is_ended_at_its_limit_leaves_it_not_running(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    kill = subprocess.Popen.kill

    def interrupted(process: subprocess.Popen[bytes]) -> None:
        numbers.append(process.pid)
        signal.raise_signal(signal.SIGINT)
        kill(process)

    monkeypatch.setattr(subprocess.Popen, "kill", interrupted)
    with Interruption() as interruption, pytest.raises(StopRequested):
        run_process(["sleep", "20"], Conditions(1, 0.1, "python"), interruption)
    assert len(numbers) == 1 and ended(numbers[0])
