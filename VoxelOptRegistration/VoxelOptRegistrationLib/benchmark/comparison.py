"""What moved between a kept table and a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .table import DONE, MEASURES, MISSING, Measure, Row, Table


@dataclass(frozen=True)
class Comparison:
    """Lines for a person; a row that failed now but not before counts as worse."""

    worse: Sequence[str]
    better: Sequence[str]
    other: Sequence[str]


def compare(kept: Table, new: Table) -> Comparison:
    """Compare rows of the same pair and program, measure by measure, beyond each one's margin.

    Times and memory only where both tables are from the same machine. Rows that stand in one table only are told, and
    so is a program that is not installed now; neither counts as worse.
    """
    worse: list[str] = []
    better: list[str] = []
    other: list[str] = []
    same_machine = dict(kept.machine) == dict(new.machine)
    if not same_machine:
        other.append("The machines differ: times and memory are not compared.")
    earlier = {(row.pair, row.program): row for row in kept.rows}
    now = {(row.pair, row.program): row for row in new.rows}
    for key, row in now.items():
        name = f"{row.pair}, {row.program}"
        before = earlier.get(key)
        if before is None:
            other.append(f"{name}: new.")
        elif row.status == MISSING:
            other.append(f"{name}: not installed.")
        elif row.status != DONE and before.status == DONE:
            worse.append(f"{name}: {row.note or row.status}")
        elif row.status == DONE and before.status != DONE:
            better.append(f"{name}: works now ({before.status} before).")
        else:
            for measure in MEASURES:
                if same_machine or not measure.timed:
                    _compare(before, row, measure, name, worse, better, other)
    other += [f"{row.pair}, {row.program}: only in the kept table." for key, row in earlier.items() if key not in now]
    return Comparison(worse, better, other)


def margins() -> str:
    """One line that states from which change on a measure counts as moved."""
    texts = []
    for measure in MEASURES:
        share = f" or {measure.share:.0%}" if measure.share else ""
        texts.append(f"{measure.title} {measure.margin:g}{share}")
    return "Margins (the larger one counts): " + ", ".join(texts) + "."


def _compare(
    before: Row, row: Row, measure: Measure, name: str, worse: list[str], better: list[str], other: list[str]
) -> None:
    old, new = before.values.get(measure.key), row.values.get(measure.key)
    if old is None and new is None:
        return
    if old is None or new is None:
        other.append(f"{name}: {measure.title} only {'now' if old is None else 'in the kept table'}.")
        return
    if abs(new - old) <= max(measure.margin, measure.share * abs(old)):
        return
    line = f"{name}: {measure.title} {old:.{measure.digits}f} -> {new:.{measure.digits}f}"
    (better if (new - old) * measure.better > 0 else worse).append(line)
