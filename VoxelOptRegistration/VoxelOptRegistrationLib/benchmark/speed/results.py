"""What was measured: sections of lines, and how they are written as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

FORMAT = 1


@dataclass(frozen=True)
class Measure:
    """A column: its heading and digits after the point."""

    title: str
    digits: int


MEASURES = {
    "seconds": Measure("s", 3),
    "times_literal": Measure("literal / this", 1),
    "times_plain": Measure("plain torch / this", 1),
    "plain_ms": Measure("plain torch ms", 1),
    "kernel_ms": Measure("kernel ms", 1),
    "floor_ms": Measure("floor ms", 1),
    "over_floor": Measure("times floor", 1),
    "alone_s": Measure("s alone", 1),
    "whole_s": Measure("s whole", 1),
    "alone_ratio": Measure("alone / ours alone", 2),
    "whole_ratio": Measure("alone / ours whole", 2),
    "tre_mm": Measure("TRE mm", 2),
    "dice": Measure("Dice", 4),
    "megavoxels": Measure("million voxels", 2),
    "microseconds_per_voxel": Measure("microseconds per voxel", 2),
    "compile_s": Measure("s to compile", 1),
    "peak_mib": Measure("peak MiB", 0),
    "bytes_per_voxel": Measure("bytes per voxel", 0),
    "exponent": Measure("exponent of time", 2),
    "base_mib": Measure("MiB besides", 0),
}
"""Columns by their keys; others, such as the stages of a job, are titled by their key and have two digits."""


@dataclass(frozen=True)
class Line:
    """One variant of one case, with what was measured of it; note: which kernels, settings, or why it failed."""

    case: str
    variant: str
    values: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Lines that belong together; legend: what its columns mean."""

    key: str
    title: str
    legend: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Results:
    """Everything of one run on one machine."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    sections: Sequence[Section]
    remarks: Sequence[str] = ()

    def section(self, key: str) -> Section | None:
        """The section called `key`, where it was measured."""
        return next((section for section in self.sections if section.key == key), None)


def measure(key: str) -> Measure:
    """The column of `key`."""
    return MEASURES.get(key, Measure(key, 2))


def to_markdown(results: Results, picture: str | None = None) -> str:
    """A page with the machine, the picture and a table per section."""
    lines = ["# voxelopt benchmark speed", ""]
    lines += [f"{key}: {value}  " for key, value in {**results.machine, **results.versions}.items()]
    lines += ["", f"![The numbers below as bars]({picture})", ""] if picture else [""]
    for section in results.sections:
        lines += [f"## {section.title}", "", *_table(section), "", section.legend, ""]
        notes = dict.fromkeys(f"- {line.variant}: {line.note}" for line in section.lines if line.note)
        lines += [*notes, ""] if notes else []
    lines += [f"- {remark}" for remark in results.remarks]
    return "\n".join(lines).rstrip() + "\n"


def _table(section: Section) -> list[str]:
    keys = columns(section)
    titles = ["case", "variant", *(measure(key).title for key in keys)]
    lines = ["| " + " | ".join(titles) + " |", "|" + "-|" * len(titles)]
    for line in section.lines:
        cells = [f"{line.values[key]:.{measure(key).digits}f}" if key in line.values else "" for key in keys]
        lines.append("| " + " | ".join([line.case, line.variant, *cells]) + " |")
    return lines


def columns(section: Section) -> list[str]:
    """Keys of what any of its lines has, known ones in the order of `MEASURES`, then others as they appear."""
    present = dict.fromkeys(key for line in section.lines for key in line.values)
    return [*(key for key in MEASURES if key in present), *(key for key in present if key not in MEASURES)]


def to_csv(results: Results) -> str:
    """A line per number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["section", "case", "variant", "measure", "value"])
    for section in results.sections:
        for line in section.lines:
            for key, value in line.values.items():
                writer.writerow([section.key, line.case, line.variant, key, f"{value:.6g}"])
    return text.getvalue()


def to_json(results: Results) -> str:
    """Everything."""
    content = {"format": FORMAT, **asdict(results)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
