"""Gaussians against scipy's; the damping of volume changes against its first order, and what it leaves alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth, gaussian_weights
from VoxelOptRegistrationLib.fields.volume_damping import damp_volume_changes

sides = st.integers(1, 10)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(sides, sides, sides), sigma=st.floats(1e-300, 4.0, allow_subnormal=False))
def test_smoothing_is_scipys(shape: tuple[int, int, int], sigma: float) -> None:
    volume = torch.randn((2, *shape), dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))
    radius = max(1, math.ceil(2.8 * sigma))
    # Below a hundredth of a voxel nothing is left of the neighbours, and scipy divides by sigma squared.
    scipys = max(sigma, 0.01)
    expected = [gaussian_filter(c, scipys, mode="nearest", radius=radius) for c in volume.numpy()]
    np.testing.assert_allclose(gaussian_smooth(volume, sigma).numpy(), np.stack(expected), atol=1e-12)


def test_no_smoothing_is_none() -> None:
    volume = textured(2, (4, 5, 6), 0)
    assert gaussian_smooth(volume, 0.0) is volume
    assert damp_volume_changes(volume, 0.0) is volume


@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.7])
def test_weights_are_normalised_and_nearly_as_wide_as_asked(sigma: float) -> None:
    weights = gaussian_weights(sigma)
    assert weights[0] + 2 * sum(weights[1:]) == pytest.approx(1.0)
    variance = 2 * sum(weight * i * i for i, weight in enumerate(weights))
    if sigma >= 1.0:
        assert variance == pytest.approx(sigma**2, rel=0.05)


def test_damping_leaves_shifts_and_shear_exactly_alone() -> None:
    shift = torch.tensor([0.3, -1.7, 2.1])[:, None, None, None].expand(3, 6, 7, 8).contiguous()
    sliding = torch.zeros(3, 8, 8, 8)
    sliding[0] = 2.0 * (torch.arange(8.0) > 3)  # two halves past each other
    bent = torch.zeros(3, 8, 8, 8)
    bent[2] = torch.randn(8, 8, 1, generator=torch.Generator().manual_seed(0))
    for field in (shift, sliding, bent):
        assert torch.equal(damp_volume_changes(field, 0.3), field)


def test_damping_leaves_an_even_expansion_alone() -> None:
    field = 0.1 * torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in (6, 7, 8)], indexing="ij")).double()
    torch.testing.assert_close(damp_volume_changes(field, 0.3), field, atol=1e-12, rtol=0)


def test_small_changes_of_volume_diffuse() -> None:
    """To first order the field moves along the gradient of its divergence, here numpy's."""
    small = 1e-5
    field = small * torch.randn(3, 7, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    divergence = sum(np.gradient(field[a].numpy(), axis=a) for a in range(3))
    expected = field.numpy() + 0.2 * np.stack(np.gradient(divergence))
    np.testing.assert_allclose(damp_volume_changes(field, 0.2).numpy(), expected, atol=20 * small**2)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), amplitude=st.floats(0.5, 3.0), rate=st.floats(0.05, 0.3))
def test_damping_evens_out_changes_of_volume(seed: int, amplitude: float, rate: float) -> None:
    field = smooth_field((16, 14, 18), amplitude, seed)
    before, after = (jacobian_determinant(u) for u in (field, damp_volume_changes(field, rate)))
    assert float(before.min()) > 0.1
    assert float(after.log().std()) < float(before.log().std())


@pytest.mark.parametrize("steepest", [0.7, 0.95, 1.2])
def test_damping_opens_what_is_about_to_fold(steepest: float) -> None:
    """One steep place: the map is squeezed by `steepest` there, folded where that is above 1."""
    field = torch.zeros(3, 24, 8, 8)
    z = torch.arange(24.0)
    field[0] = (-2 * steepest * torch.tanh((z - 11.5) / 2))[:, None, None]
    smallest = [float(jacobian_determinant(field).min())]
    for _ in range(3):
        field = damp_volume_changes(field, 0.3)
        smallest.append(float(jacobian_determinant(field).min()))
    assert smallest == sorted(smallest)
    assert smallest[-1] > smallest[0] + 0.03
