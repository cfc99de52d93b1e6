"""The byte floor against counts by hand."""

from __future__ import annotations

import pytest
from VoxelOptRegistrationLib.kernels.byte_floor import copy_bandwidth, descriptor_bytes, solve_bytes
from VoxelOptRegistrationLib.options import VoxelOptOptions

ONE_WAY = VoxelOptOptions(
    couplings=(0.1, 1.0),
    passes=2,
    prefilter_passes=1,
    squarings=3,
    subvoxel_rounds=0,
    inverse_consistency=False,
)


def test_one_level_by_hand() -> None:
    # 100 voxels, 5 channels of float32, 27 scores of float16.
    assert solve_bytes([(4, 5, 5)], 5, ONE_WAY, score_bytes=2) == {
        "scores": 100 * (20 + 20 + 54 + 4),  # both features, the scores, the entropy
        "prefilter": 100 * (4 + 4 + 54 + 54 + 4),  # entropy to weight; scores there and back, the weight
        "coupling": 100 * (54 + 12 + 2 * (54 + 12 + 12)),  # uncoupled, then twice with the smooth field
        "filter": 100 * 3 * 2 * (12 + 12 + 4),  # three fields, two passes each
        "exponential": 100 * 3 * (12 + 12),
        "subvoxel": 0,
        "folds": 100 * 12,  # looked for once
    }


def test_two_levels_by_hand() -> None:
    # 64 and 8 voxels, 2 channels of float16.
    found = solve_bytes([(4, 4, 4), (2, 2, 2)], 2, ONE_WAY, feature_bytes=2)
    assert found["pyramid"] == 2 * 4 * (64 + 8)
    assert found["warp"] == 64 * (4 + 12 + 4)  # not at the coarsest, where there is no field yet
    assert found["composition"] == 12 * 8 + 12 * 64 + 64 * 3 * 12  # field up, then two fields to one
    assert found["scores"] == (64 + 8) * (4 + 4 + 27 * 4 + 4)


def test_subvoxel_round_by_hand() -> None:
    options = VoxelOptOptions(couplings=(1.0,), passes=1, prefilter_passes=1, squarings=1, subvoxel_rounds=1)
    scores = 4 + 4 + 28 + 4 + (4 + 4) + (28 + 28 + 4)
    steps = (28 + 12 + 12) + (12 + 12 + 4)
    warp_and_join = (4 + 12 + 4) + 36
    found = solve_bytes([(1, 1, 1)], 1, options)
    assert found["subvoxel"] == 2 * (warp_and_join + scores + steps + 24)
    assert found["consistency"] == options.consistency_sweeps * 2 * 36 + 24 + 4  # round trip: two fields to one map


def test_mind_by_hand() -> None:
    assert descriptor_bytes(10) == 10 * (4 + 4 + 48)  # the image twice, twelve channels of float32


@pytest.mark.parametrize("factor", [2, 8])
def test_bytes_grow_with_the_voxels(factor: int) -> None:
    one, more = (solve_bytes([(8, 8, n), (4, 4, n)], 12, VoxelOptOptions()) for n in (8, 8 * factor))
    assert sum(more.values()) == factor * sum(one.values())


def test_copy_bandwidth_is_that_of_a_memory() -> None:
    assert 1e8 < copy_bandwidth("cpu", mebibytes=16, repeats=2) < 1e13
