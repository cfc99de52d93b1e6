"""Feature extractors against a literal version and the invariances that they are chosen for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import shift, uniform_filter
from solver_images import textured
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.features.extractors import FEATURE_NAMES, make_extractor
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.options import FeatureOptions, VoxelOptOptions
from VoxelOptRegistrationLib.presets import load_preset
from VoxelOptRegistrationLib.solvers.voxelopt import solve


def literal_mind(image: np.ndarray, radius: int, dilation: int) -> np.ndarray:
    """The twelve channels in any order: pairs of axis neighbours whose squared distance is twice the dilation's."""
    neighbours = [np.array(n) * dilation for n in np.vstack([np.eye(3), -np.eye(3)])]
    distances = []
    for i, a in enumerate(neighbours):
        for b in neighbours[i + 1 :]:
            if np.sum((a - b) ** 2) == 2 * dilation**2:
                # Samples I(x + a): shifting by -a, nearest voxel outside.
                difference = shift(image, -a, order=0, mode="nearest") - shift(image, -b, order=0, mode="nearest")
                distances.append(uniform_filter(difference**2, 2 * radius + 1, mode="nearest"))
    m = np.stack(distances)
    m = m - m.min(axis=0)
    v = m.mean(axis=0)
    v = np.clip(v, 0.001 * v.mean(), 1000 * v.mean())
    return np.exp(-m / v)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(6, 12), st.integers(6, 12), st.integers(6, 12)),
    radius=st.integers(0, 2),
    dilation=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_mind_is_its_definition_up_to_the_order_of_channels(shape, radius, dilation, seed) -> None:
    image = textured(1, shape, seed)[0]
    ours = mind_ssc(image, radius, dilation).double().numpy()
    expected = literal_mind(image.double().numpy(), radius, dilation)
    assert ours.shape == expected.shape == (12, *shape)
    # The same values at every voxel, in whatever order; the twelve sums pin the channels as wholes.
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(expected, axis=0), atol=2e-3)
    np.testing.assert_allclose(np.sort(ours.sum((1, 2, 3))), np.sort(expected.sum((1, 2, 3))), rtol=1e-3)


@pytest.mark.parametrize(("gain", "offset"), [(3.0, -100.0), (-0.5, 7.0)])
def test_mind_ignores_gain_offset_and_the_sign_of_contrast(gain: float, offset: float) -> None:
    image = textured(1, (14, 15, 16), 3)[0]
    torch.testing.assert_close(mind_ssc(gain * image + offset, 1, 2), mind_ssc(image, 1, 2), atol=2e-3, rtol=0)


def test_mind_of_a_constant_image_is_one() -> None:
    assert torch.equal(mind_ssc(torch.full((8, 9, 10), 42.0)), torch.ones(12, 8, 9, 10))


def test_intensity_maps_its_window_to_zero_and_one() -> None:
    image = torch.tensor([-1000.0, -160.0, 40.0, 240.0, 3000.0]).expand(5, 5, 5)
    features = make_extractor(FeatureOptions(name="intensity", window=(-160.0, 240.0)))(image)
    torch.testing.assert_close(features[0, 0, 0], torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_intensity_without_a_window_leaves_untrusted_voxels_out() -> None:
    image = torch.rand(20, 20, 20, generator=torch.Generator().manual_seed(0))
    image[:5] = 1e6
    trust = torch.ones(20, 20, 20, dtype=torch.bool)
    trust[:5] = False
    features = make_extractor(FeatureOptions(name="intensity"))(image, trust)
    assert float(features[:, 5:].std()) == pytest.approx(float(image[5:].std()), rel=0.05)
    constant = make_extractor(FeatureOptions(name="intensity"))(torch.full((4, 4, 4), 3.0))
    assert bool(torch.isfinite(constant).all())


@pytest.mark.parametrize("name", ["mind", "intensity"])
def test_every_extractor_keeps_its_word(name: str) -> None:
    extractor = make_extractor(FeatureOptions(name=name, window=(0.0, 1.0)))
    assert extractor is not None and extractor.input is None
    features = extractor(textured(1, (9, 10, 11), 0)[0])
    assert features.shape == (extractor.channels, 9, 10, 11)
    assert features.dtype == torch.float32
    assert 0.0 <= float(features.min()) and float(features.max()) <= 1.0


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_names_say_whether_labels_are_compared(name: str) -> None:
    options = FeatureOptions(name=name)
    assert options.uses_labels == name.endswith("labels")
    assert options.image_features in ("mind", "intensity", "ct-unet", "network", "")
    assert (options.image_features == "") == (name == "labels")


@pytest.mark.parametrize(
    "wrong", [{"label_weight": 0}, {"cache": " "}, {"cache_gib": -1}, {"label_weight": float("nan")}, {"radius": 9}]
)
def test_options_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=f"features.{next(iter(wrong))}"):
        FeatureOptions(**wrong)


def test_unknown_features_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="'sift'.*mind, intensity"):
        make_extractor(FeatureOptions(name="sift"))


def test_noise_around_one_object_and_zeros_around_the_other_do_not_pull() -> None:
    """As of a brain cut out of one scan and not of the other: with the paper's floor the surroundings win."""
    shape = (40, 44, 48)
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 1, *(n // 3 for n in shape), generator=generator)
    texture = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0, 0] + 0.5
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = sum(a.square() for a in axes) < 0.45
    fixed = torch.where(inside, texture, 0.0)
    moving = torch.roll(fixed, 1, dims=2) + 0.01 * torch.randn(shape, generator=generator)
    truth = torch.tensor([0.0, 0.0, 1.0]).view(3, 1)

    def error(floor: float) -> float:
        maps = [mind_ssc(image, 0, 1, floor) for image in (fixed, moving)]
        found = solve(maps[0], maps[1], VoxelOptOptions()).displacement[:, inside]
        return float((found - truth).norm(dim=0).mean())

    assert error(load_preset("brain-mr").features.floor) < 0.3 < 0.6 < error(0.001)
