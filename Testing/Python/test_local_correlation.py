"""The local correlation and its derivative against their definition, window by window, through torch's autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import textured
from torch import Tensor
from VoxelOptRegistrationLib.refinement.local_correlation import (
    LocalCorrelation,
    spread_over_windows,
    window_mean,
)

NOISE = 0.05


def windows(shape: tuple[int, ...], radius: int) -> dict[tuple[int, ...], tuple[slice, ...]]:
    """What lies in the volume of the cube around every voxel."""
    voxels = torch.cartesian_prod(*[torch.arange(n) for n in shape]).tolist()
    return {tuple(v): tuple(slice(max(0, i - radius), i + radius + 1) for i in v) for v in voxels}


def literal_gradient(fixed: Tensor, moving: Tensor, radius: int, share: Tensor) -> Tensor:
    """Of the sum over windows of share * reliability * cov^2 / (var var), the reliability being what it is."""
    moving = moving.clone().requires_grad_()
    total = torch.zeros((), dtype=moving.dtype)
    for voxel, window in windows(fixed.shape, radius).items():
        f, m = fixed[window], moving[window]
        var_f, var_m = f.var(correction=0), m.var(correction=0)
        if min(float(var_f), float(var_m)) < 0.01 * NOISE:
            continue
        covariance = ((f - f.mean()) * (m - m.mean())).mean()
        reliability = (var_f / (var_f + NOISE) * var_m / (var_m + NOISE)).detach()
        total = total + share[voxel] * reliability * covariance.square() / (var_f * var_m)
    (gradient,) = torch.autograd.grad(total, moving)
    return gradient


@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    radius=st.integers(1, 3),
    seed=st.integers(0, 1000),
    shared=st.booleans(),
)
def test_gradient_is_autograds(shape: tuple[int, int, int], radius: int, seed: int, shared: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    fixed, moving = torch.randn((2, *shape), dtype=torch.float64, generator=generator)
    share = torch.rand(shape, dtype=torch.float64, generator=generator) if shared else None
    found = LocalCorrelation.of(fixed, radius, NOISE).gradient(moving, share)
    expected = literal_gradient(fixed, moving, radius, torch.ones_like(fixed) if share is None else share)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_a_window_without_share_does_not_count() -> None:
    fixed, moving = textured(2, (7, 7, 7), 1).double() * 4
    share = torch.zeros(7, 7, 7, dtype=torch.float64)
    share[3, 3, 3] = 1.0
    gradient = LocalCorrelation.of(fixed, 1, NOISE).gradient(moving, share)
    reached = gradient != 0
    assert bool(reached[2:5, 2:5, 2:5].any())
    reached[2:5, 2:5, 2:5] = False
    assert not bool(reached.any())


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.2, 3.0), (-1.0, 0.0), (-5.0, -7.0)])
def test_nothing_is_gained_where_images_correlate_fully(gain: float, offset: float) -> None:
    fixed = textured(1, (9, 8, 7), 2)[0].double() * 4
    gradient = LocalCorrelation.of(fixed, 2, NOISE).gradient(gain * fixed + offset)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-11, rtol=0)


def test_equal_images_gain_exactly_nothing_in_single_precision() -> None:
    fixed = textured(1, (9, 8, 7), 2)[0] * 4
    assert not bool(LocalCorrelation.of(fixed, 1, 1e-4).gradient(fixed.clone()).any())


@pytest.mark.parametrize("radius", [1, 2])
def test_uniform_places_give_nothing_and_nothing_infinite(radius: int) -> None:
    fixed, moving = textured(2, (12, 12, 12), 3) * 4
    fixed[:5] = 1.5
    moving[-5:] = -2.0
    gradient = LocalCorrelation.of(fixed, radius, 1e-4).gradient(moving)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[: 5 - 2 * radius].abs().max()) < 1e-3 * float(gradient.abs().max())
    assert float(gradient[-5 + 2 * radius :].abs().max()) < 1e-3 * float(gradient.abs().max())


@pytest.mark.parametrize(("shape", "radius"), [((5, 6, 7), 1), ((3, 9, 4), 2), ((1, 2, 8), 3)])
def test_window_means_and_their_transpose(shape: tuple[int, int, int], radius: int) -> None:
    first, second = torch.randn((2, 1, *shape), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    literal = torch.empty(shape, dtype=torch.float64)
    for voxel, window in windows(shape, radius).items():
        literal[voxel] = first[0][window].mean()
    torch.testing.assert_close(window_mean(first, radius)[0], literal)
    products = (window_mean(first, radius) * second).sum(), (first * spread_over_windows(second, radius)).sum()
    torch.testing.assert_close(*products)
