"""Run programs on cases, one after another, and turn each run into a row."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..console import Console, one_line
from ..errors import RegistrationError
from ..interruption import Interruption
from .cases import BEFORE, Case, Program, folder_name
from .peers.run import run_peer
from .processes import Conditions, Finished, failure, run_process
from .scoring import score
from .table import DONE, FAILED, MEASURES, Row, finite

RESULTS = "registration"
"""In a run's folder, the folder that `voxelopt register` wrote."""


def run_one(case: Case, program: Program, folder: Path, conditions: Conditions, interruption: Interruption) -> Row:
    """Register and score in `folder`, removed afterwards unless kept; a failure is a row that says why.

    Raises `KeyboardInterrupt` when stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if program.peer == BEFORE:
            scores = score(case, None)
            return Row(case.name, program.name, DONE, finite(scores), scores.get("tre_regions_mm") or {})
        if program.peer is not None:
            return run_peer(case, program, folder, conditions, interruption)
        return _run_own(case, program, folder, conditions, interruption)
    except RegistrationError as error:
        return Row(case.name, program.name, FAILED, note=one_line(str(error)))
    finally:
        if not conditions.keep:
            shutil.rmtree(folder, ignore_errors=True)


def run_all(
    cases: Sequence[Case],
    programs: Mapping[str, Sequence[Program]],
    work: Path,
    conditions: Conditions,
    console: Console,
    interruption: Interruption,
) -> Iterator[Row]:
    """The row of every program of `programs[case.name]` on every case, as soon as it is there; says a line for each."""
    plan = [(case, program) for case in cases for program in programs[case.name]]
    for number, (case, program) in enumerate(plan, start=1):
        folder = work / "runs" / f"{number:03d}-{folder_name(case.name)}-{folder_name(program.name)}"
        row = run_one(case, program, folder, conditions, interruption)
        console.tell("run", number=number, runs=len(plan), pair=row.pair, program=row.program, **_told(row))
        console.say(f"[{number}/{len(plan)}] {describe(row)}")
        yield row


def describe(row: Row) -> str:
    """A row on one line."""
    if row.status != DONE:
        return f"{row.pair}, {row.program}: {row.status}. {row.note}".rstrip()
    values = [f"{m.title} {row.values[m.key]:.{m.digits}f}" for m in MEASURES if row.values.get(m.key) is not None]
    return f"{row.pair}, {row.program}: {', '.join(values)}"


def register_case(
    case: Case, program: Program, results: Path, conditions: Conditions, interruption: Interruption
) -> Finished:
    """`voxelopt register` in a process of its own, from the case's files to the folder `results`."""
    command = [sys.executable, "-m", "VoxelOptRegistrationLib", "register", str(case.fixed), str(case.moving)]
    command += ["-o", str(results), "--quiet", *case.options, *program.options, *conditions.options]
    return run_process(command, conditions, interruption)


def read_report(results: Path) -> dict[str, Any]:
    """The report of a registration in the folder `results`."""
    report: dict[str, Any] = json.loads((results / "report.json").read_text(encoding="utf-8"))
    return report


def _run_own(case: Case, program: Program, folder: Path, conditions: Conditions, interruption: Interruption) -> Row:
    results = folder / RESULTS
    finished = register_case(case, program, results, conditions, interruption)
    if finished.exit_code != 0:
        return Row(case.name, program.name, FAILED, note=failure(finished, conditions))
    report = read_report(results)
    scores = score(case, results / "transform.h5", results / "inverse_transform.h5")
    scores["seconds"] = report["timings_s"]["total"]
    scores["wall_seconds"] = finished.seconds
    on_gpu = report["device"]["name"].startswith("cuda")
    outside = None if on_gpu else finished.peak_memory_mib
    scores["peak_memory_mib"] = report["peak_memory_mib"] if outside is None else outside
    regions = scores.pop("tre_regions_mm", None) or {}
    return Row(case.name, program.name, DONE, finite(scores), regions)


def _told(row: Row) -> dict[str, Any]:
    return {"status": row.status, "values": dict(row.values), "regions": dict(row.regions), "note": row.note}
