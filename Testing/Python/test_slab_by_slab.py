"""What is computed a few slices or values at a time, for the memory's sake, is what it would be in one go."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant
from VoxelOptRegistrationLib.images import displacement as displacement_module
from VoxelOptRegistrationLib.images.displacement import (
    add_affine_map,
    affine_map,
    displacement_transform,
    total_displacement,
    transforms_of_slabs,
    voxel_displacement,
)
from VoxelOptRegistrationLib.images.ends import values_at_ends
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.resampling import like, warp_image
from VoxelOptRegistrationLib.inspection import similarity as similarity_module
from VoxelOptRegistrationLib.inspection import statistics as statistics_module
from VoxelOptRegistrationLib.inspection.similarity import displaced_with_gaps, resample_with_gaps, similarity
from VoxelOptRegistrationLib.inspection.statistics import log_deviation
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.registration import Result

torch = pytest.importorskip("torch")
SIZE = (21, 18, 15)


@pytest.fixture
def moving() -> sitk.Image:
    values = np.random.default_rng(0).normal(100, 40, SIZE[::-1]).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-10.0, 20.0, 5.0))
    image.SetDirection(np.array(sitk.Euler3DTransform((0, 0, 0), 0.2, -0.3, 0.5).GetMatrix()).tolist())
    return image


@pytest.fixture
def field() -> np.ndarray:
    rough = np.random.default_rng(1).normal(0, 2.5, (*SIZE[::-1], 3))
    return rough.astype(np.float32)


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displacement_module, "_SLAB_POINTS", 2 * SIZE[0] * SIZE[1])
    monkeypatch.setattr(similarity_module, "_PART", 97)
    monkeypatch.setattr(statistics_module, "_PART", 97)
    monkeypatch.setenv("VOXELOPT_KERNELS", "torch")


def test_slabs_cover_the_grid_with_its_geometry(moving: sitk.Image, field: np.ndarray) -> None:
    grid = Grid.of(moving)
    parts = list(transforms_of_slabs(field, grid))
    assert [part.start for part, _, _ in parts] == list(range(0, SIZE[2], 2))
    for part, own, transform in parts:
        index = (4, 7, part.stop - 1)
        point = moving.TransformIndexToPhysicalPoint(index)
        assert own.to_reference_image().TransformPhysicalPointToIndex(point) == (4, 7, part.stop - 1 - part.start)
        moved = np.subtract(transform.TransformPoint(point), point)
        np.testing.assert_allclose(moved, field[index[::-1]], atol=1e-4)


@pytest.mark.parametrize("kind", [sitk.sitkFloat32, sitk.sitkInt16, sitk.sitkUInt8])
def test_a_volume_is_warped_as_by_the_whole_transform(moving: sitk.Image, field: np.ndarray, kind: int) -> None:
    volume = sitk.Cast(sitk.Clamp(moving, sitk.sitkFloat32, 0, 250), kind)
    grid = Grid.of(moving)
    whole = warp_image(volume, moving, displacement_transform(field, grid), default=7.0)
    slabs = like(volume, values_at_ends(volume, field, moving, 7.0))
    assert slabs.GetPixelID() == kind and Grid.of(slabs).same_as(grid)
    difference = sitk.GetArrayFromImage(slabs).astype(float) - sitk.GetArrayFromImage(whole)
    assert np.abs(difference).max() <= (1.0 if kind != sitk.sitkFloat32 else 1e-2)
    assert np.count_nonzero(np.abs(difference) > 1e-2) <= 0.001 * difference.size


def test_gaps_are_warped_as_by_the_whole_transform(moving: sitk.Image, field: np.ndarray) -> None:
    grid = Grid.of(moving)
    gappy = sitk.Clamp(moving, sitk.sitkFloat32, 60, 500)
    whole = resample_with_gaps(gappy, moving, displacement_transform(field, grid), 60.0)
    slabs = displaced_with_gaps(gappy, moving, field, 60.0)
    assert 0.05 < np.isnan(whole).mean() < 0.95
    np.testing.assert_allclose(slabs, whole, atol=1e-2)


def test_an_affine_map_is_added_in_place(moving: sitk.Image, field: np.ndarray) -> None:
    matrix = np.random.default_rng(2).normal(size=(4, 4))
    expected = field + affine_map(Grid.of(moving), matrix)
    add_affine_map(field, matrix)
    np.testing.assert_allclose(field, expected, atol=1e-4)


def test_single_precision_is_double_precision_rounded(moving: sitk.Image) -> None:
    grid = Grid.of(moving)
    work = grid.resized((8, 9, 10))
    found = np.random.default_rng(3).normal(0, 2, (3, 8, 9, 10)).astype(np.float32)
    alignment = sitk.AffineTransform(3)
    alignment.SetTranslation((30.0, -20.0, 10.0))
    alignment.Scale(1.1)
    double = total_displacement(found, work, grid, alignment)
    single = total_displacement(found, work, grid, alignment, np.float32)
    assert double.dtype == np.float64 and single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-5)


def test_jacobian_of_the_mapping_does_not_depend_on_slabs(moving: sitk.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    from VoxelOptRegistrationLib.fields import slabs
    from VoxelOptRegistrationLib.images.displacement import jacobian_map

    field = np.random.default_rng(4).normal(0, 1, (40, 6, 7, 3)).astype(np.float32)
    grid = Grid((40, 6, 7), Grid.of(moving).index_to_world)
    monkeypatch.setattr(slabs, "_SLAB_VOXELS", 1)
    whole = jacobian_determinant(torch.from_numpy(voxel_displacement(field, grid))).numpy()
    monkeypatch.setenv(SWITCH, "torch")
    np.testing.assert_allclose(jacobian_map(field, grid), whole, atol=1e-5)


def test_similarity_is_that_of_all_values_together() -> None:
    rng = np.random.default_rng(5)
    one = rng.normal(100, 30, 5000).astype(np.float32)
    other = (0.5 * one + rng.normal(0, 10, 5000)).astype(np.float32)
    found = similarity(one, other)
    assert found["ncc"] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-6)
    assert found["mad"] == pytest.approx(np.abs(one - other).mean(), rel=1e-5)
    edges = [np.linspace(*np.percentile(values, (0.5, 99.5)), 49) for values in (one, other)]
    inside = [np.clip(values, edge[0], edge[-1]) for values, edge in zip((one, other), edges, strict=True)]
    joint = np.histogram2d(*inside, bins=edges)[0] / one.size

    def entropy(p: np.ndarray) -> float:
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    expected = (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint)
    assert found["nmi"] == pytest.approx(expected, abs=1e-3)


def test_deviation_of_logarithms_is_that_of_all_values_together() -> None:
    values = np.random.default_rng(6).uniform(0.2, 3.0, 5000).astype(np.float32)
    assert log_deviation(values) == pytest.approx(np.log(values.astype(np.float64)).std(), rel=1e-5)


def test_a_result_hands_its_fields_over(moving: sitk.Image, field: np.ndarray) -> None:
    result = Result(field, field, np.ones(1, bool), moving, moving, moving, moving, {})
    assert result.hand_over("displacement") is field
    assert not hasattr(result, "displacement") and hasattr(result, "inverse_displacement")
