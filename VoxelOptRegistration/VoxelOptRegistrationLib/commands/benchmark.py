"""Register pairs with known truth by every method, score the saved transforms, and write one table.

  pairs        (default) the pairs that DIR/pairs.json describes, or else the folders abdomen_ct, brain_t1, liver_mr and
               lung_ct; the abdomen is deformed by known deformations
  abdomenctct  Learn2Reg's AbdomenCTCT in DIR (imagesTr, labelsTr): subjects 24 to 30, 42 ordered pairs, 4 mm
  ablations    VoxelOpt as released with one thing changed at a time, on either of these
  speed        seconds and memory, not accuracy: the solver beside its literal reference and its least memory traffic,
               single operations with and without kernels, default registrations by stage beside other programs, growth
               with the volume; on generated volumes without --data. Written to speed.md, .csv, .json and .svg
Each run is a process of its own, one after another. Landmark error, overlap (Dice, HD95), folds, smoothness, inverse
consistency, seconds and peak memory go to benchmark.md, .csv and .json. With --compare a kept benchmark.json is
compared: what moved is said, and the exit code is 3 where something got worse. With --peers other programs join the
table; those that are not installed are named (pip install "VoxelOptRegistration[peers]").
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..benchmark.abdomenctct import REMARKS, abdomenctct_cases, is_layout
from ..benchmark.ablations import ablation_programs, feature_options
from ..benchmark.cases import Case, Program, select
from ..benchmark.comparison import compare, margins
from ..benchmark.data_folder import folder_cases
from ..benchmark.machine import describe_machine
from ..benchmark.processes import Conditions
from ..benchmark.programs import NOTHING, own_programs, with_default
from ..benchmark.runs import run_all
from ..benchmark.table import Row, Table, mean_rows, read_table, to_csv, to_json, to_markdown, write_texts
from ..console import Console
from ..devices import choose_device
from ..errors import ComputationError, InputError
from ..interruption import Interruption
from . import benchmark_speed
from .benchmark_speed import chosen_peers
from .register import add_setting_arguments, settings_from_arguments

WHAT = ("pairs", "abdomenctct", "ablations", "speed")
ANY_SIZE_REMARK = (
    "VoxelOpt as released takes only grids whose sides are divisible by 16; here it takes any (solver.any_size=true), "
    "the rest of it is as released."
)
PEERS_REMARK = (
    "Other programs get volumes that are prepared for them: the moving one resampled onto the fixed grid, after a "
    "rigid alignment where the pair needs one, the liver resampled to 1.5 mm. Their seconds do not contain that; ours "
    "contain the alignment, the inverse field and the measuring of the result."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run on what, how, and what to compare with."""
    parser.add_argument("what", nargs="?", choices=WHAT, default="pairs", metavar="WHAT", help=", ".join(WHAT))
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the volumes and the truth")
    output = Path("voxelopt-benchmark")
    parser.add_argument("-o", "--output", type=Path, default=output, metavar="DIR", help=f"default: {output}")
    parser.add_argument("--only", action="append", default=[], metavar="PAIR", help="only this pair; repeat for more")
    parser.add_argument("--methods", metavar="A,B", help="only these methods; none: other programs only")
    parser.add_argument("--refinements", metavar="A,B", help="only these refinements")
    parser.add_argument("--program", action="append", default=[], metavar="NAME", help="only this row of the table")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the CT segmentation network, for its features")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="for every registration")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cuda, cuda:1, mps or cpu")
    parser.add_argument("--peers", nargs="*", metavar="A,B", help="other programs too: all, or these")
    parser.add_argument("--peers-python", default=sys.executable, metavar="FILE", help="the Python that has them")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="for every program")
    parser.add_argument("--limit", type=float, default=3600.0, metavar="S", help="seconds that one run may take")
    parser.add_argument("--keep", action="store_true", help="keep every run's files in DIR/runs")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="a kept benchmark.json")
    benchmark_speed.add_arguments(parser)
    speech = parser.add_mutually_exclusive_group()
    speech.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")
    speech.add_argument("--json", action="store_true", help="one JSON object a line instead of text")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Run everything, write the table, compare; the computation failed if something got worse."""
    _check(options)
    if options.what == "speed":
        benchmark_speed.run(options, console, interruption)
        return
    kept = read_table(options.compare) if options.compare else None
    every = ["--device", options.device, *(word for text in options.set for word in ("--set", text))]
    peers = chosen_peers(options)
    conditions = Conditions(options.threads, options.limit, options.peers_python, tuple(every), options.keep)
    with tempfile.TemporaryDirectory(prefix="voxelopt-benchmark-") as temporary:
        cases, remarks, mean = _cases(options, Path(temporary))
        for remark in remarks:
            console.say(f"Note: {remark}")
        programs, defaults = _programs(options, cases, every, peers, mean)
        device = choose_device(options.device)
        write_texts(options.output, "benchmark", {})
        work = options.output if options.keep else Path(temporary)
        head = Table(
            f"voxelopt benchmark {options.what}",
            describe_machine(options.threads, device.title),
            _versions(),
            [],
            [*remarks, PEERS_REMARK] if peers else remarks,
        )
        runs: list[Row] = []
        for row in run_all(cases, programs, work, conditions, console, interruption):
            runs.append(dataclasses.replace(row, default=row.program == defaults.get(row.pair)))
            table = dataclasses.replace(head, rows=mean_rows(runs) if mean else runs)
            _write_table(table, runs if mean else [], options.output)  # at once: whoever stops it keeps what is done
    folder = str(options.output.resolve())
    console.tell("result", folder=folder, rows=len(table.rows), runs=len(runs))
    console.say(f"\n{to_markdown(table)}\nThe table is in {folder}")
    if kept is not None:
        _report_changes(kept, table, console)


def _check(options: argparse.Namespace) -> None:
    benchmark_speed.refuse(options)
    if options.data is None and options.what != "speed":
        raise InputError("The option --data is missing.", "Give the folder with the volumes and the truth.")
    if options.data is not None and not options.data.is_dir():
        raise InputError(f"The folder {options.data} does not exist.", "Give the folder with the data.")
    if options.threads < 1:
        raise InputError(f"--threads cannot be {options.threads}.", "Give 1 or more.")
    if not options.limit > 0:
        raise InputError(f"--limit cannot be {options.limit:g}.", "Give a number of seconds.")
    if options.weights is not None and not options.weights.is_file():
        raise InputError(f"The file {options.weights} does not exist.", "Give the network's checkpoint.")
    if options.what == "ablations" and (options.methods or options.refinements):
        raise InputError("The ablations have their own methods.", "Leave --methods and --refinements out.")


def _cases(options: argparse.Namespace, temporary: Path) -> tuple[list[Case], list[str], bool]:
    """The cases, remarks on them, and whether the table shows means over the pairs."""
    if options.what == "abdomenctct" or (options.what == "ablations" and is_layout(options.data)):
        return abdomenctct_cases(options.data, temporary, options.only), list(REMARKS), True
    cases, remarks = folder_cases(options.data, temporary, options.only)
    return cases, [*remarks, ANY_SIZE_REMARK], False


def _programs(
    options: argparse.Namespace, cases: Sequence[Case], every: Sequence[str], peers: Sequence[Program], mean: bool
) -> tuple[dict[str, list[Program]], dict[str, str]]:
    """The programs of each case, and the one that is its preset's default."""
    weights = str(options.weights.resolve()) if options.weights else None
    defaults: dict[str, str] = {}
    if options.what == "ablations":
        own = ablation_programs(weights, coarse=mean)
    else:
        methods = options.methods.split(",") if options.methods else None
        refinements = options.refinements.split(",") if options.refinements else None
        own = own_programs(methods, refinements)
    if options.what == "abdomenctct":
        features = feature_options(weights, coarse=True)
        own = [Program(f"{p.name}, {name}", (*p.options, *more)) for p in own for name, more in features.items()]
    if not mean:
        own = [_for_any_size(program) for program in own]
    found = {}
    for case in cases:
        mine = own
        if options.what == "pairs":
            mine, defaults[case.name] = with_default(case, own, lambda words: _settings([*words, *every]))
            mine = own if options.methods else mine  # these and no others
        found[case.name] = [NOTHING, *mine, *peers]
    if options.program:
        known = {program.name: program for programs in found.values() for program in programs}
        wanted = {program.name for program in select(list(known.values()), options.program)}
        found = {pair: [p for p in programs if p.name in wanted] for pair, programs in found.items()}
    for option in {program.options for programs in found.values() for program in programs if program.peer is None}:
        _settings([*option, *every])
    return found, defaults


def _for_any_size(program: Program) -> Program:
    """VoxelOpt as released takes only sides divisible by 16: for other volumes this one of its quirks is mended."""
    return dataclasses.replace(program, options=(*program.options, "--set", "solver.any_size=true"))


def _settings(options: Sequence[str]) -> object:
    """The settings that `register` makes of `options`; raises `InputError` as it does."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_setting_arguments(parser)
    return settings_from_arguments(parser.parse_args(list(options)))


def _versions() -> dict[str, str]:
    from ..inspection.report import software_versions

    return software_versions()


def _write_table(table: Table, single: Sequence[Row], folder: Path) -> None:
    """The table in its three forms; `single` are the runs whose means it shows."""
    forms = {"md": to_markdown(table), "csv": to_csv([*table.rows, *single]), "json": to_json(table, single)}
    write_texts(folder, "benchmark", forms)


def _report_changes(kept: Table, table: Table, console: Console) -> None:
    changes = compare(kept, table)
    console.tell("comparison", **dataclasses.asdict(changes))
    console.say(margins())
    for title, lines in (("Worse", changes.worse), ("Better", changes.better), ("Other", changes.other)):
        for line in lines:
            console.say(f"{title}: {line}")
    if changes.worse:
        count = f"{len(changes.worse)} of the table's numbers"
        raise ComputationError(f"{count} got worse: {changes.worse[0]}", "See the lines above and benchmark.md.")
    console.say("Nothing got worse.")
