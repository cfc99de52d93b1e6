"""The part of `voxelopt benchmark` that measures speed."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

from ..benchmark.cases import Case, Program, select
from ..benchmark.data_folder import folder_cases
from ..benchmark.machine import describe_machine
from ..benchmark.processes import Conditions
from ..benchmark.programs import peer_programs
from ..benchmark.speed.children import Setting, operations_section, solver_section
from ..benchmark.speed.growth import Shape
from ..benchmark.speed.jobs import get_ready, job_sections
from ..benchmark.speed.picture import to_svg
from ..benchmark.speed.results import Results, Section, to_csv, to_json, to_markdown
from ..benchmark.speed.scaling import generated_case, scaling_section
from ..benchmark.table import write_texts
from ..console import Console
from ..devices import choose_device
from ..errors import InputError
from ..interruption import Interruption

PARTS = ("solver", "operations", "jobs", "scaling")
GRID, GPU_GRID = (96, 80, 128), (192, 160, 256)
SMALLEST: Shape = (64, 80, 96)
PHANTOM: Shape = (96, 112, 144)
CHANNELS = 12
"""As many as MIND-SSC has."""
ONLY_SPEED = ("grid", "smallest", "factors", "runs", "rounds", "parts")
NOT_SPEED = ("methods", "refinements", "program", "weights", "compare", "keep")
GPU_REMARK = (
    "Measured on a GPU: calls are synchronised; other programs compute on the processor. The literal reference is left "
    "out there."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `benchmark speed` alone takes."""
    group = parser.add_argument_group("speed")
    axes = ("Z", "Y", "X")
    text = "voxels of solver and generated pair (solver 96 80 128, on a GPU 192 160 256; pair 96 112 144)"
    group.add_argument("--grid", type=int, nargs=3, metavar=axes, help=text)
    group.add_argument("--smallest", type=int, nargs=3, metavar=axes, help="the volume that grows (64 80 96)")
    group.add_argument("--factors", metavar="A,B", help="how many times as large it becomes: powers of two (1,2,4,8)")
    group.add_argument("--runs", type=int, metavar="N", help="calls of which the best counts (5)")
    group.add_argument("--rounds", type=int, metavar="N", help="the same for whole jobs (1)")
    group.add_argument("--parts", metavar="A,B", help=f"only these: {', '.join(PARTS)}")


def chosen_peers(options: argparse.Namespace) -> list[Program]:
    """The other programs asked for; raises `InputError` for unknown ones."""
    if options.peers is None:
        return []
    return peer_programs([name for words in options.peers or ["all"] for name in words.split(",")])


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Measure part after part and write what is there after each."""
    factors, parts, runs, rounds = _checked(options)
    peers = chosen_peers(options)
    every = ["--device", options.device, *(word for text in options.set for word in ("--set", text))]
    device = choose_device(options.device)
    grid = _shape(options.grid or (GPU_GRID if device.name.startswith("cuda") else GRID))
    conditions = Conditions(options.threads, options.limit, options.peers_python, tuple(every))
    write_texts(options.output, "speed", {})
    with tempfile.TemporaryDirectory(prefix="voxelopt-speed-") as temporary:
        work = Path(temporary)
        setting = Setting(device.name, CHANNELS, runs, conditions, work, interruption)
        cases, remarks = _cases(options, work) if "jobs" in parts else ([], [])
        if device.name.startswith("cuda"):
            remarks.append(GPU_REMARK)
        results = Results(describe_machine(options.threads, device.title), _versions(), [], remarks)

        def keep(*sections: Section) -> None:
            nonlocal results
            results = dataclasses.replace(results, sections=[*results.sections, *sections])
            _write(results, options.output)  # at once: whoever stops it keeps what is done
            for section in sections:
                console.tell("section", **dataclasses.asdict(section))
                console.say(f"Measured: {section.title}.")

        if "solver" in parts or "operations" in parts:
            solver, bandwidth = solver_section(grid, setting)
            machine = {**results.machine, "copies": f"{bandwidth / 1e9:.1f} GB/s, read and written"}
            results = dataclasses.replace(results, machine=machine)
            keep(solver)
            if "operations" in parts:
                keep(operations_section(grid, setting, bandwidth))
        if "jobs" in parts or "scaling" in parts:
            get_ready(setting, console)
        if "jobs" in parts:
            keep(*job_sections(cases, peers, rounds, setting, console))
        if "scaling" in parts:
            keep(scaling_section(_shape(options.smallest or SMALLEST), factors, rounds, setting, console))
    folder = str(options.output.resolve())
    console.tell("result", folder=folder)
    console.say(f"\n{to_markdown(results)}\nTables and picture are in {folder}")


def refuse(options: argparse.Namespace) -> None:
    """Raises `InputError` for options of `speed` with another benchmark, and the other way round."""
    foreign = NOT_SPEED if options.what == "speed" else ONLY_SPEED
    for name in foreign:
        if getattr(options, name) not in (None, False, []):
            raise InputError(f"benchmark {options.what} has no option --{name}.", "Leave it out.")


def _checked(options: argparse.Namespace) -> tuple[list[int], list[str], int, int]:
    """Factors, parts, runs and rounds; raises `InputError`."""
    words = (options.factors or "1,2,4,8").split(",")
    factors = [int(word) for word in words if word.isdecimal()]
    if len(factors) != len(words) or not all(n and n & (n - 1) == 0 and n <= 1024 for n in factors):
        raise InputError(f"--factors cannot be {options.factors!r}.", "Give powers of two, such as 1,2,4,8.")
    parts = (options.parts or ",".join(PARTS)).split(",")
    for part in parts:
        if part not in PARTS:
            raise InputError(f"--parts cannot be {part!r}.", f"Give some of {', '.join(PARTS)}.")
    runs = 5 if options.runs is None else options.runs
    rounds = 1 if options.rounds is None else options.rounds
    for name, number in (("runs", runs), ("rounds", rounds)):
        if number < 1:
            raise InputError(f"--{name} cannot be {number}.", "Give 1 or more.")
    for name in ("grid", "smallest"):
        sides = getattr(options, name)
        if sides is not None and min(sides) < 8:
            raise InputError(f"--{name} cannot be {' '.join(map(str, sides))}.", "Give sides of 8 voxels or more.")
    return factors, parts, runs, rounds


def _shape(sides: tuple[int, ...] | list[int]) -> Shape:
    z, y, x = sides
    return z, y, x


def _cases(options: argparse.Namespace, work: Path) -> tuple[list[Case], list[str]]:
    if options.data is not None:
        return folder_cases(options.data, work, options.only)
    case = generated_case(PHANTOM if options.grid is None else _shape(options.grid), work / "generated")
    return select([case], options.only), []


def _versions() -> dict[str, str]:
    from ..inspection.report import software_versions

    return software_versions()


def _write(results: Results, folder: Path) -> None:
    picture = to_svg(results)
    texts = {"svg": picture, "md": to_markdown(results, "speed.svg"), "csv": to_csv(results), "json": to_json(results)}
    write_texts(folder, "speed", texts)
