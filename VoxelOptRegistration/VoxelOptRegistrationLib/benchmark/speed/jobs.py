"""Whole registrations as users run them, stage by stage, beside other programs on the same pairs in the same run."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...console import Console
from ..cases import Case, Program, folder_name
from ..processes import failure, run_process
from ..runs import RESULTS, describe, read_report, run_one
from ..table import DONE, Row
from .children import Setting
from .results import Line, Section

OURS = "voxelopt"
REST = "start, read, write"
JOBS_LEGEND = (
    "s alone: the registration without reading and writing, of other programs the call; s whole: the process from "
    "start to end. The ratios are of another program's s alone over ours, alone and whole; 2 means that ours takes "
    "half as long. Each is the best of the runs, which alternate. Other programs get volumes that are prepared for "
    "them; ours contains the alignment, the inverse field and the measuring of the result."
)
STAGES_LEGEND = (
    f"Seconds of the run with the shortest whole time. {REST}: what the process takes beyond the registration's stages."
)


def get_ready(setting: Setting, console: Console) -> None:
    """Compile what jobs need and nothing has kept yet, in a process of its own: the first job shall not pay for it.

    Where that fails it is said, and jobs go on. Raises `KeyboardInterrupt` when stopped.
    """
    from ...kernels.runtime import kernels_in_use

    if {kernels_in_use(), kernels_in_use(setting.device)} == {"torch"}:
        return
    console.say("Compiling what is not compiled yet; this is not timed.")
    command = [sys.executable, "-m", "VoxelOptRegistrationLib.getting_ready", setting.device]
    finished = run_process(command, setting.conditions, setting.interruption)
    if finished.exit_code != 0:
        console.say(f"That failed, so that the first job may take longer. {failure(finished, setting.conditions)}")


def job_sections(
    cases: Sequence[Case], peers: Sequence[Program], rounds: int, setting: Setting, console: Console
) -> list[Section]:
    """Every case by the default registration of its preset and by `peers`, `rounds` times in turn."""
    jobs: list[Line] = []
    stages: list[Line] = []
    for case in cases:
        rows: dict[str, Row] = {}
        best: dict[str, float] = {}
        for number in range(rounds):
            for program in (Program(OURS), *peers):
                row, timings = _run(case, program, setting)
                console.say(f"[{number + 1}/{rounds}] {describe(row)}")
                earlier = rows.get(program.name)
                if earlier is None or _whole(row) < _whole(earlier):
                    rows[program.name] = row
                    best = timings or best
        jobs += [job_line(row, rows[OURS]) for row in rows.values()]
        if best:
            stages.append(Line(case.name, OURS, best))
    return [
        Section("jobs", "Whole jobs", JOBS_LEGEND, jobs),
        Section("stages", "Where the time of our jobs goes", STAGES_LEGEND, stages),
    ]


def _run(case: Case, program: Program, setting: Setting) -> tuple[Row, dict[str, float]]:
    """The row of one run, and seconds by stage where it is ours and succeeded."""
    folder: Path = setting.work / f"{folder_name(case.name)}-{folder_name(program.name)}"
    keeping = dataclasses.replace(setting.conditions, keep=True)
    try:
        row = run_one(case, program, folder, keeping, setting.interruption)
        if program.peer is not None or row.status != DONE:
            return row, {}
        return row, stage_seconds(read_report(folder / RESULTS)["timings_s"], _whole(row))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage_seconds(timings: Mapping[str, float], whole: float) -> dict[str, float]:
    """Seconds by stage, with what the process took besides; those that took none are left out."""
    stages = {name: seconds for name, seconds in timings.items() if name != "total" and seconds > 0}
    return {**stages, REST: max(0.0, whole - sum(stages.values()))}


def _whole(row: Row) -> float:
    return row.values.get("wall_seconds") or float("inf")


def job_line(row: Row, ours: Row) -> Line:
    """What `row` measured, and how many times as long as `ours`, of the same pair, another program took."""
    if row.status != DONE:
        return Line(row.pair, row.program, {}, row.note or row.status)
    names = {"seconds": "alone_s", "wall_seconds": "whole_s", "peak_memory_mib": "peak_mib"}
    names |= {"tre_mm": "tre_mm", "dice": "dice"}
    values = {new: number for old, new in names.items() if (number := row.values.get(old)) is not None}
    own = ours.values.get("seconds"), ours.values.get("wall_seconds")
    if row.program != OURS and ours.status == DONE and own[0] and own[1]:
        values |= {"alone_ratio": values["alone_s"] / own[0], "whole_ratio": values["alone_s"] / own[1]}
    return Line(row.pair, row.program, values, row.note)
