"""Learn2Reg's AbdomenCTCT task as the VoxelOpt paper evaluates it (arXiv 2506.19975; Learn2Reg: Hering et al., IEEE TMI
42, 2023): subjects 24 to 30, all 42 ordered pairs, 13 organs, everything measured on a grid of 4 mm.

DIR holds imagesTr/AbdomenCTCT_0024_0000.nii.gz and labelsTr/AbdomenCTCT_0024_0000.nii.gz and so on: 2 mm, prealigned.
Registered is the volume of 2 mm on a working grid of 4 mm; labels and the grid for folds are every second voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..file_jobs import TruthFiles
from .cases import Case, select

if TYPE_CHECKING:
    import SimpleITK as sitk

SUBJECTS = tuple(range(24, 31))
ORGANS = tuple(range(1, 14))
WORKING_MM = 4.0
CHOSEN = ("grid.spacing=4", "features.window=-500,800")
OPTIONS = ("--preset", "generic", "--align", "none", *(word for text in CHOSEN for word in ("--set", text)))
PUBLISHED = (
    "Published (Dice %, HD95 mm, SDlogJ L2R): VoxelOpt 58.51, 18.54, 0.21 with the network, 49.98 % with MIND, "
    "45.67 % with raw intensities, 56.40 % without adaptivity; before registration 30.7 %, 29.8 mm."
)
REMARKS = (
    PUBLISHED,
    "Here the solver's grid of 4 mm is low-passed from 2 mm and MIND-SSC is computed on it with half the radius and "
    "dilation; the release computes it at 2 mm and then keeps every second sample, without a low-pass.",
)


def is_layout(data: Path) -> bool:
    """Whether `data` looks like Learn2Reg's folder."""
    return (data / "imagesTr").is_dir() and (data / "labelsTr").is_dir()


def abdomenctct_cases(data: Path, work: Path, names: Sequence[str] = ()) -> list[Case]:
    """The 42 ordered pairs, called "24 <- 25" (fixed <- moving) and so on, or only those of `names`.

    Labels and references of 4 mm are written to `work`. Raises `InputError` for files that are missing or do not fit.
    """
    pairs = [Case(f"{fixed} <- {moving}", Path(), Path(), TruthFiles()) for fixed, moving in permutations(SUBJECTS, 2)]
    chosen = {case.name for case in select(pairs, names)}
    images = {subject: data / "imagesTr" / _name(subject) for subject in SUBJECTS}
    labels = {subject: data / "labelsTr" / _name(subject) for subject in SUBJECTS}
    for path in (*images.values(), *labels.values()):
        if not path.is_file():
            raise InputError(f"{path} does not exist.", "Give Learn2Reg's AbdomenCTCT folder with --data.")
    references, halved = _halved_files(images, labels, work / "abdomenctct")
    cases = []
    for fixed, moving in permutations(SUBJECTS, 2):
        if f"{fixed} <- {moving}" in chosen:
            truth = TruthFiles(labels=(halved[fixed], halved[moving]), scored=ORGANS)
            cases.append(
                Case(
                    f"{fixed} <- {moving}",
                    images[fixed],
                    images[moving],
                    truth,
                    OPTIONS,
                    reference=references[fixed],
                    absent_counts=True,
                    peers_spacing_mm=WORKING_MM,
                )
            )
    return cases


def every_second_voxel(image: sitk.Image) -> sitk.Image:
    """Voxels 0, 2, 4, ... along every axis, where they were."""
    return image[::2, ::2, ::2]


def _name(subject: int) -> str:
    return f"AbdomenCTCT_{subject:04d}_0000.nii.gz"


def _halved_files(
    images: dict[int, Path], labels: dict[int, Path], folder: Path
) -> tuple[dict[int, Path], dict[int, Path]]:
    from ..images.reading import read_labels, read_volume
    from ..images.writing import write_image

    folder.mkdir(parents=True, exist_ok=True)
    references, halved = {}, {}
    for subject in SUBJECTS:
        volume = read_volume(images[subject])
        organs = read_labels(labels[subject], volume, f"The label map {labels[subject]}")
        references[subject] = folder / f"reference_{subject}.nii.gz"
        halved[subject] = folder / f"labels_{subject}.nii.gz"
        write_image(every_second_voxel(volume), references[subject])
        write_image(every_second_voxel(organs), halved[subject])
    return references, halved
