"""Volumes and masks on other grids: what they hold, where they are valid, and how they are warped."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from images_strategies import affine_maps, apply, geometries, voxel_centres
from scipy import ndimage
from scipy.special import ive
from VoxelOptRegistrationLib.images.displacement import displacement_transform
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.low_pass import discrete_gaussian
from VoxelOptRegistrationLib.images.resampling import fill_invalid, sample_mask, sample_volume, warp_image
from VoxelOptRegistrationLib.images.transforms import affine_transform

IDENTITY = sitk.Transform(3, sitk.sitkIdentity)
quick = settings(deadline=None, max_examples=25)


def with_values(image: sitk.Image, values: np.ndarray) -> sitk.Image:
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


@quick
@given(geometries(shear=True), geometries(shear=True), affine_maps(strength=0.2), st.integers(0, 1000))
def test_sampling_agrees_with_scipy(image: sitk.Image, target: sitk.Image, mapping: np.ndarray, seed: int) -> None:
    """Linear values and field of view against scipy's interpolation at indices computed here."""
    values = np.random.default_rng(seed).normal(size=image.GetSize()[::-1]).astype(np.float32)
    image = with_values(image, values)
    middle = voxel_centres(image).reshape(-1, 3).mean(axis=0)
    centres = voxel_centres(target)
    mapping[:3, 3] = middle - mapping[:3, :3] @ centres.reshape(-1, 3).mean(axis=0)
    index = apply(Grid.of(image).world_to_index, apply(mapping, centres))
    sampled, valid = sample_volume(image, Grid.of(target), affine_transform(mapping), anti_alias=False)
    expected = ndimage.map_coordinates(values, np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="nearest")
    size = np.array(image.GetSize())
    surely = ((index > -0.499) & (index < size - 0.501)).all(axis=-1)
    surely_not = ((index < -0.501) | (index > size - 0.499)).any(axis=-1)
    assert valid[surely].all()
    assert not valid[surely_not].any()
    np.testing.assert_allclose(sampled[surely], expected[surely], atol=2e-5)
    assert sampled.dtype == np.float32
    # Outside, something that occurs in the image: no wall.
    assert sampled.min() >= values.min() - 1e-5
    assert sampled.max() <= values.max() + 1e-5


@quick
@given(geometries(shear=True), affine_maps(strength=0.2), st.sampled_from([0.2, 0.5, 0.9, 0.999, 1.001, 1.2]))
def test_the_field_of_view_ends_half_a_voxel_beyond_the_centres(
    image: sitk.Image, mapping: np.ndarray, extent: float
) -> None:
    """Of points that fill `extent` of the field of view along its axes, wherever the transform takes them from."""
    size = np.array(image.GetSize())
    middle, spread = (size - 1) / 2, extent * size / (size - 1)
    place = np.diag([*spread, 1.0])
    place[:3, 3] = middle - spread * middle
    matrix = np.linalg.inv(mapping) @ Grid.of(image).index_to_world @ place
    grid = Grid(Grid.of(image).size_zyx, matrix)
    z, y, x = np.indices(grid.size_zyx)
    expected = (np.abs((np.stack([x, y, z], -1) - middle) * spread) < size / 2).all(axis=-1)
    _, valid = sample_volume(image, grid, affine_transform(mapping))
    np.testing.assert_array_equal(valid, expected)
    assert valid.all() == (extent < 1)


def test_voxels_that_stay_where_they_are_keep_their_values() -> None:
    values = np.random.default_rng(1).normal(size=(6, 7, 8)).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetOrigin((3.0, -4.0, 5.0))
    sampled, valid = sample_volume(image, Grid.of(image))
    np.testing.assert_array_equal(sampled, values)
    assert valid.all()
    sampled[:] = 0
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values)


def test_outside_continues_the_edge() -> None:
    image = with_values(sitk.Image([10, 10, 10], sitk.sitkFloat32), np.full((10, 10, 10), -1000.0, np.float32))
    wide = Grid((20, 20, 20), np.eye(4))
    sampled, valid = sample_volume(image, wide)
    assert (sampled == -1000).all()
    assert valid.sum() == 1000


@quick
@given(st.integers(0, 1000), st.sampled_from([1.0, 1.7, 3.0]))
def test_background_never_leaks(seed: int, coarsening: float) -> None:
    """Values of no data change nothing that is called valid, and nothing at all but through their position."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1000, 1000, (18, 20, 22)).astype(np.float32)
    hole = ndimage.gaussian_filter(rng.normal(size=values.shape), 2) > 0.05
    size = tuple(int(n / coarsening) for n in values.shape)
    results = []
    for padding in (-2048.0, -30000.0):
        image = sitk.GetImageFromArray(np.where(hole, padding, values).astype(np.float32))
        grid = Grid.of(image).resized((size[0], size[1], size[2]))
        results.append(sample_volume(image, grid, background=-2000.0))
    (one, valid), (other, same) = results
    np.testing.assert_array_equal(valid, same)
    np.testing.assert_allclose(one, other, atol=1e-3)
    assert one.min() >= -1000.01
    assert valid.any()
    assert not valid.all()


def test_background_touching_the_interpolation_is_invalid() -> None:
    values = np.zeros((10, 10, 10), np.float32)
    values[:, :, :5] = -2048
    image = sitk.GetImageFromArray(values)
    half = np.eye(4)
    half[0, 3] = 0.5
    _, valid = sample_volume(image, Grid((10, 10, 10), half), background=-2048.0)
    # The last voxel lies on the very edge of the field of view, where either answer is right.
    np.testing.assert_array_equal(valid[5, 5, :9], [False] * 5 + [True] * 4)


def test_low_pass_before_coarsening_removes_what_the_grid_cannot_hold() -> None:
    """A checkerboard of single voxels averages out instead of aliasing; a broad wave stays."""
    z, y, x = np.indices((48, 48, 48))
    fine = sitk.GetImageFromArray(((x + y + z) % 2).astype(np.float32))
    grid = Grid.of(fine).resized((14, 14, 14))
    smooth, _ = sample_volume(fine, grid)
    aliased, _ = sample_volume(fine, grid, anti_alias=False)
    assert np.abs(smooth - 0.5)[1:-1, 1:-1, 1:-1].max() < 0.03
    assert np.abs(aliased - 0.5).max() > 0.3
    wave = np.sin(2 * np.pi * x / 48).astype(np.float32)
    kept, _ = sample_volume(sitk.GetImageFromArray(wave), grid)
    expected = np.sin(2 * np.pi * apply(grid.index_to_world, np.stack([np.arange(14.0)] * 3, -1))[:, 0] / 48)
    np.testing.assert_allclose(kept[7, 7, 1:-1], expected[1:-1], atol=0.05)


@quick
@given(
    size=st.tuples(*[st.integers(1, 20)] * 3),
    variances=st.lists(st.one_of(st.just(0.0), st.floats(0.001, 30.0)), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
def test_gaussians_are_itks(size: tuple[int, int, int], variances: list[float], seed: int) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=size).astype(np.float32))
    image.SetSpacing((0.7, 1.5, 3.0))
    image.SetOrigin((3.0, -4.0, 5.0))
    expected = sitk.DiscreteGaussian(image, variances, 32, 0.01, useImageSpacing=False)
    found = discrete_gaussian(image, variances)
    assert Grid.of(found).same_as(Grid.of(image))
    np.testing.assert_allclose(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected), atol=2e-6)


@pytest.mark.parametrize("variance", [0.2, 3.0, 60.0, 800.0])
def test_gaussians_are_those_of_diffusion(variance: float) -> None:
    """Also where ITK's own Bessel functions are not exact any more."""
    impulse = np.zeros((1, 1, 81), np.float32)
    impulse[0, 0, 40] = 1
    found = sitk.GetArrayFromImage(discrete_gaussian(sitk.GetImageFromArray(impulse), [variance, 0.0, 0.0]))[0, 0]
    weights = ive(np.abs(np.arange(-40, 41)), variance) * (found > 0)
    assert np.count_nonzero(found) == 65 or weights.sum() >= 0.99
    np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-6)


def test_low_pass_does_not_shift() -> None:
    """The mean position of a bright blob stays where it is for every coarsening."""
    z, y, x = np.indices((40, 40, 40))
    blob = np.exp(-((x - 17.0) ** 2 + (y - 22.0) ** 2 + (z - 19.0) ** 2) / 18).astype(np.float32)
    image = sitk.GetImageFromArray(blob)
    for n in (40, 27, 20, 13, 9):
        grid = Grid.of(image).resized((n, n, n))
        sampled, _ = sample_volume(image, grid)
        centres = voxel_centres(grid.to_reference_image())
        mean = (centres * sampled[..., None]).reshape(-1, 3).sum(0) / sampled.sum()
        np.testing.assert_allclose(mean, (17, 22, 19), atol=0.15)


def test_fill_keeps_valid_voxels_and_stays_within_their_range() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 14, 11)).astype(np.float32)
    valid = np.zeros(values.shape, bool)
    valid[3:6, 2:9, 4:7] = True
    values[~valid] = 1e6
    filled = fill_invalid(values, valid)
    np.testing.assert_array_equal(filled[valid], values[valid])
    assert filled.min() >= values[valid].min()
    assert filled.max() <= values[valid].max()
    assert (fill_invalid(values, np.zeros_like(valid)) == 0).all()


@pytest.mark.parametrize("shape", [(1, 9, 2), (2, 2, 1), (12, 3, 6)])
def test_fill_of_thin_volumes(shape: tuple[int, int, int]) -> None:
    """Halving reaches sides of one voxel while others still have more."""
    values, valid = np.ones(shape, np.float32), np.zeros(shape, bool)
    values.flat[0], valid.flat[0] = 7.0, True
    np.testing.assert_array_equal(fill_invalid(values, valid), np.full(shape, 7.0))


@quick
@given(geometries(), st.integers(0, 1000))
def test_mask_is_nearest_neighbour_and_false_outside(image: sitk.Image, seed: int) -> None:
    values = (np.random.default_rng(seed).random(image.GetSize()[::-1]) > 0.5).astype(np.uint8)
    mask = with_values(image, values)
    grid = Grid.of(image)
    np.testing.assert_array_equal(sample_mask(mask, grid), values > 0)
    away = grid.index_to_world.copy()
    away[:3, 3] += 1e4
    assert not sample_mask(mask, Grid(grid.size_zyx, away)).any()


@quick
@given(geometries(shear=True, far=100), affine_maps(strength=0.1, shift=2))
def test_warped_is_moving_at_the_transformed_point(fixed: sitk.Image, mapping: np.ndarray) -> None:
    """fixed(x) = moving(T(x)): a moving volume whose values are linear in space gives their closed form."""
    centres = voxel_centres(fixed)
    middle = centres.reshape(-1, 3).mean(axis=0)
    mapping[:3, 3] += middle - mapping[:3, :3] @ middle
    mapped = apply(mapping, centres)
    low, high = mapped.reshape(-1, 3).min(axis=0) - 5, mapped.reshape(-1, 3).max(axis=0) + 5
    moving = Grid((12, 10, 11), np.diag([*((high - low) / [10, 9, 11]), 1.0]))
    moving.index_to_world[:3, 3] = low
    points = voxel_centres(moving.to_reference_image())
    weights = np.array([0.3, -0.7, 0.5])
    image = moving.place(sitk.GetImageFromArray(points @ weights))
    transform = displacement_transform(mapped - centres, Grid.of(fixed))
    warped = warp_image(image, fixed, transform, default=0.0)
    np.testing.assert_allclose(sitk.GetArrayFromImage(warped), mapped @ weights, atol=1e-6)


@pytest.mark.parametrize(
    "kind", [sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkInt32, sitk.sitkUInt64, sitk.sitkInt64, sitk.sitkFloat32]
)
def test_warped_keeps_the_pixel_type_rounds_and_clamps(kind: int) -> None:
    ramp = sitk.Cast(sitk.GetImageFromArray(np.tile(np.arange(0, 60, 6.0), (10, 10, 1))), kind)
    half = sitk.TranslationTransform(3, (0.4, 0.0, 0.0))
    warped = warp_image(ramp, ramp, half, default=-5.0)
    row = sitk.GetArrayFromImage(warped)[5, 5]
    assert warped.GetPixelID() == kind
    exact = np.arange(0, 60, 6.0) + 2.4
    expected = exact if kind == sitk.sitkFloat32 else np.rint(exact)
    np.testing.assert_allclose(row[:9], expected[:9], rtol=1e-6)
    away = warp_image(ramp, ramp, sitk.TranslationTransform(3, (100.0, 0.0, 0.0)), default=-5.0)
    unsigned = kind in (sitk.sitkUInt8, sitk.sitkUInt64)
    assert (sitk.GetArrayFromImage(away) == (0 if unsigned else -5)).all()


def test_warped_keeps_extreme_values_of_the_type() -> None:
    for kind, array in ((sitk.sitkInt16, np.int16), (sitk.sitkUInt64, np.uint64), (sitk.sitkInt64, np.int64)):
        limits = np.iinfo(array)
        values = np.full((4, 4, 4), limits.max, array)
        values[0] = limits.min
        image = sitk.Cast(sitk.GetImageFromArray(values), kind)
        warped = sitk.GetArrayFromImage(warp_image(image, image, IDENTITY, default=0.0))
        assert warped.dtype == array
        np.testing.assert_allclose(warped.astype(float), values.astype(float), rtol=1e-12)
