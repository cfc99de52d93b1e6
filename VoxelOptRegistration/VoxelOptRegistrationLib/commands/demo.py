"""Make a pair of abdominal CT-like volumes with a known deformation, register it and measure how well that went.

DIR holds afterwards: phantom (the volumes and the truth), registration (what `voxelopt register` writes, report.html
among it) and evaluation.json (errors before and after, against the truth). Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..console import Console
from ..errors import InputError
from ..file_jobs import TruthFiles, evaluate_files
from ..interruption import Interruption
from . import register

SIZES = {"small": (40, 48, 60), "standard": (96, 112, 144)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and how large."""
    default = Path("voxelopt-demo")
    parser.add_argument("-o", "--output", type=Path, default=default, metavar="DIR", help=f"default: {default}")
    parser.add_argument("--size", choices=SIZES, default="standard", help="of the volumes; small is for a quick try")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cuda, cuda:1, mps or cpu")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Generate, register as a user would, evaluate."""
    from ..phantom import make_phantom, write_phantom

    folder: Path = options.output
    console.say("Making a pair of abdominal CT-like volumes with a known deformation ...")
    try:
        files = write_phantom(make_phantom(SIZES[options.size]), folder / "phantom")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "Choose another folder with -o.") from error

    result = folder / "registration"
    arguments = [str(files["fixed"]), str(files["moving"]), "-o", str(result), "--preset", "abdomen-ct"]
    arguments += ["--device", options.device]
    for name in ("fixed_labels", "moving_labels"):
        arguments += [f"--{name.replace('_', '-')}", str(files[name])]
    console.say(f"voxelopt register {' '.join(arguments)}")
    parser = argparse.ArgumentParser()
    register.add_arguments(parser)
    register.run(parser.parse_args(arguments), console, interruption)

    truth = TruthFiles(
        (files["fixed_landmarks"], files["moving_landmarks"]), (files["fixed_labels"], files["moving_labels"])
    )
    before = evaluate_files(files["fixed"], None, truth)
    after = evaluate_files(files["fixed"], result / "transform.h5", truth)
    evaluation = {"before": before, "after": after}
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1), encoding="utf-8")
    console.tell("evaluation", **evaluation)
    console.say()
    console.say("Measured against the known deformation      before     after")
    rows = (
        ("Landmark error, mean (mm)", before["tre_mm"]["all"]["mean"], after["tre_mm"]["all"]["mean"], ".2f"),
        ("Overlap of organs (Dice, 1 is best)", before["dice"]["mean"], after["dice"]["mean"], ".3f"),
        ("Folds (% of voxels, 0 is best)", before["folds_percent"], after["folds_percent"], ".3f"),
    )
    for title, first, last, digits in rows:
        console.say(f"{title:40} {first:9{digits}} {last:9{digits}}")
    console.say(f"\nPictures and all numbers: {(result / 'report.html').resolve()}")
    console.say(f"Everything is in:         {folder.resolve()}")
