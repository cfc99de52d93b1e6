"""Everything that was measured as one CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from ..errors import InputError
from ..mrml.translation import tr as _
from .landmarks import LandmarkError
from .measures import Measure
from .segments import SegmentMeasure


def write_csv(
    path: Path,
    measures: Sequence[Measure],
    segments: Sequence[SegmentMeasure] = (),
    landmarks: Sequence[LandmarkError] = (),
) -> None:
    """Write the tables one below the other, each with its own header, numbers in full; UTF-8 that spreadsheets know.

    Raises `InputError` where the file cannot be written.
    """
    blocks: list[Iterable[Sequence[object]]] = [
        [("measure", "before", "after", "unit", "how to read it"), *(_row(entry) for entry in measures)]
    ]
    if segments:
        blocks.append([[entry.name for entry in fields(SegmentMeasure)], *(_row(entry) for entry in segments)])
    if landmarks:
        blocks.append([("landmark", "error_before_mm", "error_after_mm"), *(_row(entry) for entry in landmarks)])
    try:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            for number, block in enumerate(blocks):
                if number:
                    writer.writerow([])
                writer.writerows(block)
    except OSError as error:
        raise InputError(
            _("{path} cannot be written: {cause}.").format(path=path, cause=error.strerror),
            _("Choose another file or folder."),
        ) from error


def _row(entry: Measure | SegmentMeasure | LandmarkError) -> list[object]:
    return ["" if value is None else value for value in astuple(entry)]
