"""The files of a result where space is little: side by side where all fit at once, else one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.options import Alignment, GridOptions, Settings
from VoxelOptRegistrationLib.phantom import make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, register
from VoxelOptRegistrationLib.registration import Result
from VoxelOptRegistrationLib.saving import save

resource = pytest.importorskip("resource", reason="file size limits, which stand for a full disk, are POSIX")


@pytest.fixture(scope="module")
def found() -> tuple[Inputs, Result]:
    phantom = make_phantom((30, 36, 42))
    inputs = Inputs(phantom.fixed, phantom.moving)
    settings = Settings(refine="none", align=Alignment.CENTRE, grid=GridOptions(max_voxels=8_000))
    return inputs, register(inputs, settings)


def field_bytes(inputs: Inputs) -> int:
    """Of the larger transform's file, float64."""
    return 24 * max(inputs.fixed.GetNumberOfPixels(), inputs.moving.GetNumberOfPixels())


def save_with(limit: int, found: tuple[Inputs, Result], folder: Path) -> Result:
    """Save into `folder` on a disk that takes no more than `limit` bytes in one piece; what is left of the result."""
    result = dataclasses.replace(found[1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        save(result, found[0], folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return result


def test_with_room_for_one_file_but_not_for_all_they_are_written_one_by_one(
    tmp_path: Path, found: tuple[Inputs, Result]
) -> None:
    names = ("roomy", "tight")
    for name, share in zip(names, (10.0, 1.2), strict=True):
        (tmp_path / name).mkdir()
        left = save_with(int(share * field_bytes(found[0])), found, tmp_path / name)
        assert ("displacement" in vars(left)) == (name == "roomy")
    listed = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in names]
    assert listed[0] == listed[1] and "transform.h5" in listed[0]
    for file in ("transform.h5", "inverse_transform.h5"):
        fields = [sitk.DisplacementFieldTransform(sitk.ReadTransform(str(tmp_path / name / file))) for name in names]
        arrays = [sitk.GetArrayFromImage(field.GetDisplacementField()) for field in fields]
        assert np.array_equal(*arrays)
    for file in (name for name in listed[0] if name.endswith(".nii.gz")):
        images = [sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / file))) for name in names]
        assert np.array_equal(*images), file


def test_with_too_little_room_for_one_it_is_an_error(tmp_path: Path, found: tuple[Inputs, Result]) -> None:
    with pytest.raises(ComputationError, match="could not be written"):
        save_with(int(0.8 * field_bytes(found[0])), found, tmp_path)
    assert not list(tmp_path.glob("*transform.h5"))


def test_with_a_limit_to_the_memory_what_is_written_is_given_up(tmp_path: Path, found: tuple[Inputs, Result]) -> None:
    report = {**found[1].report, "settings": {**found[1].report["settings"], "memory_gib": 4.0}}
    for name, own in (("together", found[1].report), ("singly", report)):
        (tmp_path / name).mkdir()
        result = dataclasses.replace(found[1], report=own)
        save(result, found[0], tmp_path / name)
        assert ("displacement" in vars(result)) == (name == "together")
    listed = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("together", "singly")]
    assert listed[0] == listed[1] and "transform.h5" in listed[0]
