"""Many registrations from one table: reading it, running row after row, resuming, and the table of results."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import __version__
from .console import Console, one_line
from .errors import Cancelled, InputError
from .failures import as_registration_error
from .file_jobs import RegistrationFiles, TruthFiles, evaluate_files, read_truth, register_files
from .interruption import Interruption
from .options import Settings
from .presets import settings_to_dict, suggestion

PATH_COLUMNS = ("fixed", "moving", "fixed_mask", "moving_mask", "initial_transform")
TRUTH_COLUMNS = ("fixed_labels", "moving_labels", "fixed_landmarks", "moving_landmarks")
GUIDE_COLUMNS = ("fixed_guides", "moving_guides")
"""Landmarks that the result is bent to; those of `TRUTH_COLUMNS` only measure it."""
COLUMNS = (*PATH_COLUMNS, *TRUTH_COLUMNS, *GUIDE_COLUMNS, "preset", "name")
MEASURES = ("dice", "hd95_mm", "tre_mm", "folds_percent", "jacobian_min", "sdlogj", "sdlogj_l2r")
RESULT_COLUMNS = ("name", "status", "error", "fixed", "moving", "preset", "seconds", *MEASURES, "key")
DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Row:
    """One registration of the table; `preset` is empty where the row leaves it to the command line."""

    name: str
    files: RegistrationFiles
    truth: TruthFiles
    preset: str


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV table (comma, semicolon or tab; UTF-8) with the columns `COLUMNS`, fixed and moving required.

    Relative paths start at the table's folder. Raises `InputError` naming the column or line at fault.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"The table {path} cannot be read: {reason}.", "Give a CSV file in UTF-8.") from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = columns
        _check_columns(columns, path)
        rows = [_row(cells, path, reader.line_num, number) for number, cells in enumerate(reader, start=1)]
    except csv.Error as error:
        line = reader.reader.line_num
        raise InputError(f"Line {line} of {path} is no CSV: {error}.", "Save the table as CSV.") from error
    names = [row.name for row in rows]
    if not rows:
        raise InputError(f"The table {path} has no rows.", "Add one row for each registration.")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two rows of {path} are called {name!r}.", "Give every row a name of its own.")
    return rows


def run_rows(
    rows: Sequence[Row],
    settings: Sequence[Settings],
    folder: Path,
    console: Console,
    interruption: Interruption,
) -> list[dict[str, Any]]:
    """Register every row, each with its own settings, into `folder`/name; returns the records of `folder`/results.csv.

    Rows that an earlier run finished with the same files and settings are skipped. A row that fails is recorded, and
    the next one goes on. Raises `KeyboardInterrupt` or `Cancelled` when stopped; what is finished stays. Raises
    `InputError` if `folder` cannot be written or holds another program's results.csv.
    """
    table = folder / "results.csv"
    earlier = _read_results(table)
    records: list[dict[str, Any]] = []
    for number, (row, chosen) in enumerate(zip(rows, settings, strict=True), start=1):
        key = _key(row, chosen)
        record: dict[str, Any] = earlier.get(row.name, {})
        finished = record.get("status") == DONE and record.get("key") == key
        if finished and (folder / row.name / "report.json").is_file():
            console.say(f"Row {number} of {len(rows)}: {row.name} is done already.")
        else:
            console.say(f"Row {number} of {len(rows)}: {row.name}")
            console.tell("row", name=row.name, number=number, rows=len(rows))
            record = _run_row(row, chosen, folder, console, interruption) | {"key": key}
        records.append(record)
        later = [earlier[other.name] for other in rows[number:] if other.name in earlier]
        _write_results(table, [*records, *later])
        console.tell("row_result", **{name: value for name, value in record.items() if name != "key"})
    return records


def measures(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one evaluation that fit into a table: means over labels and landmarks, folds, smoothness."""
    found = {name: evaluation[name] for name in MEASURES if name in evaluation}
    if "dice" in evaluation:
        found["dice"] = evaluation["dice"]["mean"]
    if "tre_mm" in evaluation:
        found["tre_mm"] = evaluation["tre_mm"]["all"]["mean"]
    return found


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"The table {path} has an unknown column {column!r}.", suggestion(column, COLUMNS))
    for column in ("fixed", "moving"):
        if column not in columns:
            raise InputError(f"The table {path} has no column {column!r}.", f"The columns are: {', '.join(COLUMNS)}.")


def _row(cells: Mapping[str | None, Any], path: Path, line: int, number: int) -> Row:
    if None in cells or None in cells.values():
        raise InputError(f"Line {line} of {path} has not as many cells as the header.", "Mend that line.")
    text = {str(column): value.strip() for column, value in cells.items()}
    files = PATH_COLUMNS + TRUTH_COLUMNS + GUIDE_COLUMNS
    paths = {column: path.parent / text[column] for column in files if text.get(column)}
    for column in ("fixed", "moving"):
        if column not in paths:
            raise InputError(f"Line {line} of {path} has no {column} volume.", "Fill in that cell.")
    for kind in ("labels", "landmarks", "guides"):
        if (f"fixed_{kind}" in paths) != (f"moving_{kind}" in paths):
            raise InputError(f"Line {line} of {path} has {kind} for one volume only.", "Give both or neither.")
    name = text.get("name") or f"{number:03d}_{paths['moving'].name.partition('.')[0]}"
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise InputError(f"The name {name!r} in line {line} of {path} is no folder name.", "Use letters and digits.")
    labels = (paths["fixed_labels"], paths["moving_labels"]) if "fixed_labels" in paths else None
    landmarks = (paths["fixed_landmarks"], paths["moving_landmarks"]) if "fixed_landmarks" in paths else None
    kept = {name.replace("guides", "landmarks"): path for name, path in paths.items() if "landmarks" not in name}
    return Row(name, RegistrationFiles(**kept), TruthFiles(landmarks, labels), text.get("preset", ""))


def _run_row(
    row: Row, settings: Settings, folder: Path, console: Console, interruption: Interruption
) -> dict[str, Any]:
    """Register and evaluate one row; its record, also where it fails."""
    record: dict[str, Any] = {
        "name": row.name,
        "fixed": str(row.files.fixed),
        "moving": str(row.files.moving),
        "preset": settings.preset,
    }
    start = time.monotonic()
    try:
        target = folder / row.name
        read_truth(row.truth)  # so that a wrong file is told before the computation, not after it
        register_files(row.files, settings, target, console, interruption)
        record["seconds"] = round(time.monotonic() - start, 2)
        evaluation = evaluate_files(row.files.fixed, target / "transform.h5", row.truth)
    except Cancelled:
        raise
    except Exception as error:
        failure = as_registration_error(error)
        console.say(f"       Failed: {failure}")
        return record | {"status": FAILED, "error": one_line(str(failure))}
    return record | {"status": DONE} | measures(evaluation)


def _key(row: Row, settings: Settings) -> str:
    """Changes when the row's files, its settings or this software change."""
    paths = [*asdict(row.files).values(), *(row.truth.landmarks or ()), *(row.truth.labels or ())]
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path and path.exists()]
    content = [__version__, settings_to_dict(settings), paths, states]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:16]


def _read_results(table: Path) -> dict[str, dict[str, str]]:
    """The records of earlier runs by name; none where `table` is new. Makes its folder."""
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        if not table.exists():
            return {}
        with open(table, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == RESULT_COLUMNS:
                return {record["name"]: record for record in reader}
    except OSError as error:
        raise InputError(f"{table} cannot be written: {error.strerror}.", "Choose another output folder.") from error
    except (UnicodeDecodeError, csv.Error):
        pass
    raise InputError(f"{table} is not a table of voxelopt batch.", "Choose another output folder or move it away.")


def _write_results(table: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Replace the table of results in one step."""
    draft = table.with_name(".results.csv.part")
    with open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, RESULT_COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)
    os.replace(draft, table)
