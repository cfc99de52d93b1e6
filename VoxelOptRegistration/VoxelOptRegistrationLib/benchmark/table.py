"""The table of a benchmark, its measures and rows: Markdown for people, CSV for spreadsheets, JSON to compare with."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError

DONE, FAILED, MISSING = "done", "failed", "not installed"
STATES = (DONE, FAILED, MISSING)
FORMAT = 1


@dataclass(frozen=True)
class Measure:
    """A column. better: -1 where less is better, 1 where more is.

    A change counts from the larger of `margin` (in the measure's unit) and `share` (of the earlier value) on; timed
    measures are compared only between equal machines.
    """

    key: str
    title: str
    digits: int
    better: int
    margin: float
    share: float = 0.0
    timed: bool = False


MEASURES = (
    Measure("tre_mm", "TRE mm", 2, -1, 0.03, 0.02),
    Measure("dice", "Dice", 4, 1, 0.003),
    Measure("hd95_mm", "HD95 mm", 2, -1, 0.05, 0.02),
    Measure("folds_percent", "folds %", 4, -1, 0.005),
    Measure("sdlogj", "SDlogJ", 3, -1, 0.005, 0.05),
    Measure("sdlogj_l2r", "SDlogJ L2R", 3, -1, 0.005, 0.05),
    Measure("inverse_voxels", "inverse voxel", 3, -1, 0.01, 0.1),
    Measure("seconds", "s alone", 1, -1, 0.5, 0.2, timed=True),
    Measure("wall_seconds", "s whole", 1, -1, 1.0, 0.2, timed=True),
    Measure("peak_memory_mib", "peak MiB", 0, -1, 50.0, 0.1, timed=True),
)
LEGEND = (
    "TRE: mean landmark error. Dice and HD95: mean over labels. Folds: share of voxels with a Jacobian determinant of "
    "0 or less. SDlogJ: standard deviation of log J, L2R: of log(J + 3). Inverse: mean distance from the start after "
    "going there and back. s alone: the registration without reading and writing; s whole: the process from start to "
    "end. Peak MiB: largest memory of the process, on a GPU of the GPU."
)


@dataclass(frozen=True)
class Row:
    """One program on one pair: `values` by the keys of `MEASURES`; `regions`: landmark error by region, mm.

    note: why it failed, or what was run. default: whether these are the preset's own settings.
    """

    pair: str
    program: str
    status: str = DONE
    values: Mapping[str, float | None] = field(default_factory=dict)
    regions: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    default: bool = False


@dataclass(frozen=True)
class Table:
    """What was measured, with which software on which machine; `machine` decides whether times can be compared."""

    title: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rows: Sequence[Row]
    remarks: Sequence[str] = ()


def finite(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Numbers by the keys of `MEASURES`; what is not finite becomes None."""
    found: dict[str, float | None] = {}
    for measure in MEASURES:
        value = values.get(measure.key)
        if measure.key in values:
            found[measure.key] = float(value) if value is not None and math.isfinite(value) else None
    return found


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """One row per program: means over its pairs, failed ones left out and counted in the note."""
    found = []
    for program in dict.fromkeys(row.program for row in rows):
        mine = [row for row in rows if row.program == program]
        done = [row for row in mine if row.status == DONE]
        name = f"mean of {len(mine)} pairs" if len(mine) > 1 else mine[0].pair
        if not done:
            found.append(Row(name, program, mine[0].status, note=mine[0].note))
            continue
        values: dict[str, float | None] = {}
        for measure in MEASURES:
            numbers = [v for v in (row.values.get(measure.key) for row in done) if v is not None]
            if numbers:
                values[measure.key] = max(numbers) if measure.key == "peak_memory_mib" else sum(numbers) / len(numbers)
        lost = len(mine) - len(done)
        note = f"{lost} of {len(mine)} pairs failed: {next(r.note for r in mine if r.status != DONE)}" if lost else ""
        state = FAILED if lost else DONE
        found.append(Row(name, program, state, values, note=note, default=done[0].default))
    return found


def to_markdown(table: Table) -> str:
    """A page with one table; columns that no row has are left out, the best value of every pair is bold."""
    used = [m for m in MEASURES if any(row.values.get(m.key) is not None for row in table.rows)]
    lines = [f"# {table.title}", ""]
    lines += [f"{key}: {value}  " for key, value in {**table.machine, **table.versions}.items()]
    lines += ["", "| " + " | ".join(["pair", "program", *(m.title for m in used)]) + " |"]
    lines.append("|" + "-|" * (len(used) + 2))
    for pair in dict.fromkeys(row.pair for row in table.rows):
        mine = [row for row in table.rows if row.pair == pair]
        best = {m.key: _best(mine, m) for m in used}
        for row in mine:
            cells = [_cell(row, m, best[m.key]) for m in used]
            if row.status != DONE and not row.values:
                cells = [row.status, *[""] * (len(used) - 1)] if used else []
            name = f"{row.program} *" if row.default else row.program
            lines.append("| " + " | ".join([pair, name, *cells]) + " |")
    notes = {row.program if row.status == DONE else f"{row.program}, {row.pair}": row.note for row in table.rows}
    lines += ["", LEGEND]
    if any(row.default for row in table.rows):
        lines += ["", "A star marks what the preset does by itself.", ""]
    lines += [f"- {remark}" for remark in table.remarks]
    lines += [f"- {name}: {note}" for name, note in notes.items() if note]
    return "\n".join(lines) + "\n"


def _best(rows: Sequence[Row], measure: Measure) -> float | None:
    values = [v for v in (row.values.get(measure.key) for row in rows) if v is not None]
    rounded = {round(value, measure.digits) for value in values}
    if len(values) < 2 or len(rounded) < 2:
        return None
    return max(rounded) if measure.better > 0 else min(rounded)


def _cell(row: Row, measure: Measure, best: float | None) -> str:
    value = row.values.get(measure.key)
    if value is None:
        return ""
    text = f"{value:.{measure.digits}f}"
    if best is not None and round(value, measure.digits) == best:
        text = f"**{text}**"
    if measure.key == "tre_mm" and row.regions:
        text += " (" + ", ".join(f"{region} {error:.2f}" for region, error in row.regions.items()) + ")"
    return text


def to_csv(rows: Sequence[Row]) -> str:
    """A line per row; regions as "name value" joined by semicolons."""
    text = io.StringIO()
    keys = [measure.key for measure in MEASURES]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pair", "program", "status", *keys, "tre_regions_mm", "default", "note"])
    for row in rows:
        values = ["" if row.values.get(key) is None else f"{row.values[key]:.6g}" for key in keys]
        regions = "; ".join(f"{region} {error:.6g}" for region, error in row.regions.items())
        writer.writerow([row.pair, row.program, row.status, *values, regions, "yes" if row.default else "", row.note])
    return text.getvalue()


def to_json(table: Table, runs: Sequence[Row] = ()) -> str:
    """Everything; `runs` are single runs whose means the rows are. `read_table` reads the rows back."""
    content = {"format": FORMAT, **asdict(table), "runs": [asdict(row) for row in runs]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_texts(folder: Path, stem: str, texts: Mapping[str, str]) -> None:
    """Write stem.SUFFIX for every text into `folder`, made if need be; raises `InputError` where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            draft = folder / f".{stem}.{suffix}.part"
            draft.write_text(text, encoding="utf-8", newline="\n")
            os.replace(draft, folder / f"{stem}.{suffix}")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "Choose another folder with -o.") from error


def read_table(path: Path) -> Table:
    """A table that `to_json` wrote; raises `InputError` for anything else."""
    remedy = "Give the .json file of an earlier voxelopt benchmark."
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(f"{path} has the format {content['format']!r}, not {FORMAT}.", remedy)
        rows = [_read_row(entry) for entry in content["rows"]]
        return Table(content["title"], dict(content["machine"]), dict(content["versions"]), rows)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", remedy) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no table of voxelopt benchmark.", remedy) from error


def _read_row(entry: Mapping[str, Any]) -> Row:
    known = {measure.key for measure in MEASURES}
    values = {key: None if v is None else float(v) for key, v in entry["values"].items() if key in known}
    if entry["status"] not in STATES:
        raise ValueError(entry["status"])
    return Row(str(entry["pair"]), str(entry["program"]), entry["status"], values, dict(entry["regions"]))
