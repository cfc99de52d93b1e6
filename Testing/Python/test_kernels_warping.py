"""Compiled warping against its torch twin, also where the field leads outside or is not a number."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.fields.sampling import gather_sample, identity_grid, warp
from VoxelOptRegistrationLib.kernels import warping
from VoxelOptRegistrationLib.kernels.runtime import SWITCH, compiles, kernels_in_use
from VoxelOptRegistrationLib.options import Border

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")


@pytest.mark.parametrize("border", list(Border))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), sides=st.tuples(*[st.integers(1, 9)] * 6), reach=st.sampled_from([0.3, 3.0, 50.0]))
def test_warping_is_its_twins(border: Border, seed: int, sides: tuple[int, ...], reach: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    volume = torch.rand(2, *sides[:3], generator=generator)
    displacement = torch.randn(3, *sides[3:], generator=generator) * reach
    points = identity_grid(sides[3:], dtype=torch.float64) + displacement
    expected = gather_sample(volume.double(), points, border)
    torch.testing.assert_close(warping.warp(volume, displacement, border).double(), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("border", list(Border))
def test_what_is_not_a_number_stays_inside_the_memory(border: Border) -> None:
    volume = torch.rand(1, 20, 20, 20)
    displacement = torch.full((3, 20, 20, 20), float("nan"))
    displacement[:, 10:] = float("inf")
    assert (warping.warp(volume, displacement, border).isfinite()).all()


def test_the_loops_serve_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, displacement = torch.rand(1, 30, 40, 50), torch.randn(3, 30, 40, 50)
    assert compiles(volume, displacement) and kernels_in_use().startswith("numba ")
    assert not compiles(volume.double()) and not compiles(volume.requires_grad_())
    fast = warp(volume.detach(), displacement)
    monkeypatch.setenv(SWITCH, "torch")
    assert not compiles(displacement) and kernels_in_use() == "torch"
    torch.testing.assert_close(warp(volume.detach(), displacement), fast, atol=2e-5, rtol=0)
