"""Statistics of Jacobian, entropy and displacement: closed forms and literal definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.inspection.statistics import (
    entropy_statistics,
    histogram,
    jacobian_statistics,
    length_statistics,
)


def test_identity_has_determinant_one_everywhere():
    found = jacobian_statistics(np.ones((9, 10, 11), np.float32))
    assert found["voxels"] == 5 * 6 * 7
    assert found["min"] == found["max"] == found["mean"] == found["p50"] == 1
    assert found["folds"] == 0 and found["folds_percent"] == 0 and found["sdlogj"] == 0


def test_two_values_have_a_known_deviation():
    values = np.where(np.arange(12)[None, None, :] % 2, 0.5, 2.0) * np.ones((12, 12, 12))
    found = jacobian_statistics(values)
    assert found["sdlogj"] == pytest.approx(np.log(2))
    assert found["sdlogj_l2r"] == pytest.approx(np.log(5 / 3.5) / 2)


def test_folds_count_inside_but_not_in_the_two_outer_voxels():
    values = np.ones((10, 10, 10))
    values[0, 5, 5] = values[5, 1, 5] = values[5, 5, 9] = -1.0
    assert jacobian_statistics(values)["folds"] == 0
    values[2, 5, 5], values[5, 5, 7] = -0.5, 0.0
    found = jacobian_statistics(values)
    assert found["folds"] == 2
    assert found["folds_percent"] == pytest.approx(100 * 2 / 6**3)


def test_a_thin_stack_keeps_its_slices_and_an_empty_mask_is_no_error():
    assert jacobian_statistics(np.ones((4, 10, 10)))["voxels"] == 4 * 6 * 6
    assert jacobian_statistics(np.ones((9, 9, 9)), np.zeros((9, 9, 9), bool)) == {"voxels": 0}
    assert entropy_statistics(np.ones((3, 3, 3)), np.zeros((3, 3, 3), bool)) == {"voxels": 0}
    assert length_statistics(np.ones((3, 3, 3)), np.zeros((3, 3, 3), bool)) == {"voxels": 0}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(5, 12)] * 3))
def test_statistics_agree_with_their_definitions_on_random_maps(seed, shape):
    rng = np.random.default_rng(seed)
    values = rng.normal(0.8, 0.6, size=shape)
    mask = rng.random(shape) < 0.5
    kept = [
        values[i] for i in np.ndindex(shape) if mask[i] and all(2 <= k < n - 2 for k, n in zip(i, shape, strict=True))
    ]
    found = jacobian_statistics(values, mask)
    if not kept:
        assert found == {"voxels": 0}
        return
    assert found["folds"] == sum(v <= 0 for v in kept)
    assert found["sdlogj"] == pytest.approx(np.std([np.log(min(max(v, 1e-9), 1e9)) for v in kept]))
    assert found["sdlogj_l2r"] == pytest.approx(np.std([np.log(max(v + 3, 1e-9)) for v in kept]))
    assert found["p50"] == pytest.approx(np.median(kept))


def test_entropy_share_above_the_threshold():
    entropy = np.array([[[0.0, 0.5, 0.95, 1.0]]], np.float32)
    found = entropy_statistics(entropy)
    assert found["high_percent"] == 50
    assert found["mean"] == pytest.approx(0.6125)


def test_lengths_in_millimetres():
    found = length_statistics(np.array([[[0.0, 1.0, 2.0, 9.0]]]))
    assert (found["mean_mm"], found["median_mm"], found["max_mm"]) == (3.0, 1.5, 9.0)


def test_histogram_counts_everything_once():
    values = np.array([-1.0, 0.0, 0.49, 0.5, 2.0, 2.5])
    found = histogram(values, 0.0, 2.0, bins=4)
    assert found["counts"] == [2, 1, 0, 1]
    assert (found["below"], found["above"]) == (1, 1)
