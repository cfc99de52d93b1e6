"""Register every row of TABLE.csv, each into a folder of its own, and write a table of results.

Columns: fixed, moving; and if wanted: name (of the folder), preset, fixed_mask, moving_mask, initial_transform,
fixed_labels, moving_labels, fixed_landmarks, moving_landmarks, and landmarks that the result is bent to instead of
measured with: fixed_guides, moving_guides. Relative paths start at the table's folder.
Finished rows are skipped when the same command runs again; a row that fails is recorded, and the rest goes on.
DIR/results.csv holds overlap (Dice), landmark error (TRE), folds, smoothness (SDlogJ) and seconds of every row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..batch import FAILED, read_table, run_rows
from ..console import Console
from ..devices import choose_device
from ..errors import ComputationError
from ..interruption import Interruption
from .register import add_setting_arguments, settings_from_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A table, a folder, and the same settings as one registration."""
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="one registration a row")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for all results")
    add_setting_arguments(parser)
    speech = parser.add_mutually_exclusive_group()
    speech.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")
    speech.add_argument("--json", action="store_true", help="one JSON object a line instead of text")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Register all rows; the computation failed if any row did."""
    rows = read_table(options.table)
    settings = [settings_from_arguments(options, row.preset) for row in rows]
    choose_device(settings[0].device)
    records = run_rows(rows, settings, options.output, console, interruption)
    table = options.output / "results.csv"
    failed = sum(record["status"] == FAILED for record in records)
    console.tell("result", rows=len(records), failed=failed, table=str(table.resolve()))
    console.say(f"{len(records) - failed} of {len(records)} rows are done. Look at {table}")
    if failed:
        remedy = f"See the column 'error' of {table}, mend it and run the same command: finished rows are kept."
        raise ComputationError(f"{failed} of {len(records)} rows failed.", remedy)
