"""Jobs from files to files that the subcommands share: register one pair, evaluate one transform."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Console
from .devices import load_torch
from .errors import InputError
from .interruption import Interruption
from .options import Settings

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .inspection.landmarks import Landmarks


OUTPUTS = (
    "transform.h5",
    "inverse_transform.h5",
    "warped.nii.gz",
    "entropy.nii.gz",
    "expected_error.nii.gz",
    "jacobian.nii.gz",
    "report.json",
    "report.html",
    "stiffness.nii.gz",
)
"""All but the last always; that where a refinement finds it."""


@dataclass(frozen=True)
class RegistrationFiles:
    """The files of one registration. Masks and labels lie on the grid of the volume they are named after.

    Landmarks are those that the result is bent to, not those it is measured with.
    """

    fixed: Path
    moving: Path
    initial_transform: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None


@dataclass(frozen=True)
class TruthFiles:
    """What a transform is measured against: corresponding landmarks, labels of the same organs, or both."""

    landmarks: tuple[Path, Path] | None = None
    labels: tuple[Path, Path] | None = None
    scored: tuple[int, ...] | None = None


def register_files(
    files: RegistrationFiles, settings: Settings, folder: Path, console: Console, interruption: Interruption
) -> dict[str, Any]:
    """Register and write everything (`OUTPUTS`) to `folder`, or nothing at all; returns the report.

    Raises `InputError`, `ComputationError` or `KeyboardInterrupt`; an earlier `folder` then stays as it was.
    """
    from .images.writing import OutputFolder

    for path in filter(None, asdict(files).values()):
        if path.name in OUTPUTS and path.resolve().parent == folder.resolve():
            raise InputError(f"The results would replace the input {path}.", "Choose another output folder.")
    with interruption.closing(OutputFolder(folder)) as staging:
        images = read_images(files)
        load_torch()
        from . import pipeline, saving
        from .resources import keep_what_is_loaded

        keep_what_is_loaded()

        inputs = pipeline.Inputs(**images, fixed_name=files.fixed.name, moving_name=files.moving.name)
        result = pipeline.register(inputs, settings, console.watcher(interruption))
        saving.save(result, inputs, staging)
    return result.report


def read_images(files: RegistrationFiles) -> dict[str, Any]:
    """The checked images, landmarks and transform by the names of `pipeline.Inputs`.

    Raises `InputError` naming the file at fault. Without torch, so that wrong files are told at once.
    """
    from .images.reading import read_labels, read_mask, read_transform, read_volume
    from .inspection.landmarks import read_landmarks

    images: dict[str, Any] = {"fixed": read_volume(files.fixed), "moving": read_volume(files.moving)}
    for kind, read in (("mask", read_mask), ("labels", read_labels)):
        for role in ("fixed", "moving"):
            path = getattr(files, f"{role}_{kind}")
            if path:
                images[f"{role}_{kind}"] = read(path, images[role], f"The {role} {kind}")
    for name in ("fixed_landmarks", "moving_landmarks"):
        if getattr(files, name):
            images[name] = read_landmarks(getattr(files, name)).points
    if files.initial_transform:
        images["initial_transform"] = read_transform(files.initial_transform)
    return images


def evaluate_files(fixed: Path, transform: Path | None, truth: TruthFiles) -> dict[str, Any]:
    """Errors of the transform file (fixed -> moving; None is the identity) on the grid of `fixed`.

    The keys are those of `inspection.evaluate.evaluate`. Raises `InputError` naming the file at fault.
    """
    load_torch()
    import SimpleITK as sitk

    from .images.reading import read_transform, read_volume
    from .inspection.evaluate import evaluate

    mapping = read_transform(transform) if transform else sitk.Transform(3, sitk.sitkIdentity)
    landmarks, labels = read_truth(truth)
    return evaluate(read_volume(fixed), mapping, landmarks=landmarks, labels=labels, scored=truth.scored)


def read_truth(
    truth: TruthFiles,
) -> tuple[tuple[Landmarks, Landmarks] | None, tuple[sitk.Image, sitk.Image] | None]:
    """The (fixed, moving) pairs of landmarks and of label maps; raises `InputError` naming the file at fault."""
    from .inspection.landmarks import check_pairs, read_landmarks

    landmarks = labels = None
    if truth.landmarks:
        landmarks = read_landmarks(truth.landmarks[0]), read_landmarks(truth.landmarks[1])
        check_pairs(*landmarks)
    if truth.labels:
        labels = _label_map(truth.labels[0], "fixed"), _label_map(truth.labels[1], "moving")
    return landmarks, labels


def _label_map(path: Path, role: str) -> sitk.Image:
    """Labels on whatever grid they have."""
    from .images.reading import read_labels, read_volume

    name = f"The {role} label map {path}"
    return read_labels(path, read_volume(path, name), name)
