"""The compiled inversion and what lies where a field leads, against their twins and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from VoxelOptRegistrationLib.images.displacement import displacement_transform
from VoxelOptRegistrationLib.images.ends import field_at_ends, known_field_at_ends, values_at_ends
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.inversion import invert_displacement
from VoxelOptRegistrationLib.kernels.runtime import SWITCH

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    image = sitk.Image(shape[::-1], sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin((-7.0, 3.0, 11.0))
    image.SetDirection(np.ravel(sitk.VersorTransform((0.2, -0.5, 1.0), 0.7).GetMatrix()).tolist())
    return Grid.of(image)


GRID = oblique((22, 26, 30), (1.0, 1.2, 1.7))
WHERE = oblique((20, 24, 27), (1.1, 1.3, 1.9))


def bumpy(grid: Grid, seed: int, strength: float) -> np.ndarray:
    """A smooth random displacement of `strength` mm, LPS, standard deviation."""
    rough = gaussian_filter(np.random.default_rng(seed).normal(size=(3, *grid.size_zyx)), (0, 3, 3, 3))
    return np.moveaxis(strength * rough / rough.std(), 0, -1)


@pytest.mark.parametrize("stretch", [1.0, 1.6])
def test_the_inverse_is_its_twins(monkeypatch: pytest.MonkeyPatch, stretch: float) -> None:
    """Also on top of an affine map, whose slopes go on beyond the grid."""
    corner = GRID.index_to_world[:3, 3]
    z, y, x = np.indices(GRID.size_zyx)
    points = np.stack([x, y, z], axis=-1) @ GRID.index_to_world[:3, :3].T + corner
    total = bumpy(GRID, 5, 1.0) + (stretch - 1) * (points - corner)
    inverse, valid, distance = invert_displacement(total, GRID, WHERE)
    monkeypatch.setenv(SWITCH, "torch")
    expected, expected_valid, expected_distance = invert_displacement(total, GRID, WHERE)
    both = valid & expected_valid
    assert both.mean() > 0.3 and (valid != expected_valid).mean() < 0.01
    # Each is exact to the tolerance of the search, 0.03 voxel on the moving side.
    np.testing.assert_allclose(inverse[both], expected[both], atol=0.12)
    assert distance <= expected_distance + 0.01


def test_what_cannot_be_inverted_is_told_as_by_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that folds: where points have no way back, and elsewhere."""
    total = bumpy(GRID, 3, 4.0)
    _, valid, _ = invert_displacement(total, GRID, GRID)
    monkeypatch.setenv(SWITCH, "torch")
    _, expected, _ = invert_displacement(total, GRID, GRID)
    assert 0.2 < expected.mean() < 0.99
    assert valid.mean() > expected.mean() - 0.01


def test_what_is_not_a_number_stays_inside_the_memory() -> None:
    total = bumpy(GRID, 1, 1.0)
    total[5:8] = np.nan
    total[12, 3] = np.inf
    field = np.ones((*WHERE.size_zyx, 3), np.float32)
    assert np.isin(field_at_ends(total, GRID, field, WHERE), (0.0, 1.0)).all()


def test_a_field_where_another_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    total, field = bumpy(GRID, 1, 6.0), bumpy(WHERE, 2, 3.0).astype(np.float32)
    field[9:12, 4:9] = np.nan
    found = field_at_ends(total, GRID, field, WHERE)
    inside = known_field_at_ends(total, GRID, field, WHERE)
    monkeypatch.setenv(SWITCH, "torch")
    np.testing.assert_allclose(found, field_at_ends(total, GRID, field, WHERE), atol=1e-4)
    np.testing.assert_allclose(inside, known_field_at_ends(total, GRID, field, WHERE), atol=1e-4)
    assert 0.1 < np.isnan(inside).mean() < 0.9 and 0 < np.isnan(found).mean() < np.isnan(inside).mean()


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_an_image_where_a_field_leads(kind: type) -> None:
    """Against SimpleITK's resampling through the displacement as a transform."""
    values = (np.random.default_rng(0).normal(size=WHERE.size_zyx) * 300).astype(kind)
    image, reference = WHERE.place(sitk.GetImageFromArray(values)), GRID.to_reference_image()
    total = bumpy(GRID, 4, 6.0)
    found = sitk.GetArrayFromImage(values_at_ends(image, total, reference, -999.0))
    transform = displacement_transform(total, GRID)
    precise = sitk.Cast(image, sitk.sitkFloat64)
    expected = sitk.GetArrayFromImage(sitk.Resample(precise, reference, transform, sitk.sitkLinear, -999.0))
    assert 0.1 < (expected == -999).mean() < 0.9
    np.testing.assert_array_equal(found == -999, expected == -999)
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_images_that_float32_cannot_hold_stay_exact() -> None:
    values = np.arange(27, dtype=np.int32).reshape(3, 3, 3) + 2**30
    image = sitk.GetImageFromArray(values)
    found = values_at_ends(image, np.zeros((3, 3, 3, 3)), image, 0.0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), values)
