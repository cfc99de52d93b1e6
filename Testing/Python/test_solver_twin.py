"""The fast solver against its literal twin, on random inputs, sizes, channels and options."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.benchmark import literal_voxelopt as literal
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.options import Border, EntropyScale, Smoothing, Ties, VoxelOptOptions
from VoxelOptRegistrationLib.solvers.candidates import candidate_displacements
from VoxelOptRegistrationLib.solvers.coupling import best_displacement
from VoxelOptRegistrationLib.solvers.pyramid import plan_levels
from VoxelOptRegistrationLib.solvers.voxelopt import solve

ONE_WAY = {"inverse_consistency": False, "invertible": False, "squarings": 6}


def pair(channels: int, shape: tuple[int, int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    moving = textured(channels, shape, seed)
    return warp(moving, smooth_field(shape, 6.0, seed + 1)), moving


def assert_agree(fixed: torch.Tensor, moving: torch.Tensor, options: VoxelOptOptions) -> None:
    """In double precision, where near-ties do not flip; single precision is held to the released outputs."""
    fixed, moving = fixed.double(), moving.double()
    plan = plan_levels(tuple(fixed.shape[1:]), options)
    expected = literal.solve_one_way(fixed, moving, options, plan)
    ours = solve(fixed, moving, options).displacement
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    assert float(expected.abs().max()) > 0.25


sides = st.integers(8, 22)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(sides, sides, sides),
    channels=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    smoothing=st.sampled_from([Smoothing.ADAPTIVE, Smoothing.ISOTROPIC]),
    border=st.sampled_from(list(Border)),
    radius=st.sampled_from([1, 1, 1, 2]),
    passes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_default_mode(shape, channels, seed, smoothing, border, radius, passes) -> None:
    options = VoxelOptOptions(
        smoothing=smoothing,
        border=border,
        search_radius=radius,
        passes=passes[0],
        prefilter_passes=passes[1],
        **ONE_WAY,
    )
    assert_agree(*pair(channels, shape, seed), options)


@pytest.mark.parametrize("smoothing", [Smoothing.ADAPTIVE, Smoothing.RELEASED])
@pytest.mark.parametrize(("shape", "levels"), [((16, 32, 48), 4), ((24, 16, 40), 3), ((32, 32, 32), 5)])
@pytest.mark.parametrize("channels", [1, 8])
def test_paper_mode(smoothing: Smoothing, shape: tuple[int, int, int], levels: int, channels: int) -> None:
    options = dataclasses.replace(VoxelOptOptions.paper(smoothing), levels=levels)
    assert_agree(*pair(channels, shape, seed=channels), options)


@pytest.mark.parametrize(
    "switch",
    [
        {"ties": Ties.SUM},
        {"entropy_scale": EntropyScale.VOLUME},
        {"border": Border.ZERO},
        {"low_pass": False},
        {"low_pass": False, "exact_scale": False},
        {"squarings": 3},
        {"subvoxel_rounds": 0},
        {"subvoxel_rounds": 3},
        {"couplings": (0.1,)},
        {"sharpness": 60.0, "sigma_low": 0.3, "sigma_high": 0.9},
    ],
    ids=lambda switch: "-".join(switch),
)
def test_each_switch(switch: dict) -> None:
    options = dataclasses.replace(VoxelOptOptions(**ONE_WAY), **switch)
    fixed, moving = pair(3, (16, 24, 32), seed=5)
    assert_agree(fixed, moving, options)
    plain = solve(fixed, moving, VoxelOptOptions(**ONE_WAY)).displacement
    changed = solve(fixed, moving, options).displacement
    if switch != {"ties": Ties.SUM}:
        assert not torch.equal(plain, changed)


@pytest.mark.parametrize("coupling", [0.0, 0.2])
def test_tied_candidates(coupling: float) -> None:
    """All nine candidates one voxel up score alike: the shortest wins, or all are summed as in the release."""
    offsets = candidate_displacements(1)
    scores = torch.where(offsets[:, 0] == 1, 1.0, 0.0)[:, None, None, None].expand(27, 2, 3, 4).contiguous()
    smooth = torch.zeros(3, 2, 3, 4)
    chosen = best_displacement(scores, offsets, Ties.CENTRE, smooth, coupling)
    expected = torch.tensor([1.0, 0.0, 0.0])[:, None, None, None].expand(3, 2, 3, 4)
    assert torch.equal(chosen, expected)
    summed = best_displacement(scores, offsets, Ties.SUM, smooth, coupling)
    lone = coupling > 0
    assert torch.equal(summed, expected if lone else 9 * expected)
