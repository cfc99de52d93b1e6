"""`voxelopt benchmark speed`: the whole command on small volumes, what its parts measure, its fits, tables, picture."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from VoxelOptRegistrationLib.benchmark.processes import Conditions
from VoxelOptRegistrationLib.benchmark.speed import children
from VoxelOptRegistrationLib.benchmark.speed.children import Setting, operations_section, solver_section
from VoxelOptRegistrationLib.benchmark.speed.growth import Shape, exponent, grown, line_through
from VoxelOptRegistrationLib.benchmark.speed.jobs import REST, job_line, stage_seconds
from VoxelOptRegistrationLib.benchmark.speed.operations import OPERATIONS, Volumes
from VoxelOptRegistrationLib.benchmark.speed.peak_memory import peak_bytes
from VoxelOptRegistrationLib.benchmark.speed.picture import to_svg
from VoxelOptRegistrationLib.benchmark.speed.results import Line, Results, Section, to_csv, to_json, to_markdown
from VoxelOptRegistrationLib.benchmark.speed.scaling import fitted
from VoxelOptRegistrationLib.benchmark.speed.solver import TASKS, Task, least_bytes
from VoxelOptRegistrationLib.benchmark.speed.timing import Timed, in_turn, kernels_used
from VoxelOptRegistrationLib.benchmark.table import DONE, FAILED, Row
from VoxelOptRegistrationLib.cli import main
from VoxelOptRegistrationLib.interruption import Interruption
from VoxelOptRegistrationLib.kernels.runtime import SWITCH, numba_serves

SVG = "{http://www.w3.org/2000/svg}"


def test_the_command_on_small_volumes(voxelopt: Command, tmp_path: Path) -> None:
    out, hiding = tmp_path / "out", tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text("import sys\nsys.modules['picsl_greedy'] = None\n")
    done = voxelopt(
        "benchmark", "speed", "--parts", "jobs,scaling", "--grid", 16, 16, 16, "--smallest", 16, 16, 20,
        "--factors", "1", "--runs", 1, "--peers", "greedy", "--threads", 1, "--set", "solver.levels=2",
        "--set", "align=none", "-o", out, "--json",
        python_path=hiding, environment={SWITCH: "torch"},  # compiling takes longer than all of this
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert {path.name for path in out.iterdir()} == {f"speed.{suffix}" for suffix in ("md", "csv", "json", "svg")}
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["key"] for event in told if event["event"] == "section"] == ["jobs", "stages", "scaling"]
    content = json.loads((out / "speed.json").read_text(encoding="utf-8"))
    assert {"processor", "cores"} <= set(content["machine"]) and content["versions"]["kernels"] == "torch"
    jobs, stages, scaling = (section["lines"] for section in content["sections"])

    ours, greedy = (line["values"] for line in jobs)
    assert greedy == {} and "picsl_greedy" in jobs[1]["note"]
    assert 0 < ours["alone_s"] < ours["whole_s"] and 0 < ours["tre_mm"] and 0 < ours["dice"] <= 1
    (line,) = stages
    assert {"solve", "refine", REST} <= set(line["values"])
    assert math.isclose(sum(line["values"].values()), ours["whole_s"], rel_tol=1e-6)

    assert [(line["case"], line["variant"]) for line in scaling] == [
        (case, "1x (16 x 16 x 20)") for case in ("solver, both ways", "whole job")
    ]
    for line in scaling:
        assert line["values"]["megavoxels"] == pytest.approx(16 * 16 * 20 / 1e6)
        assert 1e-6 * line["values"]["microseconds_per_voxel"] * 16 * 16 * 20 == pytest.approx(
            line["values"]["seconds"]
        )


@pytest.mark.skipif(os.name == "nt" or not numba_serves(), reason="needs a shell script, and loops to compile")
def test_loops_are_compiled_before_the_first_job_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Python notes what is started, and runs only what is not timed."""
    log, python = tmp_path / "log", tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
    *getting_ready*) {sys.executable} "$@"; echo "ready $?" >> {log};;
    *) echo "$3" >> {log}; exit 1;;
esac
"""
    )
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    arguments = "benchmark speed --parts jobs --grid 16 16 16 --threads 1 --quiet -o".split()
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert log.read_text().split("\n") == ["ready 0", "register", ""]
    kept = Path(os.environ["NUMBA_CACHE_DIR"])
    assert {file.name.partition(".")[0] for file in kept.rglob("*.nbi")} >= {"warping", "vectors", "scoring"}


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setting:
    """Measurements in this process instead of in a child, through JSON all the same."""

    def here(name: str, shape: Shape, setting: Setting) -> dict[str, Any]:
        found = TASKS[name](Task(shape, setting.channels, setting.device, setting.runs))
        return json.loads(json.dumps(found))

    monkeypatch.setattr(children, "measured", here)
    conditions = Conditions(1, 60.0, "python")
    return Setting("cpu", 3, 1, conditions, tmp_path, Interruption())


@pytest.mark.parametrize("switch", ["torch", "on"])
def test_the_solver_beside_its_reference(setting: Setting, monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv(SWITCH, switch)
    section, bandwidth = solver_section((16, 12, 16), setting)
    lines = {line.variant: line.values for line in section.lines}
    kinds = ["plain torch", "kernels"] if numba_serves() else ["plain torch"]
    ways = [f"{kind}, {way}" for way in ("one way", "both ways") for kind in kinds]
    assert list(lines) == ["literal reference, one way", *ways]
    literal, plain = lines["literal reference, one way"], lines["plain torch, one way"]
    assert plain["times_literal"] == pytest.approx(literal["seconds"] / plain["seconds"])
    assert plain["over_floor"] == pytest.approx(1e3 * plain["seconds"] / plain["floor_ms"])
    assert plain["floor_ms"] == pytest.approx(1e3 * least_bytes((16, 12, 16), 3) / bandwidth)
    for kind, values in lines.items():
        if kind.startswith("kernels"):
            assert values["times_plain"] == pytest.approx(
                lines[kind.replace("kernels", "plain torch")]["seconds"] / values["seconds"]
            )


def test_operations_beside_their_twins(setting: Setting) -> None:
    section = operations_section((16, 12, 16), setting, bandwidth=1e9)
    assert [line.case for line in section.lines] == list(OPERATIONS)
    lines = {line.case: line for line in section.lines}
    warp = lines["warp of the features"]
    assert warp.variant == ("warping" if numba_serves() else "no kernel")
    fastest = min(value for key, value in warp.values.items() if key in ("plain_ms", "kernel_ms"))
    assert warp.values["over_floor"] == pytest.approx(fastest / (1e3 * 4 * (2 * 3 + 3) * 16 * 12 * 16 / 1e9))


def test_other_programs_are_compared_with_our_whole_job() -> None:
    ours = Row("p", "voxelopt", DONE, {"seconds": 8.0, "wall_seconds": 10.0, "tre_mm": 1.2})
    theirs = Row("p", "greedy", DONE, {"seconds": 20.0, "wall_seconds": 22.0, "dice": None})
    assert job_line(theirs, ours).values == {"alone_s": 20, "whole_s": 22, "alone_ratio": 2.5, "whole_ratio": 2.0}
    assert job_line(ours, ours).values == {"alone_s": 8, "whole_s": 10, "tre_mm": 1.2}
    assert job_line(Row("p", "greedy", FAILED, note="no"), ours) == Line("p", "greedy", {}, "no")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("speed", "--factors", "1,3"), "powers of two"),
        (("speed", "--parts", "sover"), "'sover'"),
        (("speed", "--grid", 4, 16, 16), "--grid"),
        (("speed", "--runs", 0), "--runs"),
        (("speed", "--methods", "voxelopt"), "--methods"),
        (("speed", "--peers", "greedy", "gredy"), "greedy"),
        (("pairs", "--data", ".", "--runs", 2), "--runs"),
        (("pairs",), "--data"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[object, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *map(str, arguments), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_runs_and_moves_what_it_says(name: str) -> None:
    volumes = Volumes((12, 10, 14), 3, "cpu")
    found = OPERATIONS[name].prepare(volumes)()
    assert isinstance(found, torch.Tensor | tuple)
    made = sum(tensor.numel() for tensor in ([found] if isinstance(found, torch.Tensor) else found))
    assert OPERATIONS[name].floats(3) * 12 * 10 * 14 >= made


@pytest.mark.skipif(not numba_serves(), reason="numba is not installed: there are no loops to find")
def test_kernels_are_found_by_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    call = OPERATIONS["warp of the features"].prepare(Volumes((12, 10, 14), 2, "cpu"))
    assert kernels_used(call) == ["warping"]
    monkeypatch.setenv(SWITCH, "torch")
    assert kernels_used(call) == []


def test_calls_alternate_and_the_first_does_not_count() -> None:
    order: list[str] = []
    calls = {
        "once": Timed(lambda: order.append("once"), True, 0),
        "a": Timed(lambda: order.append("a"), True, 2),
        "b": Timed(lambda: order.append("b"), False, 1),
    }
    seconds = in_turn(calls, "cpu")
    assert order == ["once", "a", "b", "a", "b", "a"]
    assert set(seconds) == set(calls) and all(each > 0 for each in seconds.values())


def test_peak_memory_is_that_of_the_call() -> None:
    size = 64 << 20

    def call() -> None:
        torch.zeros(size // 4).add_(1.0)

    peak = peak_bytes(Timed(call, True, 0), "cpu")
    if peak is None:
        pytest.skip("this system does not tell peak memory")
    assert 0.95 * size < peak < 1.2 * size


@given(st.integers(1, 4), st.floats(0.5, 2.0), st.floats(1e-6, 1e-3))
def test_the_exponent_of_a_power_law_is_found(doublings: int, power: float, factor: float) -> None:
    voxels = [5e5 * 2**n for n in range(doublings + 1)]
    assert exponent(voxels, [factor * n**power for n in voxels]) == pytest.approx(power, abs=1e-6)


def test_memory_is_fitted_by_a_line() -> None:
    assert line_through([1, 2, 4], [5, 7, 11]) == pytest.approx((2, 3))
    lines = [
        Line("c", f"{n}x", {"megavoxels": n, "seconds": 3 * n, "peak_mib": 300 + 100e6 / 2**20 * n}) for n in (1, 2, 8)
    ]
    fit = fitted("c", lines)
    assert fit is not None
    assert fit.values == pytest.approx({"exponent": 1, "bytes_per_voxel": 100, "base_mib": 300})
    assert fitted("c", lines[:1]) is None


@given(st.tuples(*[st.integers(8, 200)] * 3), st.integers(0, 5))
def test_grown_volumes_keep_their_shape(shape: tuple[int, int, int], doublings: int) -> None:
    sides = grown(shape, 2**doublings)
    assert math.prod(sides) == 2**doublings * math.prod(shape)
    assert max(sides) / min(sides) <= max(2.0, max(shape) / min(shape))


def test_the_rest_of_a_job_is_what_no_stage_took() -> None:
    stages = stage_seconds({"solve": 2.0, "landmarks": 0.0, "refine": 3.0, "total": 5.1}, whole=7.0)
    assert stages == {"solve": 2.0, "refine": 3.0, REST: 2.0}


def results() -> Results:
    solver = [
        Line("8 x 8 x 8", "literal reference, one way", {"seconds": 12.0, "floor_ms": 50.0, "over_floor": 240.0}),
        Line("8 x 8 x 8", "kernels, one way", {"seconds": 0.5, "times_literal": 24.0}, "warping <scores>."),
    ]
    operations = [
        Line("warp", "warping", {"plain_ms": 10.0, "kernel_ms": 2.5, "times_plain": 4.0}),
        Line("slow", "no kernel", {"plain_ms": 10.0}),
    ]
    jobs = [
        Line("lung & liver", "voxelopt", {"alone_s": 8.0, "whole_s": 10.0}),
        Line("lung & liver", "greedy", {"alone_s": 20.0, "whole_ratio": 2.0}),
        Line("lung & liver", "absent", {}, "Absent is not installed."),
    ]
    stages = [Line("lung & liver", "voxelopt", {"solve": 5.0, "refine": 3.0, REST: 2.0})]
    grows = [Line("solver", "1x", {"microseconds_per_voxel": 2.0}), Line("solver", "fit", {"exponent": 1.0})]
    return Results(
        {"processor": "some", "threads": "2"},
        {"torch": "2"},
        [
            Section("solver", "The solver", "Legend A.", solver),
            Section("operations", "Operations", "Legend B.", operations),
            Section("jobs", "Jobs", "Legend C.", jobs),
            Section("stages", "Stages", "Legend D.", stages),
            Section("scaling", "Growth", "Legend E.", grows),
        ],
        ["A remark."],
    )


def test_tables_hold_every_number() -> None:
    page = to_markdown(results(), "speed.svg")
    assert "| warp | warping | 4.0 | 10.0 | 2.5 |" in page and "| case | variant | solve | refine |" in page
    for text in ("processor: some", "](speed.svg)", "Legend E.", "A remark.", "Absent is not installed."):
        assert text in page
    assert to_markdown(Results({}, {}, [])).strip() == "# voxelopt benchmark speed"
    rows = list(csv.DictReader(io.StringIO(to_csv(results()))))
    assert {"section": "stages", "case": "lung & liver", "variant": "voxelopt", "measure": REST, "value": "2"} in rows
    assert len(rows) == sum(len(line.values) for section in results().sections for line in section.lines)
    assert json.loads(to_json(results()))["sections"][0]["lines"][1]["values"]["seconds"] == 0.5


def test_bars_are_as_long_as_their_numbers() -> None:
    picture = ElementTree.fromstring(to_svg(results()))
    texts = [text.text or "" for text in picture.iter(f"{SVG}text")]
    assert {"lung & liver", "voxelopt", "greedy"} <= set(texts) and not any("absent" in text for text in texts)
    bars: dict[str, list[tuple[float, float]]] = {}
    for box in picture.iter(f"{SVG}rect"):
        if box.get("height") == "14":
            bars.setdefault(box.get("y", ""), []).append((float(box.get("x", 0)), float(box.get("width", 0))))
    lengths = [sum(width for _, width in parts) for parts in bars.values()]
    literal, kernels, floor, warp, ours, greedy, once = lengths
    assert kernels / literal == pytest.approx(0.5 / 12, abs=1e-3) and floor / literal == pytest.approx(
        0.05 / 12, abs=1e-3
    )
    assert ours / greedy == pytest.approx(0.5, abs=1e-3) and warp == pytest.approx(once, abs=0.2)
    starts = [[start for start, _ in parts] for parts in bars.values()]
    assert all(parts == sorted(parts) for parts in starts)
    width = float(picture.get("width", 0))
    assert all(start + length <= width for parts in bars.values() for start, length in parts)
