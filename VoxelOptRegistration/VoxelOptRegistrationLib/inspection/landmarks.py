"""Corresponding points: reading and writing them, and the target registration error.

Formats: CSV with the columns x_mm, y_mm, z_mm (LPS) and an optional region; Slicer's `.mrk.json` (its coordinateSystem
is respected) and the older `.fcsv`. The error is |T(fixed point) - moving point| in mm, T mapping fixed to moving.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError

COLUMNS = ("x_mm", "y_mm", "z_mm")
FORMATS = "Use a CSV file with the columns x_mm,y_mm,z_mm (LPS) or Slicer's .mrk.json or .fcsv."
FLIPS = {"LPS": np.array([1.0, 1.0, 1.0]), "RAS": np.array([-1.0, -1.0, 1.0])}


@dataclass(frozen=True)
class Landmarks:
    """Points (N, 3) in mm LPS, and the region each belongs to ("all" where the file names none)."""

    points: np.ndarray
    regions: tuple[str, ...]


def read_landmarks(path: Path) -> Landmarks:
    """Read landmarks; the file's name tells the format. Raises `InputError` naming the file and the fault."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"Cannot read landmarks from {path}: {reason}.", FORMATS) from error
    name = path.name.lower()
    if name.endswith(".json"):
        rows, regions = _from_markups(text, path)
    elif name.endswith(".fcsv"):
        rows, regions = _from_fcsv(text, path)
    else:
        rows, regions = _from_csv(text, path)
    points = np.array(rows, dtype=float).reshape(-1, 3)
    if not len(points):
        raise InputError(f"{path} holds no landmarks.", FORMATS)
    if not np.all(np.isfinite(points)):
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0]) + 1
        raise InputError(f"Landmark {bad} in {path} is not finite.", "Correct or remove that point.")
    return Landmarks(points, tuple(regions))


def write_landmarks(landmarks: Landmarks, path: Path) -> None:
    """Write the CSV form."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("region", *COLUMNS))
        writer.writerows(
            (region, *(f"{v:.6f}" for v in point))
            for region, point in zip(landmarks.regions, landmarks.points, strict=True)
        )


def check_pairs(fixed: Landmarks, moving: Landmarks) -> None:
    """Raise `InputError` unless both lists have the same number of points."""
    if len(fixed.points) != len(moving.points):
        raise InputError(
            f"There are {len(fixed.points)} fixed but {len(moving.points)} moving landmarks.",
            "Give the same points in the same order in both files.",
        )


def target_registration_error(transform: sitk.Transform, fixed: Landmarks, moving: Landmarks) -> dict[str, Any]:
    """Errors in mm per region: {"all": {n, mean, median, p95, max}, region: {...}}; regions are the fixed points'."""
    check_pairs(fixed, moving)
    moved = np.array([transform.TransformPoint(p) for p in fixed.points.tolist()])
    error = np.linalg.norm(moved - moving.points, axis=1)
    regions = np.array(fixed.regions)
    summary = {}
    for region in ["all", *sorted(set(fixed.regions) - {"all"})]:
        e = error if region == "all" else error[regions == region]
        summary[region] = {
            "n": int(e.size),
            "mean": float(e.mean()),
            "median": float(np.median(e)),
            "p95": float(np.percentile(e, 95)),
            "max": float(e.max()),
        }
    return summary


def _number(value: Any, path: Path, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r} at {where} of {path} is not a number.", "Give coordinates in mm.") from error


def _from_csv(text: str, path: Path) -> tuple[list[list[float]], list[str]]:
    reader = csv.DictReader(text.splitlines())
    missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}.", FORMATS)
    rows, regions = [], []
    for row in reader:
        rows.append([_number(row[c], path, f"line {reader.line_num}") for c in COLUMNS])
        regions.append(row.get("region") or "all")
    return rows, regions


def _from_markups(text: str, path: Path) -> tuple[list[list[float]], list[str]]:
    try:
        markup = json.loads(text)["markups"][0]
        flip = _flip(str(markup.get("coordinateSystem", "LPS")), path)
        positions = [p["position"] for p in markup["controlPoints"] if p.get("positionStatus", "defined") == "defined"]
        rows = [[_number(v, path, f"point {i + 1}") for v in position] for i, position in enumerate(positions)]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a Slicer markups file with control points.", FORMATS) from error
    if any(len(row) != 3 for row in rows):
        raise InputError(f"{path} has a control point without three coordinates.", FORMATS)
    return [list(row * flip) for row in np.array(rows, dtype=float).reshape(-1, 3)], ["all"] * len(rows)


def _from_fcsv(text: str, path: Path) -> tuple[list[list[float]], list[str]]:
    flip = FLIPS["RAS"]
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition("=")
            if key.strip() == "CoordinateSystem":
                flip = _flip(value.strip(), path)
            continue
        if not line.strip():
            continue
        fields = line.split(",")
        if len(fields) < 4:
            raise InputError(f"Line {number} of {path} has no three coordinates.", FORMATS)
        rows.append(list(np.array([_number(v, path, f"line {number}") for v in fields[1:4]]) * flip))
    return rows, ["all"] * len(rows)


def _flip(name: str, path: Path) -> np.ndarray:
    """Signs that turn a file's coordinates into LPS; `fcsv` files write 0 for RAS and 1 for LPS in old versions."""
    flip = FLIPS.get({"0": "RAS", "1": "LPS"}.get(name, name.upper()))
    if flip is None:
        raise InputError(f"{path} has the coordinate system {name}.", "Use LPS or RAS.")
    return flip
