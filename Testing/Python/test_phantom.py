"""The generated pair: its truth is exact, it shows an abdomen, and the same seed gives the same voxels."""

import time

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.inspection.landmarks import read_landmarks
from VoxelOptRegistrationLib.phantom import make_phantom, write_phantom

SMALL = (40, 44, 56)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(SMALL, seed=3)


def test_images_are_ct_like_on_different_grids(phantom):
    assert phantom.fixed.GetPixelID() == phantom.moving.GetPixelID() == sitk.sitkInt16
    assert phantom.fixed.GetSize() == SMALL[::-1]
    assert phantom.fixed.GetSpacing() != phantom.moving.GetSpacing()
    assert phantom.fixed.GetOrigin() != phantom.moving.GetOrigin()
    oblique = np.array(phantom.moving.GetDirection()).reshape(3, 3)
    assert np.abs(oblique - np.eye(3)).max() > 0.02
    np.testing.assert_allclose(oblique @ oblique.T, np.eye(3), atol=1e-12)
    for scan in (phantom.fixed, phantom.moving):
        voxels = sitk.GetArrayFromImage(scan)
        assert abs(np.median(voxels[:, :2]) + 1000) < 5
        assert voxels.max() > 400
        assert voxels[voxels < -980].std() < 10


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [("liver", 90, 140), ("left kidney", 120, 210), ("lungs", -900, -600), ("vertebrae", 150, 500)],
)
def test_organs_have_the_intensity_of_their_tissue(phantom, organ, low, high):
    value = {name: label for label, name in phantom.label_names.items()}[organ]
    for scan, labels in ((phantom.fixed, phantom.fixed_labels), (phantom.moving, phantom.moving_labels)):
        inside = sitk.GetArrayFromImage(scan)[sitk.GetArrayFromImage(labels) == value]
        assert low < np.median(inside) < high


def test_every_organ_is_in_both_scans_with_a_plausible_volume(phantom):
    for labels in (phantom.fixed_labels, phantom.moving_labels):
        counts = np.bincount(sitk.GetArrayFromImage(labels).ravel(), minlength=12)
        litres = counts * np.prod(labels.GetSpacing()) * 1e-6
        assert np.all(litres[1:] > 0.005)
        assert 0.8 < litres[1] < 2.0


def test_landmarks_correspond_exactly_and_stand_in_their_organs(phantom):
    numbers = {name: label for label, name in phantom.label_names.items()}
    for here, there in zip(phantom.fixed_landmarks.points, phantom.moving_landmarks.points, strict=True):
        np.testing.assert_allclose(phantom.transform.TransformPoint(here.tolist()), there, atol=1e-9)
    for landmarks, labels in (
        (phantom.fixed_landmarks, phantom.fixed_labels),
        (phantom.moving_landmarks, phantom.moving_labels),
    ):
        for point, region in zip(landmarks.points.tolist(), landmarks.regions, strict=True):
            assert labels[labels.TransformPhysicalPointToIndex(point)] == numbers[region], (region, point)


def test_true_transform_aligns_the_labels_and_the_scans(phantom):
    def agreement(transform):
        warped = sitk.Resample(phantom.moving_labels, phantom.fixed, transform, sitk.sitkNearestNeighbor)
        a, b = sitk.GetArrayFromImage(phantom.fixed_labels), sitk.GetArrayFromImage(warped)
        return np.mean([2 * np.sum((a == v) & (b == v)) / (np.sum(a == v) + np.sum(b == v)) for v in range(1, 12)])

    assert agreement(phantom.transform) > 0.85
    assert agreement(sitk.Transform(3, sitk.sitkIdentity)) < 0.55


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_true_transform_is_smooth_invertible_and_large(seed):
    phantom = make_phantom((24, 24, 24), seed=seed)
    grid = phantom.fixed
    field = sitk.TransformToDisplacementField(
        phantom.transform,
        sitk.sitkVectorFloat64,
        grid.GetSize(),
        grid.GetOrigin(),
        grid.GetSpacing(),
        grid.GetDirection(),
    )
    mm = sitk.GetArrayFromImage(field)
    voxels = mm / np.array(grid.GetSpacing())
    rows = [[np.gradient(voxels[..., c], axis=axis) for axis in (2, 1, 0)] for c in range(3)]
    determinant = np.linalg.det(np.moveaxis(np.array(rows), (0, 1), (-2, -1)) + np.eye(3))
    assert 0.5 < determinant.min() and determinant.max() < 1.8
    assert determinant.std() > 0.03
    assert np.linalg.norm(mm, axis=-1).max() > 15


def test_same_seed_same_voxels_other_seed_others():
    first, again, other = make_phantom((16, 16, 16)), make_phantom((16, 16, 16)), make_phantom((16, 16, 16), seed=1)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first.moving), sitk.GetArrayFromImage(again.moving))
    np.testing.assert_array_equal(first.fixed_landmarks.points, again.fixed_landmarks.points)
    assert np.any(sitk.GetArrayFromImage(first.fixed) != sitk.GetArrayFromImage(other.fixed))
    assert np.any(first.fixed_landmarks.points != other.fixed_landmarks.points)


def test_written_pair_reads_back(phantom, tmp_path):
    paths = write_phantom(phantom, tmp_path / "pair")
    moving = sitk.ReadImage(str(paths["moving"]))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moving), sitk.GetArrayFromImage(phantom.moving))
    transform = sitk.ReadTransform(str(paths["transform"]))
    fixed, there = read_landmarks(paths["fixed_landmarks"]), read_landmarks(paths["moving_landmarks"])
    assert fixed.regions == phantom.fixed_landmarks.regions
    for p, q in zip(fixed.points.tolist(), there.points, strict=True):
        np.testing.assert_allclose(transform.TransformPoint(p), q, atol=1e-5)


def test_spacing_is_taken_and_nonsense_refused():
    assert make_phantom((12, 12, 12), spacing=(20.0, 18.0, 16.0)).fixed.GetSpacing() == (20.0, 18.0, 16.0)
    with pytest.raises(InputError, match="size"):
        make_phantom((4, 32, 32))
    with pytest.raises(InputError, match="spacing"):
        make_phantom((16, 16, 16), spacing=(1.0, -1.0, 1.0))


def test_a_demonstration_pair_takes_seconds():
    start = time.perf_counter()
    make_phantom((64, 72, 96))
    assert time.perf_counter() - start < 20
