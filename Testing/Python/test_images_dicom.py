"""DICOM folders, written here slice by slice, as scanners and archives leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.images.reading import read_volume

VALUES = np.random.default_rng(0).integers(-1000, 1000, (6, 9, 8)).astype(np.int16)
TURNED = sitk.VersorTransform((0.2, -0.3, 1.0), 0.4).GetMatrix()


def write_series(
    folder: Path,
    uid: str = "1.2.3",
    *,
    positions: np.ndarray | None = None,
    description: str = "Thorax",
    values: np.ndarray = VALUES,
    sideways: float = 0.0,
) -> sitk.Image:
    """CT slices of 0.7 x 0.8 mm at `positions` (mm along their normal), oblique; returns the volume they make."""
    folder.mkdir(exist_ok=True)
    positions = np.arange(len(values)) * 2.5 if positions is None else positions
    direction = np.reshape(TURNED, (3, 3))
    origin = np.array([-20.0, 30.0, 40.0])
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, position in enumerate(positions):
        corner = origin + direction[:, 2] * position + direction[:, 0] * sideways * number
        image = sitk.GetImageFromArray(values[number][None])
        image.SetSpacing((0.7, 0.8, 2.5))
        for tag, value in {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{number + 1}",
            "0008|0060": "CT",
            "0008|103e": description,
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{c:.6f}" for c in corner),
            "0020|0037": "\\".join(f"{c:.9f}" for c in (*direction[:, 0], *direction[:, 1])),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }.items():
            image.SetMetaData(tag, value)
        # Names that do not follow the order of the slices.
        writer.SetFileName(str(folder / f"{uid}-{(number * 5) % 7}.dcm"))
        writer.Execute(image)
    volume = sitk.GetImageFromArray(values)
    volume.SetSpacing((0.7, 0.8, 2.5))
    volume.SetOrigin(origin.tolist())
    volume.SetDirection(direction.ravel().tolist())
    return volume


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.remedy
    for word in (str(path), *words):
        assert word in text


def test_series_becomes_a_volume_in_place(tmp_path: Path) -> None:
    expected = write_series(tmp_path / "ct")
    (tmp_path / "ct" / "readme.txt").write_text("not an image")
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), VALUES)
    np.testing.assert_allclose(volume.GetSpacing(), (0.7, 0.8, 2.5), atol=1e-4)
    for index in ((0, 0, 0), (7, 8, 5), (3, 1, 4)):
        np.testing.assert_allclose(
            volume.TransformIndexToPhysicalPoint(index), expected.TransformIndexToPhysicalPoint(index), atol=1e-3
        )


def test_a_scout_of_one_slice_does_not_count(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    write_series(tmp_path / "ct", "1.2.9", description="Scout", values=VALUES[:1])
    assert read_volume(tmp_path / "ct").GetSize() == (8, 9, 6)


def test_several_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    write_series(tmp_path / "ct", "1.2.9", description="Arterial", values=VALUES[:4])
    refused(tmp_path / "ct", "2 DICOM series", "Thorax, 6 files, 1.2.3", "Arterial, 4 files, 1.2.9")


def test_folders_without_a_volume(tmp_path: Path) -> None:
    refused(tmp_path, "no DICOM volume")
    (tmp_path / "notes.txt").write_text("nothing")
    refused(tmp_path, "no DICOM volume")
    write_series(tmp_path / "scout", values=VALUES[:1])
    refused(tmp_path / "scout", "no DICOM volume")


def test_one_slice_of_a_series(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    refused(tmp_path / "ct" / "1.2.3-0.dcm", "single slice", "folder")


def test_missing_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", positions=np.array([0, 2.5, 5, 10, 12.5, 15]))
    refused(tmp_path / "ct", "unevenly spaced (2.50 to 5.00 mm)")


def test_two_slices_at_one_position(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", positions=np.array([0, 2.5, 5, 5, 7.5, 10]))
    refused(tmp_path / "ct", "at one position")


def test_gantry_tilt(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", sideways=0.6)
    refused(tmp_path / "ct", "sideways by 0.60 mm", "tilt")


def test_rounded_positions_are_no_fault(tmp_path: Path) -> None:
    jitter = np.array([0, 0.02, -0.015, 0.01, -0.02, 0.015])
    write_series(tmp_path / "ct", positions=np.arange(6) * 2.5 + jitter)
    assert read_volume(tmp_path / "ct").GetSize() == (8, 9, 6)


def test_damaged_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    path = tmp_path / "ct" / "1.2.3-3.dcm"
    path.write_bytes(path.read_bytes()[:-60])
    refused(tmp_path / "ct")
