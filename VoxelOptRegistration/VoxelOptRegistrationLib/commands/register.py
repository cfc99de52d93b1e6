"""Register MOVING to FIXED and write the transforms, the warped volume, the maps and the report to a folder.

The fixed volume stays; the moving one is brought to it. Volumes are files that SimpleITK reads (NIfTI, NRRD, MetaImage
and others) or DICOM folders. The folder holds, when the command ends well:
  transform.h5            fixed point -> moving point, mm, LPS, alignment included; Slicer and SimpleITK read it
  inverse_transform.h5    moving point -> fixed point
  warped.nii.gz           the moving volume on the fixed grid
  entropy.nii.gz          0 = certain to 1 = no signal, for every fixed voxel
  expected_error.nii.gz   how far off the result is to be expected there, mm
  jacobian.nii.gz         local change of volume; 0 or less would be a fold
  report.html, .json      what was done and how well the volumes fit, with pictures
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..console import Console
from ..errors import InputError
from ..file_jobs import RegistrationFiles, register_files
from ..interruption import Interruption
from ..options import Settings
from ..presets import apply_overrides, load_preset, with_method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Contract with users: these options stay."""
    parser.add_argument("fixed", type=Path, metavar="FIXED", help="the volume that stays")
    parser.add_argument("moving", type=Path, metavar="MOVING", help="the volume that is brought to it")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--initial-transform", type=Path, metavar="T", help="a transform to start from, any kind")
    parser.add_argument("--fixed-mask", type=Path, metavar="M", help="where to compare, on the fixed grid")
    parser.add_argument("--moving-mask", type=Path, metavar="M", help="where to compare, on the moving grid")
    parser.add_argument("--fixed-labels", type=Path, metavar="L", help="organs in the fixed volume, to measure overlap")
    parser.add_argument("--moving-labels", type=Path, metavar="L", help="the same organs in the moving volume")
    parser.add_argument(
        "--fixed-landmarks", type=Path, metavar="P", help="points that shall fit: .csv (LPS), .mrk.json"
    )
    parser.add_argument("--moving-landmarks", type=Path, metavar="P", help="the same points in the moving volume")
    add_setting_arguments(parser)
    speech = parser.add_mutually_exclusive_group()
    speech.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")
    speech.add_argument("--json", action="store_true", help="one JSON object a line instead of text")


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that decide how to register, for every subcommand that does."""
    parser.add_argument("--preset", default="generic", metavar="NAME", help="see: voxelopt presets (default: generic)")
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="voxelopt, convexadam, samconvex; or one as released, for comparison: voxelopt-paper, ...",
    )
    parser.add_argument(
        "--features",
        metavar="NAME",
        help="what is compared: mind (local structure), intensity, ct-unet (a CT network), network (any other), labels,"
        " or labels as well, such as mind+labels",
    )
    parser.add_argument("--weights", metavar="FILE", help="the network's file: ct-unet's checkpoint, a network's JSON")
    parser.add_argument("--align", metavar="HOW", help="first step: none, center, moments, rigid, affine or auto")
    parser.add_argument(
        "--refine",
        metavar="HOW",
        help="last step: none, local-ncc, features or adam (the method's or the preset's own by default)",
    )
    parser.add_argument("--device", metavar="NAME", help="auto (default), cuda, cuda:1, mps or cpu")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="any other option, e.g. solver.levels=4; all with values: voxelopt presets --json",
    )


def settings_from_arguments(options: argparse.Namespace, preset: str | None = None) -> Settings:
    """The preset (`preset`, or the one asked for) with what the other options change, --set last."""
    settings = load_preset(preset or options.preset)
    if options.method:
        settings = with_method(settings, options.method)
    named = {
        "features.name": options.features,
        "features.weights": options.weights,
        "align": options.align,
        "refine": options.refine,
    }
    named["device"] = options.device
    settings = apply_overrides(settings, {name: value for name, value in named.items() if value is not None})
    overrides = {}
    for text in options.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r} has no value.", "Write --set option=value, e.g. --set solver.levels=4.")
        overrides[name.strip()] = value
    method = overrides.pop("method", None)
    return apply_overrides(with_method(settings, method) if method else settings, overrides)


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Register one pair."""
    start = time.monotonic()
    settings = settings_from_arguments(options)
    files = RegistrationFiles(
        options.fixed,
        options.moving,
        options.initial_transform,
        options.fixed_mask,
        options.moving_mask,
        options.fixed_labels,
        options.moving_labels,
        options.fixed_landmarks,
        options.moving_landmarks,
    )
    report = register_files(files, settings, options.output, console, interruption)
    seconds = time.monotonic() - start
    warnings = report["warnings"]
    console.tell("result", folder=str(options.output.resolve()), seconds=round(seconds, 2), warnings=warnings)
    for warning in warnings:
        console.say(f"Note: {warning}")
    device, alignment = report["device"], report["alignment"]["mode"]
    console.say(f"Done in {seconds:.0f} s on {device['title']} ({device['reason']}), after alignment: {alignment}.")
    console.say(f"Look at {options.output / 'report.html'}")
