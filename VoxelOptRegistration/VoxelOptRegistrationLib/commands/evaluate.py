"""Measure a transform: landmark error, overlap of labels, folds and smoothness.

Any transform that SimpleITK reads, from any program, mapping fixed points to moving points (mm, LPS). Landmarks: CSV
with the columns x_mm, y_mm, z_mm (LPS) and if wanted region, or Slicer's .mrk.json and .fcsv.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..console import Console
from ..errors import InputError
from ..file_jobs import TruthFiles, evaluate_files
from ..interruption import Interruption


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The transform, the grid on which folds are counted, and the truth."""
    parser.add_argument("--fixed", type=Path, required=True, metavar="F", help="the fixed volume")
    parser.add_argument("--transform", type=Path, required=True, metavar="T", help="maps fixed to moving points")
    pair = ("A", "B")
    parser.add_argument("--landmarks", type=Path, nargs=2, metavar=pair, help="points in fixed, the same in moving")
    parser.add_argument("--labels", type=Path, nargs=2, metavar=pair, help="organs in fixed, the same in moving")
    parser.add_argument("--scored", metavar="FILE|LIST", help="labels that count: a text file, or e.g. 2,3,17")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Measure and print."""
    landmarks = tuple(options.landmarks) if options.landmarks else None
    labels = tuple(options.labels) if options.labels else None
    truth = TruthFiles(landmarks, labels, read_scored(options.scored) if options.scored else None)
    evaluation = evaluate_files(options.fixed, options.transform, truth)
    console.tell("evaluation", **evaluation)
    for line in describe(evaluation):
        console.say(line)


def read_scored(text: str) -> tuple[int, ...]:
    """Label values from a list such as "2,3,17" or from a text file; raises `InputError` for anything else."""
    source = text
    if not re.fullmatch(r"[\d\s,]+", text):
        try:
            source = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--scored {text!r} is no list of labels and no text file.", "Write e.g. 2,3,17."
            ) from error
    values = source.replace(",", " ").split()
    if not values or not all(value.isdecimal() for value in values):
        raise InputError(f"--scored {text!r} holds something else than label values.", "Write whole numbers, e.g. 2,3.")
    return tuple(int(value) for value in values)


def describe(evaluation: Mapping[str, Any]) -> list[str]:
    """The evaluation in lines for a person."""
    lines = []
    for region, error in evaluation.get("tre_mm", {}).items():
        lines.append(
            f"Landmark error, {region} ({error['n']} points): mean {error['mean']:.2f} mm, "
            f"median {error['median']:.2f}, 95th percentile {error['p95']:.2f}, largest {error['max']:.2f}"
        )
    if "dice" in evaluation:
        dice = evaluation["dice"]
        lines.append(
            f"Overlap (Dice) over {dice['labels']} labels: mean {dice['mean']:.3f}, 5th percentile {dice['p5']:.3f}"
        )
        lines.append(f"Surface distance (HD95): mean {evaluation['hd95_mm']:.2f} mm")
    lines.append(
        f"Folds: {evaluation['folds_percent']:.4f} % of voxels; Jacobian determinant "
        f"{evaluation['jacobian_min']:.3f} to {evaluation['jacobian_max']:.3f}"
    )
    lines.append(f"Smoothness: SDlogJ {evaluation['sdlogj']:.4f}")
    return lines
