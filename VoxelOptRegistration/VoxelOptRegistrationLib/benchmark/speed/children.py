"""Measurements in child processes: what the solver and its operations take, as lines of a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ComputationError
from ...interruption import Interruption
from ..processes import Conditions, failure, run_process
from .growth import Shape
from .results import Line, Section

MIB = 2**20
SOLVER_LEGEND = (
    "One way: a single direction without a sub-voxel round, nothing averaged or mended, as released; both ways: the "
    "default. Seconds: the best of several calls in turn, warm; of the reference its only one. Floor: the time that "
    "copying takes for the least memory traffic of the one-way solve, every pass reading and writing its volumes once. "
    "Peak MiB: beyond the features. s to compile: the kernels' first use, when nothing is cached."
)
OPERATIONS_LEGEND = (
    "Milliseconds: the best of several calls in turn, warm; kernel: the same call where kernels serve. Times floor: of "
    "the faster one, over the time that copying takes for the volumes read and written once."
)


@dataclass(frozen=True)
class Setting:
    """What children measure and where: torch's device, calls of each kind, conditions of processes, a folder."""

    device: str
    channels: int
    runs: int
    conditions: Conditions
    work: Path
    interruption: Interruption


def measured(name: str, shape: Shape, setting: Setting) -> dict[str, Any]:
    """What the task `name` of `solver.TASKS` measures in a process of its own.

    Raises `ComputationError` where it fails, `KeyboardInterrupt` when stopped.
    """
    words: dict[str, Any] = {"shape": shape, "channels": setting.channels, "device": setting.device}
    words["runs"] = setting.runs
    more = {"NUMBA_CACHE_DIR": str(setting.work / "compiled")}  # so that compiling is seen
    path = setting.work / "measured.json"
    command = [sys.executable, "-m", __package__, name, json.dumps(words), str(path)]
    finished = run_process(command, setting.conditions, setting.interruption, more)
    if finished.exit_code != 0:
        reason = failure(finished, setting.conditions)
        raise ComputationError(f"The measurement {name} of {title(shape)} failed: {reason}", "Try a smaller --grid.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def title(shape: Shape) -> str:
    """A grid for people."""
    return " x ".join(map(str, shape))


def solver_section(shape: Shape, setting: Setting) -> tuple[Section, float]:
    """The solver's variants on one grid, and the memory's bytes per second."""
    found = measured("solver", shape, setting)
    seconds: Mapping[str, float] = found["seconds"]
    floor = found["bytes"] / found["bandwidth"]
    literal = seconds.get("literal reference")
    lines = []
    for variant, each in seconds.items():
        values = {"seconds": each}
        if variant.endswith("with MIND-SSC"):
            least = found["bytes_with_mind"] / found["bandwidth"]
            values |= {"floor_ms": 1e3 * least, "over_floor": each / least}
        elif "," not in variant:
            values |= {"floor_ms": 1e3 * floor, "over_floor": each / floor}
            if literal is not None:
                values["times_literal"] = literal / each
        twin = seconds["plain torch" + variant.removeprefix("kernels")] if variant.startswith("kernels") else None
        if twin is not None:
            values["times_plain"] = twin / each
        if variant == "kernels":
            values["compile_s"] = found["compile_seconds"]
        peak = found["peak_bytes"][variant]
        if peak is not None:
            values["peak_mib"] = peak / MIB
        name = variant if "," in variant else f"{variant}, one way"
        note = f"{', '.join(found['kernels'])}." if variant == "kernels" else ""
        lines.append(Line(f"{title(shape)}, {setting.channels} channels", name, values, note))
    return Section("solver", "The solver alone", SOLVER_LEGEND, lines), found["bandwidth"]


def operations_section(shape: Shape, setting: Setting, bandwidth: float) -> Section:
    """Every operation, in plain torch and with kernels where there are any."""
    lines = []
    for name, found in measured("operations", shape, setting).items():
        plain, kernel = found["seconds"]["plain torch"], found["seconds"].get("kernels")
        values = {"plain_ms": 1e3 * plain, "over_floor": min(plain, kernel or plain) / (found["bytes"] / bandwidth)}
        if kernel is not None:
            values |= {"kernel_ms": 1e3 * kernel, "times_plain": plain / kernel}
        lines.append(Line(name, ", ".join(found["kernels"]) or "no kernel", values))
    heading = f"Single operations on {title(shape)}, {setting.channels} channels"
    return Section("operations", heading, OPERATIONS_LEGEND, lines)
