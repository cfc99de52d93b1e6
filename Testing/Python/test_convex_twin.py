"""ConvexAdam, SAMConvex and the refinement with Adam against their literal twins, in double precision."""

from __future__ import annotations

import dataclasses

import literal_convex as literal
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.options import (
    AdamOptions,
    Border,
    Comparison,
    ConvexAdamOptions,
    Hyperprior,
    Regulariser,
    SAMConvexOptions,
    Unit,
)
from VoxelOptRegistrationLib.refinement.adam import adam_refine
from VoxelOptRegistrationLib.solvers import convexadam, samconvex
from VoxelOptRegistrationLib.solvers.driver import Level
from VoxelOptRegistrationLib.solvers.pyramid import plan_levels

SHAPE = (17, 20, 23)
SMALL = {"spacing": 3, "search_width": 2, "invertible": False}


def pair(channels: int, shape: tuple[int, int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Texture of a few voxels, of a contrast that holds against the coupling, moved by several voxels."""
    fine = textured(channels, tuple(n // 2 for n in shape), seed).double()
    moving = 8.0 * F.interpolate(fine[None], size=shape, mode="trilinear")[0] - 4.0
    return warp(moving, smooth_field(shape, 12.0, seed + 1).double()), moving


def assert_agree(ours: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(ours.numpy(), expected, atol=tolerance, rtol=0)
    assert np.abs(expected).max() > 0.25


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("shape", [(4, 6, 5), (2, 7, 3)])
def test_the_search_is_that_of_a_loop_over_cells(shape: tuple[int, int, int], border: Border) -> None:
    options = ConvexAdamOptions(search_width=1, couplings=(0.01, 0.3), border=border)
    fixed, moving = pair(3, shape, seed=4)
    ours = convexadam.discrete_step(Level(fixed, None), Level(moving, None), options)
    assert_agree(ours, literal.search_by_loop(fixed.numpy(), moving.numpy(), options))


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"inverse_consistency": False},
        {"inverse_consistency": False, "scaled_one_way": False},
        {"border": Border.ZERO},
        {"any_size": False},
        {"exact_consistency": False},
        {"consistency_sweeps": 3},
        {"score_passes": 1, "passes": 2},
        {"couplings": (0.05,)},
    ],
    ids=str,
)
def test_convexadam_with_each_switch(switch: dict) -> None:
    options = dataclasses.replace(ConvexAdamOptions(**SMALL), **switch)
    fixed, moving = pair(3, SHAPE, seed=7)
    ours = convexadam.solve(fixed, moving, options).displacement
    assert_agree(ours, literal.convexadam(fixed.numpy(), moving.numpy(), options))
    if switch:
        plain = convexadam.solve(fixed, moving, ConvexAdamOptions(**SMALL)).displacement
        assert not torch.equal(plain, ours)


@pytest.mark.parametrize("both_ways", [True, False])
def test_released_convexadam(both_ways: bool) -> None:
    options = dataclasses.replace(
        ConvexAdamOptions.released(), spacing=3, search_width=2, inverse_consistency=both_ways
    )
    fixed, moving = pair(2, SHAPE, seed=2)
    ours = convexadam.solve(fixed, moving, options).displacement
    assert_agree(ours, literal.convexadam(fixed.numpy(), moving.numpy(), options))


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"coupling_unit": Unit.VOXEL},
        {"box_pyramid": True},
        {"unit_features": False},
        {"border": Border.ZERO},
        {"spacing": 1},
        {"search_radii": (2,)},
        {"first_passes": 2, "passes": 1, "residual_passes": 0, "final_passes": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("released", [False, True])
def test_samconvex_with_each_switch(switch: dict, released: bool) -> None:
    base = SAMConvexOptions.released() if released else SAMConvexOptions()
    base = dataclasses.replace(base, search_radii=(1, 2), invertible=False)
    options = dataclasses.replace(base, **switch)
    fixed, moving = pair(3, SHAPE, seed=3)
    ours = samconvex.solve(fixed, moving, options).displacement
    sides = literal.cell_sides(SHAPE, options.spacing, True)
    cells = tuple(-(-n // s) for n, s in zip(SHAPE, sides, strict=True))
    plan = plan_levels(cells, options, 4)
    assert_agree(ours, literal.samconvex(fixed.numpy(), moving.numpy(), options, plan))
    if options != base:
        assert not torch.equal(samconvex.solve(fixed, moving, base).displacement, ours)


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"last_step": False},
        {"border": Border.ZERO},
        {"any_size": False},
        {"spacing": 1, "smoothing": 1},
        {"residual": True},
        {"smooth_field": False},
        {"final_box": 5},
        {"regulariser": Regulariser.BENDING},
        {"regulariser": Regulariser.SPATIALLY_VARYING},
        {"regulariser": Regulariser.SPATIALLY_VARYING, "hyperprior": Hyperprior.NORMAL},
        {"weight_unit": Unit.NORMALISED},
        {"comparison": Comparison.COSINE},
        {"learning_rate": 0.3, "epsilon": 1e-3, "weight": 4.0},
    ],
    ids=str,
)
def test_adam_with_each_switch(switch: dict) -> None:
    base = AdamOptions(steps=6, weight_rate=0.1, hyperprior_weight=0.01, invertible=False)
    options = dataclasses.replace(base, **switch)
    fixed, moving = pair(3, (13, 15, 18), seed=6)
    start = smooth_field((13, 15, 18), 3.0, 1).double()
    ours = adam_refine(start, fixed, moving, options)
    field, weights = literal.adam(start.numpy(), fixed.numpy(), moving.numpy(), options)
    assert_agree(ours.displacement, field, 1e-5)
    if options.regulariser is Regulariser.SPATIALLY_VARYING:
        assert ours.weights is not None
        sides = literal.cell_sides((13, 15, 18), options.spacing, True)
        expected = literal.stretch(weights[None], sides, (13, 15, 18), True)[0]
        np.testing.assert_allclose(ours.weights.numpy(), expected, atol=1e-5, rtol=0)
        assert expected.min() < 0.99
    else:
        assert ours.weights is None
    if switch:
        assert not torch.equal(adam_refine(start, fixed, moving, base).displacement, ours.displacement)


@pytest.mark.parametrize("options", [AdamOptions.released(), AdamOptions.samconvex()], ids=["convexadam", "samconvex"])
def test_released_refinements(options: AdamOptions) -> None:
    options = dataclasses.replace(options, steps=8)
    fixed, moving = pair(4, (12, 15, 17), seed=9)
    start = smooth_field((12, 15, 17), 3.0, 2).double()
    ours = adam_refine(start, fixed, moving, options).displacement
    assert_agree(ours, literal.adam(start.numpy(), fixed.numpy(), moving.numpy(), options)[0], 1e-5)
