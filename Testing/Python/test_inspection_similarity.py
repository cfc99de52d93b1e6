"""Similarity before and after, the body, and inverse consistency."""

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.inspection.body import body_mask
from VoxelOptRegistrationLib.inspection.consistency import inverse_consistency
from VoxelOptRegistrationLib.inspection.similarity import (
    compare,
    normalised_mutual_information,
    resample_with_gaps,
    similarity,
)


def image(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    result = sitk.GetImageFromArray(array)
    result.SetSpacing(spacing)
    result.SetOrigin(origin)
    return result


def test_linear_relation_has_correlation_one_and_inversion_minus_one():
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    assert similarity(values, 3 * values + 7)["ncc"] == pytest.approx(1, abs=1e-6)
    assert similarity(values, -values)["ncc"] == pytest.approx(-1, abs=1e-6)
    assert similarity(values, values + 2)["mad"] == pytest.approx(2, abs=1e-5)
    assert similarity(values, np.ones_like(values))["ncc"] is None


def test_correlation_agrees_with_numpy():
    rng = np.random.default_rng(1)
    a = rng.normal(size=2000)
    b = a + rng.normal(size=2000)
    assert similarity(a, b)["ncc"] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_mutual_information_of_equal_and_of_independent_values():
    levels = np.tile(np.arange(16.0), 4000)
    assert normalised_mutual_information(levels, -levels) == pytest.approx(2)
    shuffled = np.random.default_rng(0).permutation(levels)
    assert normalised_mutual_information(levels, shuffled) == pytest.approx(1, abs=2e-3)
    assert normalised_mutual_information(np.ones(10), np.ones(10)) == 1


def test_gaps_are_what_lies_outside_or_touches_the_background():
    moving = np.full((6, 6, 6), 5, np.int16)
    moving[:, :, 0] = -2048
    reference = image(np.zeros((6, 6, 8), np.uint8), origin=(-1.0, 0.0, 0.0))
    found = resample_with_gaps(image(moving), reference, sitk.Transform(), background=-2048)
    assert np.isnan(found[:, :, :2]).all() and np.isnan(found[:, :, 7]).all()
    assert np.all(found[:, :, 2:7] == 5)
    halfway = resample_with_gaps(image(moving), reference, sitk.TranslationTransform(3, (0.5, 0.0, 0.0)), -2048)
    assert np.isnan(halfway[:, :, 1]).all() and np.all(halfway[:, :, 2:6] == 5)


def test_comparison_uses_the_same_voxels_before_and_after():
    rng = np.random.default_rng(2)
    fixed = rng.normal(size=(10, 10, 10)).astype(np.float32)
    before, after = rng.normal(size=fixed.shape).astype(np.float32), fixed.copy()
    before[:5] = np.nan
    after[:, :2] = np.nan
    found = compare(fixed, before, after)
    assert found["before"]["voxels"] == found["after"]["voxels"] == 5 * 8 * 10
    assert found["after"]["ncc"] == pytest.approx(1)
    assert abs(found["before"]["ncc"]) < 0.2
    assert (found["overlap_percent_before"], found["overlap_percent_after"]) == (50, 80)


def test_no_common_voxels_is_told_not_raised():
    nothing = np.full((4, 4, 4), np.nan, np.float32)
    found = compare(np.ones((4, 4, 4), np.float32), nothing, nothing)
    assert found["before"]["ncc"] is None and found["overlap_percent_after"] == 0


def test_body_is_the_patient_with_air_inside_but_not_around():
    z, y, x = np.mgrid[:20, :60, :60]
    inside = np.hypot(y - 30, x - 30) < 22
    ct = np.where(inside, 40, -1000)
    ct[np.hypot(y - 30, x - 30) < 8] = -900
    ct[:, 2:5, 2:5] = 300
    ct = ct + np.random.default_rng(0).normal(scale=8, size=ct.shape)
    found = body_mask(image(ct.astype(np.int16)))
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.97
    assert found[:, 30, 30].all()
    assert not found[:, 2:5, 2:5].any()


def test_body_of_a_cropped_scan_ignores_the_padding():
    ct = np.full((10, 30, 30), -2048, np.int16)
    ct[:, 5:25, 5:25] = -850
    ct[:, 8:22, 8:22] = 30
    found = body_mask(image(ct), background=-2048)
    assert found[:, 8:22, 8:22].all() and not found[:, :4].any()


def test_air_does_not_stand_out_from_a_padding_that_nobody_named():
    ct = np.full((10, 40, 40), -1000, np.int16)
    ct[:, :3] = -2048
    ct[:, 8:32, 8:32] = 30
    ct[:, 15:25, 15:25] = -850
    found = body_mask(image(ct))
    assert found[:, 8:32, 8:32].all() and found.mean() < 0.45


def test_translation_and_its_inverse_are_consistent():
    grid = Grid.of(image(np.zeros((12, 14, 16)), spacing=(2.0, 1.0, 3.0)))
    forward = np.tile([2.0, 1.0, -3.0], (12, 14, 16, 1))
    found = inverse_consistency(forward, grid, -forward, grid)
    assert found["max_mm"] < 1e-5 and found["points"] > 1000
    off = inverse_consistency(forward, grid, -forward + [0.6, 0.0, 0.9], grid)
    assert off["mean_mm"] == pytest.approx(np.hypot(0.6, 0.9), rel=1e-5)
    assert off["mean_voxels"] == pytest.approx(np.hypot(0.3, 0.3), rel=1e-5)


def test_sampling_every_few_voxels_measures_the_same_smooth_error():
    shape = (70, 80, 90)
    grid = Grid.of(image(np.zeros(shape, np.uint8), spacing=(1.5, 1.5, 2.0), origin=(-60.0, 5.0, 9.0)))
    x = np.linspace(-1, 1, shape[2])
    error = np.broadcast_to((0.4 * (1 + x))[None, None, :, None] * [1.0, 0, 0], (*shape, 3))
    found = inverse_consistency(np.zeros((*shape, 3)), grid, error, grid)
    assert found["points"] < 260_000
    assert found["mean_mm"] == pytest.approx(0.4, rel=0.03)


def test_points_sent_outside_or_to_invalid_places_do_not_count():
    grid = Grid.of(image(np.zeros((8, 8, 8))))
    valid = np.ones((8, 8, 8), bool)
    valid[:4] = False
    zero = np.zeros((8, 8, 8, 3))
    assert inverse_consistency(zero, grid, zero, grid, valid=valid)["points"] == 4 * 64
    assert inverse_consistency(zero + 100, grid, zero, grid) == {"points": 0}
    assert inverse_consistency(zero, grid, zero, grid, mask=np.zeros((8, 8, 8), bool)) == {"points": 0}


def test_an_inverse_is_as_it_was_after_it_was_measured():
    grid = Grid.of(image(np.zeros((8, 8, 8))))
    random = np.random.default_rng(0)
    inverse = random.normal(0, 0.1, (8, 8, 8, 3)).astype(np.float32)
    valid = random.random((8, 8, 8)) < 0.5
    before = inverse.copy()
    forward = np.zeros((8, 8, 8, 3), np.float32)
    found = inverse_consistency(forward, grid, inverse, grid, valid=valid)
    assert np.array_equal(inverse, before)
    inverse.flags.writeable = False
    assert found == inverse_consistency(forward, grid, inverse, grid, valid=valid)
    assert found["points"] == np.count_nonzero(valid)
    assert found["max_mm"] == pytest.approx(np.linalg.norm(before[valid], axis=-1).max(), rel=1e-5)
