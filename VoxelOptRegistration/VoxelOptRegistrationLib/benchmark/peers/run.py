"""A peer on a case: prepare the volumes, run it in its own process, convert its field, score it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ...interruption import Interruption
from ..cases import Case, Program
from ..processes import Conditions, failure, run_process
from ..scoring import score
from ..table import DONE, FAILED, MISSING, Row, finite

if TYPE_CHECKING:
    import SimpleITK as sitk


def run_peer(case: Case, program: Program, folder: Path, conditions: Conditions, interruption: Interruption) -> Row:
    """The row of `program.peer` on `case`; its seconds are those of the call, preparing the volumes not among them."""
    from ...images.writing import write_transform
    from .convert import read_field, to_transform

    peer = importlib.import_module(f"{__package__}.{program.peer}")
    prepared = [folder / "fixed.nii.gz", folder / "moving.nii.gz"]
    alignment = prepare(case, *prepared)
    command = [conditions.peers_python, "-m", __package__, str(program.peer), *map(str, prepared), str(folder)]
    finished = run_process([*command, str(conditions.threads)], conditions, interruption)
    result_file = folder / "result.json"
    if finished.exit_code != 0 or not result_file.exists():
        return Row(case.name, program.name, FAILED, note=failure(finished, conditions))
    result = json.loads(result_file.read_text(encoding="utf-8"))
    if "missing" in result:
        note = f"{peer.TITLE} needs the package {result['missing']}, which is not installed."
        return Row(case.name, program.name, MISSING, note=note)
    field = read_field(folder / peer.FIELD, _read(prepared[0]))
    transform = folder / "transform.h5"
    write_transform(to_transform(field, alignment), transform)
    scores = score(case, transform)
    scores |= {"seconds": result["seconds"], "wall_seconds": finished.seconds}
    scores["peak_memory_mib"] = finished.peak_memory_mib
    regions = scores.pop("tre_regions_mm", None) or {}
    note = f"{peer.TITLE} {result['version']}, {peer.SETTINGS}."
    return Row(case.name, program.name, DONE, finite(scores), regions, note)


def prepare(case: Case, fixed: Path, moving: Path) -> sitk.Transform:
    """Write both volumes, float32, on one grid; returns the rigid alignment that was applied to the moving one.

    The grid is the fixed volume's, or isotropic over the same field of view with `case.peers_spacing_mm`. Voxels
    without data (`case.background` or less, and beyond the moving volume) get the smallest value there is data for.
    """
    import SimpleITK as sitk

    from ...images.alignment import prealign
    from ...images.grid import Grid
    from ...images.reading import read_volume
    from ...images.writing import write_image
    from ...options import Alignment

    volumes = read_volume(case.fixed), read_volume(case.moving)
    alignment: sitk.Transform = sitk.Transform(3, sitk.sitkIdentity)
    if case.peers_rigid:
        alignment = prealign(*volumes, Alignment.RIGID, background=case.background).transform
    grid = Grid.of(volumes[0])
    if case.peers_spacing_mm is not None:
        sides = [max(8, round(n * s / case.peers_spacing_mm)) for n, s in zip(grid.size_xyz, grid.spacing, strict=True)]
        grid = grid.resized((sides[2], sides[1], sides[0]))
    for volume, transform, path in zip(volumes, (sitk.Transform(3, 0), alignment), (fixed, moving), strict=True):
        values, lowest = _without_gaps(volume, case.background)
        reference = grid.to_reference_image()
        write_image(sitk.Resample(values, reference, transform, sitk.sitkLinear, lowest, sitk.sitkFloat32), path)
    return alignment


def _without_gaps(volume: sitk.Image, background: float | None) -> tuple[sitk.Image, float]:
    import SimpleITK as sitk

    values = sitk.GetArrayViewFromImage(volume)
    lowest = float(values.min() if background is None else values[values > background].min())
    return sitk.Maximum(sitk.Cast(volume, sitk.sitkFloat32), lowest), lowest


def _read(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    return sitk.ReadImage(str(path))
