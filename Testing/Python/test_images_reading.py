"""Whatever a user points at is either read right or refused in one clear line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.images.reading import read_labels, read_mask, read_transform, read_volume, validate_volume

RNG = np.random.default_rng(0)
VALUES = RNG.integers(-1000, 1000, (6, 7, 8)).astype(np.int16)
fuzz = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def volume(values: np.ndarray = VALUES) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-10, 20, 30))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    return image


def write(image: sitk.Image, path: Path) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def refused(path: Path, *words: str) -> str:
    """The one line with which `path` is refused; it names the file and says what to do."""
    with pytest.raises(InputError) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert caught.value.remedy
    for word in words:
        assert word in text
    return text


@pytest.mark.parametrize("name", ["v.nii.gz", "v.nii", "v.nrrd", "v.mha", "v.vtk"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_values_type_and_geometry_are_kept(tmp_path: Path, name: str, kind: type) -> None:
    image = volume(np.abs(VALUES % 200).astype(kind))
    if name == "v.vtk":
        image.SetDirection(np.eye(3).ravel().tolist())
    again = read_volume(write(image, tmp_path / name))
    assert again.GetPixelID() == image.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
    np.testing.assert_allclose(again.GetDirection(), image.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(again.GetOrigin(), image.GetOrigin(), atol=1e-4)


@pytest.mark.parametrize("name", ["v.nii.gz", "v.nrrd", "v.mha"])
def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path, name: str) -> None:
    image = sitk.JoinSeries([volume()])
    again = read_volume(write(image, tmp_path / name))
    assert again.GetSize() == (8, 7, 6)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(again), VALUES)
    np.testing.assert_allclose(again.GetDirection(), volume().GetDirection(), atol=1e-6)


def test_images_that_are_not_one_volume(tmp_path: Path) -> None:
    refused(tmp_path / "missing.nii.gz", "does not exist")
    refused(write(volume()[:, :, 2], tmp_path / "flat.nii.gz"), "2-dimensional")
    refused(write(sitk.Cast(volume()[:, :, 2], sitk.sitkUInt8), tmp_path / "flat.png"), "2-dimensional")
    refused(write(volume()[:, :, 2:3], tmp_path / "slice.nii.gz"), "single slice")
    refused(write(sitk.JoinSeries([volume(), volume()]), tmp_path / "4d.nii.gz"), "4-dimensional", "8 x 7 x 6 x 2")
    refused(write(sitk.Compose(volume(), volume()), tmp_path / "vector.nii.gz"), "2 values per voxel")
    colour = sitk.Compose(*[sitk.Cast(volume(), sitk.sitkUInt8)] * 3)
    refused(write(colour, tmp_path / "colour.nrrd"), "3 values per voxel")
    waves = sitk.RealAndImaginaryToComplex(sitk.Cast(volume(), sitk.sitkFloat32), sitk.Cast(volume(), sitk.sitkFloat32))
    refused(write(waves, tmp_path / "complex.nii.gz"), "complex")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path, bad: float) -> None:
    values = VALUES.astype(np.float32)
    values[1, 2, 3] = values[4, 5, 6] = bad
    refused(write(volume(values), tmp_path / "v.nii.gz"), "2 voxels", "NaN or infinite")


def test_constant_and_empty_volumes(tmp_path: Path) -> None:
    refused(write(volume(np.full_like(VALUES, -1024)), tmp_path / "v.nii.gz"), "-1024", "every voxel")
    with pytest.raises(InputError, match="empty"):
        validate_volume(sitk.Image([0, 5, 5], sitk.sitkInt16), "The fixed volume")


def test_axes_that_do_not_span_space() -> None:
    image = volume()
    image.SetOrigin((np.nan, 0, 0))
    with pytest.raises(InputError, match="span space"):
        validate_volume(image, "The fixed volume")


def test_oblique_axes_that_nifti_cannot_hold(tmp_path: Path) -> None:
    """A sheared sform, as some converters write it: ITK has no such images, and says so at length."""
    path = write(volume(), tmp_path / "v.nii")
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", 0, 1)
    rows = [[1, 0.4, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, 0]]
    data[280:328] = struct.pack("<12f", *np.ravel(rows))
    path.write_bytes(data)
    refused(path, "right angles")


@pytest.mark.parametrize("cut", [0, 1, 100, 300, 348, 360, 500])
def test_truncated_files(tmp_path: Path, cut: int) -> None:
    whole = write(volume(), tmp_path / "whole.nii").read_bytes()
    path = tmp_path / "cut.nii"
    path.write_bytes(whole[:cut])
    refused(path)
    packed = gzip.compress(whole)
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(packed[: cut * len(packed) // 1200])
    refused(path)


def test_header_that_promises_terabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = write(volume(), tmp_path / "v.nii")
    data = bytearray(path.read_bytes())
    data[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    path.write_bytes(data)
    refused(path, "truncated", "30000 x 30000 x 30000")


def whole_file(folder: Path, name: str) -> bytes:
    path = folder / f"whole-{name}"
    if not path.exists():
        write(volume(), path)
    return path.read_bytes()


@fuzz
@given(
    st.sampled_from(["v.nii.gz", "v.nii", "v.nrrd", "v.mha", "v.dcm", "v.png", "v.tif", "v", "v.txt", "v.h5"]),
    st.binary(max_size=600),
)
@example("v.nrrd", b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n")
@example("v.mha", b"NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n")
def test_random_bytes_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    refused(path)


@fuzz
@given(
    st.sampled_from(["v.nii", "v.nrrd", "v.mha"]),
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_damaged_headers_are_read_or_refused(
    tmp_path: Path, name: str, damage: list[tuple[int, int]], packed: bool
) -> None:
    data = bytearray(whole_file(tmp_path, name))
    for position, value in damage:
        data[position % len(data)] = value
    path = tmp_path / name
    if packed and name == "v.nii":
        path = tmp_path / "v.nii.gz"
        path.write_bytes(gzip.compress(bytes(data), 1))
    else:
        path.write_bytes(data)
    try:
        image = read_volume(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        values = sitk.GetArrayViewFromImage(image)
        assert image.GetDimension() == 3
        assert np.isfinite(values).all()
        assert np.isfinite([*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection()]).all()


@pytest.mark.parametrize("name", ["v.nrrd", "v.png.nii.gz", "v.dcm"])
def test_wrong_extension(tmp_path: Path, name: str) -> None:
    """The content of another format under this name is refused, or read right where ITK looks at the content."""
    path = tmp_path / name
    path.write_bytes(whole_file(tmp_path, "v.mha"))
    try:
        image = read_volume(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(image), VALUES)


def test_itk_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, data in (("a.nii.gz", b"x"), ("b.nii", bytes(400)), ("c.mha", b"NDims = 3\n"), ("d.dcm", bytes(300))):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name)
    with pytest.raises(InputError):
        read_transform(tmp_path / "a.nii.gz")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


# Masks and labels


def test_mask_is_zero_or_one_on_the_grid_of_its_volume(tmp_path: Path) -> None:
    values = np.where(VALUES > 0, 255, 0).astype(np.uint8)
    mask = read_mask(write(volume(values), tmp_path / "m.nii.gz"), volume(), "The fixed mask")
    assert mask.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(mask), VALUES > 0)
    assert mask.GetOrigin() == volume().GetOrigin()


def shifted(millimetres: float) -> sitk.Image:
    image = volume()
    image.SetOrigin((-10 + millimetres, 20, 30))
    return image


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (volume(VALUES[:5]), "8 x 7 x 5 voxels, its volume has 8 x 7 x 6"),
        (shifted(1.0), "1 mm away"),
        (volume(np.zeros_like(VALUES)), "empty"),
        (volume(-np.abs(VALUES)), "empty"),
        (volume(np.full(VALUES.shape, np.nan, np.float32)), "NaN"),
        (sitk.JoinSeries([volume(), volume()]), "4-dimensional"),
    ],
)
def test_mask_that_does_not_belong(tmp_path: Path, image: sitk.Image, words: str) -> None:
    path = write(image, tmp_path / "m.nii.gz")
    with pytest.raises(InputError) as caught:
        read_mask(path, volume(), "The moving mask")
    assert words in str(caught.value)
    assert str(caught.value).startswith("The moving mask")
    assert "\n" not in str(caught.value)


def test_mask_header_may_differ_by_rounding(tmp_path: Path) -> None:
    path = write(shifted(0.01), tmp_path / "m.nii.gz")
    assert read_mask(path, volume(), "The fixed mask").GetOrigin() == volume().GetOrigin()


def test_labels_keep_their_numbers_and_must_be_whole(tmp_path: Path) -> None:
    labels = np.abs(VALUES) % 5
    path = write(volume(labels.astype(np.float32)), tmp_path / "l.nii.gz")
    read = read_labels(path, volume(), "The fixed labels")
    assert "integer" in read.GetPixelIDTypeAsString()
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(read), labels)
    path = write(volume(labels + np.float32(0.5)), tmp_path / "h.nii.gz")
    with pytest.raises(InputError, match="whole numbers"):
        read_labels(path, volume(), "The fixed labels")
    path = write(volume(np.zeros_like(VALUES)), tmp_path / "e.nii.gz")
    with pytest.raises(InputError, match="empty"):
        read_labels(path, volume(), "The fixed labels")


# Transforms

POINT = (1.0, 2.0, 3.0)
TURN = sitk.Euler3DTransform((5, 6, 7), 0.1, -0.2, 0.3, (10, 20, 30))


@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".txt", ".mat", ".xfm"])
def test_linear_transforms(tmp_path: Path, suffix: str) -> None:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(TURN.GetMatrix())
    affine.SetTranslation(TURN.TransformPoint((0, 0, 0)))
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(affine, str(path))
    assert read_transform(path).TransformPoint(POINT) == pytest.approx(TURN.TransformPoint(POINT), abs=1e-4)


def field() -> sitk.Image:
    image = sitk.GetImageFromArray(RNG.normal(0, 2, (6, 7, 8, 3)), isVector=True)
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-10, 20, 30))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    return image


@pytest.mark.parametrize("name", ["f.nii.gz", "f.nii", "f.nrrd", "f.mha", "f.h5"])
def test_displacement_fields(tmp_path: Path, name: str) -> None:
    image = field()
    path = tmp_path / name
    if name == "f.h5":
        sitk.WriteTransform(sitk.DisplacementFieldTransform(sitk.Image(image)), str(path))
    else:
        write(image, path)
    transform = read_transform(path)
    point = image.TransformIndexToPhysicalPoint((3, 4, 2))
    expected = np.array(point) + image[3, 4, 2]
    np.testing.assert_allclose(transform.TransformPoint(point), expected, atol=1e-4)


def test_nifti_displacements_of_intent_1006_are_turned_from_ras(tmp_path: Path) -> None:
    image = field()
    data = bytearray(write(image, tmp_path / "f.nii").read_bytes())
    data[68:70] = struct.pack("<h", 1006)
    (tmp_path / "f.nii").write_bytes(data)
    point = image.TransformIndexToPhysicalPoint((3, 4, 2))
    expected = np.array(point) + np.array(image[3, 4, 2]) * [-1, -1, 1]
    np.testing.assert_allclose(read_transform(tmp_path / "f.nii").TransformPoint(point), expected, atol=1e-4)


def test_composite_transforms_are_read_whole(tmp_path: Path) -> None:
    both = sitk.CompositeTransform(3)
    both.AddTransform(TURN)
    both.AddTransform(sitk.TranslationTransform(3, (1, 2, 3)))
    sitk.WriteTransform(both, str(tmp_path / "t.h5"))
    expected = TURN.TransformPoint((2.0, 4.0, 6.0))
    assert read_transform(tmp_path / "t.h5").TransformPoint(POINT) == pytest.approx(expected)


def test_transforms_that_cannot_be_used(tmp_path: Path) -> None:
    flat = sitk.AffineTransform(3)
    flat.SetMatrix((1, 0, 0, 0, 1, 0, 0, 0, 0))
    sitk.WriteTransform(flat, str(tmp_path / "flat.tfm"))
    sitk.WriteTransform(sitk.AffineTransform(2), str(tmp_path / "2d.tfm"))
    lost = field()
    lost[1, 1, 1] = (np.nan, 0, 0)
    write(lost, tmp_path / "nan.nrrd")
    write(lost, tmp_path / "nan.nii.gz")
    write(volume(), tmp_path / "volume.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes(write(field(), tmp_path / "whole.nii.gz").read_bytes()[:-2000])
    sitk.WriteTransform(TURN, str(tmp_path / "whole.tfm"))
    (tmp_path / "cut.tfm").write_bytes((tmp_path / "whole.tfm").read_bytes()[:110])
    for name, words in (
        ("missing.h5", "does not exist"),
        ("flat.tfm", "cannot be inverted"),
        ("2d.tfm", "2-dimensional"),
        ("nan.nrrd", "NaN"),
        ("nan.nii.gz", "NaN"),
        ("cut.nii.gz", "truncated"),
        ("cut.tfm", "truncated"),
        ("volume.nii.gz", "3 axes and 1 values"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read_transform(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@fuzz
@given(
    st.sampled_from(["t.h5", "t.tfm", "t.txt", "t.mat", "t.xfm", "t.nii.gz", "t.nrrd", "t", "t.csv"]),
    st.binary(max_size=300),
)
@example("t.tfm", b"#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1 0\n")
@example(
    "t.tfm", b"#Insight Transform File V1.0\nTransform: NoSuchTransform_double_3_3\nParameters: 1\nFixedParameters: 1\n"
)
def test_random_bytes_are_no_transform(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_transform(path)
    assert "\n" not in str(caught.value)
