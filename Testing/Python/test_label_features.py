"""Segmentations as features: weights, shared channels, partial label sets, and what a search makes of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import textured
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.features.label_maps import (
    CHANNELS,
    coarse_presence,
    combined,
    label_weights,
    share_channels,
)
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.label_channels import LabelSets, label_channels
from VoxelOptRegistrationLib.options import Alignment, FeatureOptions, GridOptions, Settings
from VoxelOptRegistrationLib.pipeline import Inputs, register

IDENTITY = sitk.Transform(3, sitk.sitkIdentity)


def image_of(array: np.ndarray, spacing: float = 2.0) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing,) * 3)
    image.SetOrigin((-10.0, 20.0, 5.0))
    return image


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return np.linalg.norm(index - np.array(centre), axis=-1) < radius


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=117))
def test_weights_follow_the_power_of_the_size(counts: list[int]) -> None:
    weights = label_weights(torch.tensor(counts)).double().numpy()
    assert weights.mean() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(weights / weights[0], (np.array(counts) / counts[0]) ** -0.3, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(channels=st.integers(1, 12), labels=st.integers(1, 6), weight=st.floats(0.01, 5), seed=st.integers(0, 99))
def test_mean_difference_of_the_combination_is_the_sum_of_both_terms(
    channels: int, labels: int, weight: float, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand((2, channels, 4, 5, 6), generator=random)
    maps = torch.rand((2, labels, 4, 5, 6), generator=random)
    both = [combined(image, own, weight) for image, own in zip(images, maps, strict=True)]
    expected = (images[0] - images[1]).abs().mean(0) + weight * (maps[0] - maps[1]).abs().sum(0)
    torch.testing.assert_close((both[0] - both[1]).abs().mean(0), expected, rtol=1e-4, atol=1e-5)
    alone = [combined(None, own, weight) for own in maps]
    torch.testing.assert_close((alone[0] - alone[1]).abs().mean(0), weight * (maps[0] - maps[1]).abs().sum(0))


def test_cells_that_a_label_touches() -> None:
    labels = torch.zeros((50, 20, 30), dtype=torch.int16)
    labels[3:7, 4, 4], labels[49, 19, 29] = 1, 3
    presence = coarse_presence(labels, 3, cells=10)
    assert presence.shape == (3, 10, 4, 6)
    assert presence[0].nonzero().tolist() == [[0, 0, 0], [1, 0, 0]]
    assert not presence[1].any() and presence[2].nonzero().tolist() == [[9, 3, 5]]


@pytest.mark.parametrize("count", [1, CHANNELS])
def test_few_labels_have_a_channel_each(count: int) -> None:
    presence = torch.zeros((count, 4, 4, 4), dtype=torch.bool)
    assert share_channels(presence) == list(range(count))


def test_a_whole_body_of_labels_shares_channels_without_sharing_neighbourhoods() -> None:
    """117 blocks like a chess board of 3 x 3 x 13: a label and any that touches it have different channels."""
    blocks = np.arange(1, 118).reshape(13, 3, 3)
    labels = torch.from_numpy(np.kron(blocks, np.ones((4, 4, 4), int)))
    chosen = share_channels(coarse_presence(labels, 117, cells=52))
    assert set(chosen) == set(range(CHANNELS))
    channels = np.array(chosen)[blocks - 1]
    for offset in np.ndindex(2, 2, 2):
        if any(offset):
            here = channels[tuple(slice(0, n - o) for n, o in zip(channels.shape, offset, strict=True))]
            there = channels[tuple(slice(o, None) for o in offset)]
            assert (here != there).all()


def test_channels_hold_the_weighted_indicators() -> None:
    shape = (20, 22, 24)
    array = np.zeros(shape, np.int32)
    array[ball(shape, (8, 8, 8), 5)], array[ball(shape, (13, 15, 17), 3)] = 7, 70_000
    image = image_of(array)
    sets = LabelSets.of(image, image)
    fixed, moving = label_channels(image, image, sets, Grid.of(image), IDENTITY)
    weights = np.array([2 * np.count_nonzero(array == value) for value in (7, 70_000)]) ** -0.3
    weights /= weights.mean()
    expected = np.stack([(array == 7) * weights[0], (array == 70_000) * weights[1]])
    np.testing.assert_allclose(fixed, expected, atol=1e-5)
    np.testing.assert_allclose(moving, expected, atol=1e-5)


def test_moving_labels_are_sampled_through_the_alignment_and_softly() -> None:
    shape = (20, 22, 24)
    array = ball(shape, (10, 11, 12), 6).astype(np.uint8)
    image = image_of(array)
    half = sitk.TranslationTransform(3, (1.0, 0.0, 0.0))  # half a voxel along x
    fixed, moving = label_channels(image, image, LabelSets.of(image, image), Grid.of(image), half)
    expected = (array[..., :-1] + array[..., 1:].astype(float)) / 2
    np.testing.assert_allclose(moving[0][..., :-1], expected, atol=1e-5)
    assert set(np.unique(fixed).tolist()) == {0.0, 1.0}


def test_labels_of_one_volume_only_count_as_background() -> None:
    shape = (20, 22, 24)
    fixed_array, moving_array = np.zeros((2, *shape), np.uint8)
    fixed_array[ball(shape, (8, 8, 8), 5)] = moving_array[ball(shape, (9, 8, 8), 5)] = 3
    plain = image_of(fixed_array.copy()), image_of(moving_array.copy())
    fixed_array[15:, 15:, 15:], moving_array[15:, :4, :4] = 4, 5
    images = image_of(fixed_array), image_of(moving_array)
    sets = LabelSets.of(*images)
    assert (sets.common, sets.single, sets.channels) == ((3,), (4, 5), 1)
    grid = Grid.of(images[0])
    got = label_channels(*images, sets, grid, IDENTITY)
    expected = label_channels(*plain, LabelSets.of(*plain), grid, IDENTITY)
    for channel, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(channel, other, atol=1e-5)


def test_117_labels_take_no_more_channels_than_16() -> None:
    blocks = np.arange(1, 118, dtype=np.uint8).reshape(13, 3, 3)
    image = image_of(np.kron(blocks, np.ones((3, 5, 5), np.uint8)))
    sets = LabelSets.of(image, image)
    fixed, moving = label_channels(image, image, sets, Grid.of(image), IDENTITY)
    assert len(sets.common) == 117 and fixed.shape == moving.shape == (16, 39, 15, 15)
    # Every voxel lies in exactly one label, so exactly one channel holds its weight.
    assert ((fixed > 0).sum(axis=0) == 1).all()


SETTINGS = Settings(
    align=Alignment.NONE,
    refine="none",
    device="cpu",
    grid=GridOptions(max_voxels=40_000),
    features=FeatureOptions(name="labels"),
)
SHAPE = (28, 30, 32)


def empty() -> sitk.Image:
    """One bright corner voxel, because a constant volume is refused."""
    array = np.zeros(SHAPE, np.float32)
    array[0, 0, 0] = 1
    return image_of(array)


def shifted_organs(extra: bool = False) -> Inputs:
    """Two volumes that show nothing; only their labels tell that an organ has moved by three voxels."""
    fixed, moving = np.zeros((2, *SHAPE), np.uint8)
    fixed[ball(SHAPE, (14, 15, 14), 7)], moving[ball(SHAPE, (14, 15, 17), 7)] = 2, 2
    if extra:
        moving[2:26, 2:28, 26:30] = 9
    return Inputs(empty(), empty(), fixed_labels=image_of(fixed), moving_labels=image_of(moving))


def test_labels_alone_register_what_the_volumes_do_not_show() -> None:
    report = register(shifted_organs(), SETTINGS).report
    assert report["overlap"]["before"]["mean"] < 0.75
    assert report["overlap"]["after"]["mean"] > 0.9
    assert report["jacobian"]["folds"] == 0


def test_a_label_of_one_volume_only_changes_nothing() -> None:
    plain, extra = register(shifted_organs(), SETTINGS), register(shifted_organs(extra=True), SETTINGS)
    np.testing.assert_allclose(extra.displacement, plain.displacement, atol=1e-4)


def test_labels_given_for_measuring_only_measure() -> None:
    settings = dataclasses.replace(SETTINGS, features=FeatureOptions(name="mind"))
    texture = textured(1, SHAPE, 3)[0].numpy()
    inputs = dataclasses.replace(shifted_organs(), fixed=image_of(texture), moving=image_of(np.roll(texture, 1, 0)))
    without = dataclasses.replace(inputs, fixed_labels=None, moving_labels=None)
    np.testing.assert_array_equal(register(inputs, settings).displacement, register(without, settings).displacement)


def test_labels_add_to_what_local_structure_sees() -> None:
    """Local structure sees nothing here and moves nothing; with the labels the organ is found."""
    overlaps = {}
    for name in ("mind", "mind+labels"):
        report = register(shifted_organs(), dataclasses.replace(SETTINGS, features=FeatureOptions(name=name))).report
        overlaps[name] = report["overlap"]
    assert overlaps["mind"]["after"]["mean"] == overlaps["mind"]["before"]["mean"] < 0.75
    assert overlaps["mind+labels"]["after"]["mean"] > 0.9


@pytest.mark.parametrize("lacking", ["fixed", "moving", "common"])
def test_labels_that_cannot_be_compared_are_refused(lacking: str) -> None:
    inputs = shifted_organs()
    if lacking == "common":
        assert inputs.moving_labels is not None
        inputs = dataclasses.replace(inputs, moving_labels=inputs.moving_labels * 3)
    else:
        inputs = dataclasses.replace(inputs, **{f"{lacking}_labels": None})
    with pytest.raises(InputError, match="no label in common" if lacking == "common" else "need labels of both"):
        register(inputs, SETTINGS)
