"""Compiled forces and composed steps against their torch twins."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from torch import Tensor
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.kernels import vectors
from VoxelOptRegistrationLib.kernels.runtime import SWITCH, compiles
from VoxelOptRegistrationLib.options import DescentOptions
from VoxelOptRegistrationLib.refinement.composed_steps import descend
from VoxelOptRegistrationLib.refinement.forces import CorrelationForce, FeatureForce
from VoxelOptRegistrationLib.refinement.local_correlation import LocalCorrelation

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")

SHAPE = (26, 27, 28)


def masks() -> tuple[Tensor, Tensor]:
    fixed, moving = torch.ones((2, *SHAPE), dtype=torch.bool)
    fixed[:4] = False
    moving[:, 10:14, 20:] = False
    return fixed, moving


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    radius=st.integers(1, 4),
    noise=st.sampled_from([1e-4, 0.05]),
    seed=st.integers(0, 2**16),
    shared=st.booleans(),
)
def test_local_correlation_is_its_twins(
    shape: tuple[int, int, int], radius: int, noise: float, seed: int, shared: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    fixed, moving = torch.randn((2, *shape), generator=generator)
    share = torch.rand(shape, generator=generator) if shared else None
    assert compiles(fixed, moving, share)
    fast, twin = (LocalCorrelation.of(image, radius, noise) for image in (fixed, fixed.double()))
    torch.testing.assert_close(fast.mean.double(), twin.mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(fast.variance.double(), twin.variance, atol=3e-6, rtol=1e-5)
    expected = twin.gradient(moving.double(), None if share is None else share.double())
    with patch.dict(os.environ, {SWITCH: "torch"}):
        plain = LocalCorrelation.of(fixed, radius, noise).gradient(moving, share).double()
    # Variances are differences of single precision: what that leaves of windows of few, almost equal values is judged
    # by the noise that they are compared with, and by plain torch.
    rounding = torch.finfo(torch.float32).eps / noise + 4.0 * float((plain - expected).abs().max())
    close = 1e-4 * float(expected.abs().max()) + 1e-6 + rounding
    torch.testing.assert_close(fast.gradient(moving, share).double(), expected, atol=close, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("make", ["correlation", "features"])
def test_forces_are_their_twins(make: str, masked: bool) -> None:
    trusts = masks() if masked else (None, None)
    maps, field = textured(4, SHAPE, 1), smooth_field(SHAPE, 2.0, 2)
    forces = []
    for dtype in (torch.float32, torch.float64):
        fixed, moving = maps[:2].to(dtype), maps[2:].to(dtype)
        if make == "correlation":
            force = CorrelationForce.of(fixed[0], moving[0], trusts, DescentOptions(radius=2))
        else:
            force = FeatureForce.of(fixed, moving, trusts)
        forces.append(force(field.to(dtype)).double())
    scale = float(forces[1].abs().max())
    torch.testing.assert_close(forces[0], forces[1], atol=1e-4 * scale, rtol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_steps_are_their_twins(momentum: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a whole descent, masks included, to a hundredth of a voxel in the mean; it goes twenty times as far."""
    moving = textured(1, SHAPE, 3)[0]
    truth = smooth_field(SHAPE, 2.5, 4)
    fixed = warp(moving[None], truth)[0]
    options = DescentOptions(radius=2, momentum=momentum, volume_damping=0.24)
    fields = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv(SWITCH, kernels)
        force = CorrelationForce.of(fixed, moving, masks(), options)
        fields.append(descend(torch.zeros(3, *SHAPE), force, 8, options))
    assert float(fields[1].norm(dim=0).mean()) > 0.2
    assert float((fields[0] - fields[1]).norm(dim=0).mean()) < 0.01


def test_the_longest_vector_with_and_without_momentum() -> None:
    update, speed = torch.randn((2, 3, 26, 27, 28), generator=torch.Generator().manual_seed(5))
    assert vectors.longest(update) == pytest.approx(float(update.norm(dim=0).max()), rel=1e-6)
    expected = 0.7 * speed + 0.2 * update
    length = vectors.go_on(speed, 0.7, update, 0.2)
    torch.testing.assert_close(speed, expected, atol=1e-6, rtol=0)
    assert length == pytest.approx(float(expected.norm(dim=0).max()), rel=1e-6)
