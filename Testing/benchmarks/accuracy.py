"""The presets on real pairs with known truth, through the real command, measured from the transform files it leaves.

    python Testing/benchmarks/accuracy.py --data DIR --score SCORE.py [--refine none] [--only brain] [--keep DIR]

DIR holds the folders liver_mr, brain_t1 and lung_ct; SCORE.py scores a saved transform on its own and prints JSON. One
line per pair: landmark error in mm (in the liver / outside it) or mean Dice, folds, SDlogJ, inverse-consistency error,
seconds of the computation, peak memory. The lung pair has masks only; their overlap is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pair:
    """Files relative to the data folder; `truth` are the scorer's arguments."""

    preset: str
    fixed: str
    moving: str
    truth: tuple[str, ...]


def liver(phase: int) -> Pair:
    landmarks = ("--landmarks", "liver_mr/fixed_landmarks.csv", f"liver_mr/moving_phase{phase}_landmarks.csv")
    return Pair("liver-mr", "liver_mr/fixed.nii.gz", f"liver_mr/moving_phase{phase}.nii.gz", landmarks)


BRAIN_LABELS = ("--labels", "brain_t1/fixed_labels.nii.gz", "brain_t1/moving_labels.nii.gz")
LUNG_MASKS = ("--labels", "lung_ct/fixed_lung_mask.nii.gz", "lung_ct/moving_lung_mask.nii.gz")
PAIRS = {
    "liver phase 6": liver(6),
    "liver phase 9": liver(9),
    "brain": Pair(
        "brain-mr",
        "brain_t1/fixed.nii.gz",
        "brain_t1/moving.nii.gz",
        (*BRAIN_LABELS, "--scored", "brain_t1/scored_labels.txt"),
    ),
    "lung": Pair("lung-ct", "lung_ct/fixed.nii.gz", "lung_ct/moving.nii.gz", LUNG_MASKS),
}


def run(pair: Pair, data: Path, score: Path, folder: Path, options: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Register and score; returns the scores and the run's own report."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "VoxelOptRegistration")}
    command = [
        sys.executable,
        "-m",
        "VoxelOptRegistrationLib",
        "register",
        str(data / pair.fixed),
        str(data / pair.moving),
    ]
    command += ["-o", str(folder), "--preset", pair.preset, "--quiet", *options]
    subprocess.run(command, check=True, env=environment)
    truth = [word if word.startswith("--") else str(data / word) for word in pair.truth]
    scored = [sys.executable, str(score), "--fixed", str(data / pair.fixed)]
    scored += ["--transform", str(folder / "transform.h5"), *truth]
    printed = subprocess.run(scored, check=True, capture_output=True, text=True).stdout
    return json.loads(printed), json.loads((folder / "report.json").read_text(encoding="utf-8"))


def line(name: str, scores: dict[str, Any], report: dict[str, Any]) -> str:
    if "tre_mm" in scores:
        truth = " / ".join(f"{scores['tre_mm'][region]['mean']:.2f}" for region in ("liver", "outside")) + " mm"
    else:
        truth = f"Dice {scores['dice']['mean']:.4f}"
    smoothness = f"folds {scores['folds_percent']:.4f} %  SDlogJ {scores['sdlogj']:.3f}"
    consistency = f"inverse {report['inverse_consistency']['mean_voxels']:.3f} voxel"
    cost = f"{report['timings_s']['total']:6.1f} s  {report['peak_memory_mib'] or 0:.0f} MiB"
    return f"{name:14} {truth:18} {smoothness}  {consistency}  {cost}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--only", choices=PAIRS, action="append")
    parser.add_argument("--keep", type=Path, help="folder for the registrations (default: a temporary one)")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.only or PAIRS:
            folder = (arguments.keep or Path(temporary)) / name.replace(" ", "_")
            scores, report = run(PAIRS[name], arguments.data, arguments.score, folder, options)
            print(line(name, scores, report), flush=True)


if __name__ == "__main__":
    main()
