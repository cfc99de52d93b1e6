"""The solver and whole jobs on volumes of once, twice, four times and eight times the size."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ...console import Console
from ...file_jobs import TruthFiles
from ..cases import Case, Program
from ..processes import failure
from ..runs import read_report, register_case
from .children import MIB, Setting, measured, title
from .growth import Shape, exponent, grown, line_through
from .results import Line, Section

FIT = "fit"
SOLVER, JOB = "solver, both ways", "whole job"
PRESET = ("--preset", "abdomen-ct")
LEGEND = (
    "Generated volumes. The whole job is the default registration of the preset abdomen-ct, its working grid as fine "
    "as the volume (grid.max_voxels is the number of its voxels): seconds of the process from start to end, peak "
    "memory of the whole process. The solver's peak memory is beyond the features. The fits: time = a voxels^p, p in "
    "the column exponent of time, 1 is linear; memory = bytes per voxel, and MiB besides, whatever the size."
)


def scaling_section(
    smallest: Shape, factors: Sequence[int], rounds: int, setting: Setting, console: Console
) -> Section:
    """Time and memory of solver and job on `smallest` and its multiples, powers of two, with fits over them."""
    lines: list[Line] = []
    for case, measure in ((SOLVER, _solver_line), (JOB, _job_line)):
        mine = []
        for factor in factors:
            mine.append(measure(grown(smallest, factor), f"{factor}x", rounds, setting))
            console.say(f"{case}, {factor}x: {mine[-1].note or mine[-1].values.get('seconds', 0.0):.7} s")
        lines += mine
        fit = fitted(case, [line for line in mine if "seconds" in line.values])
        lines += [fit] if fit is not None else []
    return Section("scaling", "Growth with the volume", LEGEND, lines)


def fitted(case: str, lines: Sequence[Line]) -> Line | None:
    """The line of the fits over `lines`; None for fewer than two sizes."""
    voxels = [1e6 * line.values["megavoxels"] for line in lines]
    if len(set(voxels)) < 2:
        return None
    values = {"exponent": exponent(voxels, [line.values["seconds"] for line in lines])}
    if all("peak_mib" in line.values for line in lines):
        slope, base = line_through(voxels, [line.values["peak_mib"] for line in lines])
        values |= {"bytes_per_voxel": slope * MIB, "base_mib": base}
    return Line(case, FIT, values)


def _values(shape: Shape, seconds: float, peak_mib: float | None) -> dict[str, float]:
    voxels = shape[0] * shape[1] * shape[2]
    values = {"seconds": seconds, "megavoxels": voxels / 1e6, "microseconds_per_voxel": 1e6 * seconds / voxels}
    return values if peak_mib is None else {**values, "peak_mib": peak_mib, "bytes_per_voxel": peak_mib * MIB / voxels}


def _solver_line(shape: Shape, name: str, rounds: int, setting: Setting) -> Line:
    found = measured("growth", shape, setting)
    peak = found["peak_bytes"]
    return Line(
        SOLVER, f"{name} ({title(shape)})", _values(shape, found["seconds"], None if peak is None else peak / MIB)
    )


def _job_line(shape: Shape, name: str, rounds: int, setting: Setting) -> Line:
    variant = f"{name} ({title(shape)})"
    folder = setting.work / "scaling"
    try:
        case = generated_case(shape, folder)
        budget = Program(JOB, ("--set", f"grid.max_voxels={max(512, shape[0] * shape[1] * shape[2])}"))
        runs = []
        for number in range(rounds):
            results = folder / f"registration-{number}"
            finished = register_case(case, budget, results, setting.conditions, setting.interruption)
            if finished.exit_code != 0:
                return Line(JOB, variant, {}, failure(finished, setting.conditions))
            on_gpu = read_report(results)["device"]["name"].startswith("cuda")
            peak = read_report(results)["peak_memory_mib"] if on_gpu else finished.peak_memory_mib
            runs.append((finished.seconds, peak))
        seconds, peak = min(runs, key=lambda run: run[0])
        return Line(JOB, variant, _values(shape, seconds, peak))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def generated_case(shape: Shape, folder: Path) -> Case:
    """The phantom of this size (Z, Y, X) in `folder`, with its truth."""
    from ...phantom import make_phantom, write_phantom

    files = write_phantom(make_phantom(shape), folder)
    truth = TruthFiles(
        (files["fixed_landmarks"], files["moving_landmarks"]), (files["fixed_labels"], files["moving_labels"])
    )
    name = f"generated abdomen {title(shape)}"
    return Case(name, files["fixed"], files["moving"], truth, PRESET, peers_rigid=True)
