"""What users may rely on in ConvexAdam, SAMConvex and the refinement: sizes, exact zeros, masks, truth, refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from torch import Tensor
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.fields.algebra import compose
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.options import (
    AdamOptions,
    Comparison,
    ConvexAdamOptions,
    Hyperprior,
    Regulariser,
    SAMConvexOptions,
)
from VoxelOptRegistrationLib.refinement.adam import adam_refine
from VoxelOptRegistrationLib.solvers import convexadam, samconvex
from VoxelOptRegistrationLib.solvers.cells import displacement_of_voxels
from VoxelOptRegistrationLib.solvers.solution import Evidence, Matched

CONVEXADAM = ConvexAdamOptions(spacing=4, search_width=3)
FINER = ConvexAdamOptions(spacing=2, search_width=3)
SAMCONVEX = SAMConvexOptions(search_radii=(2, 2))


def solve_convexadam(fixed: Tensor, moving: Tensor, **more: object) -> Matched:
    return convexadam.solve(fixed, moving, CONVEXADAM, **more)


def solve_samconvex(fixed: Tensor, moving: Tensor, **more: object) -> Matched:
    return samconvex.solve(fixed, moving, SAMCONVEX, **more)


def refine_nothing(fixed: Tensor, moving: Tensor, **more: object) -> Matched:
    start = torch.zeros(3, *fixed.shape[1:])
    found = adam_refine(start, fixed, moving, AdamOptions(steps=10), **more).displacement
    return Matched(found, None, lambda _: Evidence(start[0], start[0]))


SOLVERS = pytest.mark.parametrize("solve", [solve_convexadam, solve_samconvex])
ALL = pytest.mark.parametrize("solve", [solve_convexadam, solve_samconvex, refine_nothing])
Solve = Callable[..., Matched]
sides = st.integers(8, 21)


def blurred(shape: tuple[int, int, int], seed: int) -> Tensor:
    """Texture of some voxels, which cell means keep."""
    coarse = textured(1, tuple(-(-n // 3) for n in shape), seed)
    return F.interpolate(coarse[None], size=shape, mode="trilinear")[0]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shape=st.tuples(sides, sides, sides), seed=st.integers(0, 1000))
@ALL
def test_any_size_gives_a_finite_field_without_folds(solve: Solve, shape, seed) -> None:
    solution = solve(textured(2, shape, seed), textured(2, shape, seed + 1))
    assert solution.displacement.shape == (3, *shape) and solution.evidence.entropy.shape == shape
    assert bool(torch.isfinite(solution.displacement).all())
    assert float(jacobian_determinant(solution.displacement).min()) > 0
    assert 0.0 <= float(solution.evidence.entropy.min()) <= float(solution.evidence.entropy.max()) <= 1.0


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 25, 22)])
@ALL
def test_identical_features_give_exactly_zero(solve: Solve, shape) -> None:
    for features in (textured(3, shape, 1), torch.zeros(3, *shape), torch.full((3, *shape), 7.5)):
        assert torch.equal(solve(features, features.clone()).displacement, torch.zeros(3, *shape))


@SOLVERS
def test_constant_features_of_other_values_give_exactly_zero(solve: Solve) -> None:
    constant = solve(torch.ones(2, 9, 14, 12), torch.full((2, 9, 14, 12), 2.0))
    assert torch.equal(constant.displacement, torch.zeros(3, 9, 14, 12))
    torch.testing.assert_close(constant.evidence.entropy, torch.ones(9, 14, 12))


@pytest.mark.parametrize(
    "options",
    [
        AdamOptions(steps=5, regulariser=Regulariser.BENDING),
        AdamOptions(steps=5, regulariser=Regulariser.SPATIALLY_VARYING),
        AdamOptions(steps=5, comparison=Comparison.COSINE),
        AdamOptions.released(),
        AdamOptions.samconvex(),
    ],
    ids=["bending", "spatially-varying", "cosine", "convexadam", "samconvex"],
)
def test_what_matches_exactly_is_left_exactly_there(options: AdamOptions) -> None:
    features = mind_ssc(textured(1, (14, 19, 16), 2)[0], 1, 1)
    start = torch.zeros(3, 14, 19, 16)
    assert torch.equal(adam_refine(start, features, features.clone(), options).displacement, start)


@pytest.mark.parametrize(("solve", "options"), [(convexadam.solve, FINER), (samconvex.solve, SAMCONVEX)])
def test_a_known_deformation_is_found_and_refined(solve: Solve, options: object) -> None:
    shape = (32, 36, 40)
    moving, truth = blurred(shape, 3), smooth_field(shape, 7.0, 4)
    fixed = warp(moving, truth)
    features = mind_ssc(fixed[0], 1, 2), mind_ssc(moving[0], 1, 2)
    found = solve(*features, options).displacement
    refined = adam_refine(found, *features, AdamOptions(steps=40)).displacement
    inner = (slice(5, -5),) * 3
    before, rough, fine = (float((u - truth).norm(dim=0)[inner].mean()) for u in (0 * truth, found, refined))
    assert before > 1.0
    assert rough < 0.5 * before
    assert fine < 0.75 * rough


def test_a_shift_of_whole_cells_is_found_where_it_is() -> None:
    """Cells stand in their places: a shift comes back in voxels on grids that the cells do not divide too."""
    shape = (27, 30, 33)
    moving = 4.0 * blurred((40, 40, 48), 7)
    shift = (4, -4, 8)
    at = [slice(6 + s, 6 + s + n) for s, n in zip(shift, shape, strict=True)]
    here = [slice(6, 6 + n) for n in shape]
    fixed, moving = moving[(slice(None), *at)], moving[(slice(None), *here)]
    found = convexadam.solve(fixed, moving, dataclasses.replace(CONVEXADAM, inverse_consistency=False)).displacement
    middle = found[:, 11:16, 13:17, 11:16].mean(dim=(1, 2, 3))
    torch.testing.assert_close(middle, torch.tensor([4.0, -4.0, 8.0]), atol=0.5, rtol=0)


@pytest.mark.parametrize("shape", [(16, 24, 20), (17, 22, 9)])
def test_a_ramp_of_cells_is_the_ramp_of_voxels(shape: tuple[int, int, int]) -> None:
    """Values proportional to where cells stand come back proportional to where voxels stand, between their centres."""
    cell_shape = [-(-n // 4) for n in shape]
    centres = [4.0 * torch.arange(n) + 1.5 for n in cell_shape]
    ramp = torch.stack(torch.meshgrid(*centres, indexing="ij")) / 4.0
    fine = displacement_of_voxels(ramp, (4, 4, 4), shape, any_size=True)
    voxels = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))
    inner = (slice(None), *(slice(2, 4 * (n - 1) + 1) for n in cell_shape))
    torch.testing.assert_close(fine[inner], voxels[inner], atol=1e-4, rtol=0)


def test_both_directions_agree() -> None:
    shape = (22, 26, 27)
    image = blurred(shape, 8)
    fixed, moving = (mind_ssc(v[0], 1, 2) for v in (warp(image, smooth_field(shape, 6.0, 9)), image))
    solution = convexadam.solve(fixed, moving, dataclasses.replace(FINER, invertible=False))
    assert solution.backward is not None
    assert float(solution.displacement.norm(dim=0).mean()) > 0.5
    gap = compose(solution.backward, solution.displacement).norm(dim=0)
    assert float(gap[4:-4, 4:-4, 4:-4].mean()) < 0.1
    alone = convexadam.solve(fixed, moving, dataclasses.replace(FINER, inverse_consistency=False))
    assert alone.backward is None and alone.displacement.shape == (3, *shape)


def test_one_way_as_released_keeps_the_numbers_of_cells() -> None:
    fixed, moving = (4 * blurred((24, 24, 24), seed) for seed in (1, 2))
    one_way = dataclasses.replace(CONVEXADAM, inverse_consistency=False, invertible=False)
    ours = convexadam.solve(fixed, moving, one_way).displacement
    quirk = convexadam.solve(fixed, moving, dataclasses.replace(one_way, scaled_one_way=False)).displacement
    assert float(ours.abs().max()) > 1
    torch.testing.assert_close(4 * quirk, ours)


@ALL
def test_untrusted_voxels_do_not_attract(solve: Solve) -> None:
    """A block that only moving has, and that is marked as not to be trusted, moves nothing."""
    shape = (24, 32, 32)
    image = torch.cat([blurred(shape, 2), blurred(shape, 3)]) * 2
    spoilt = image.clone()
    spoilt[0, 8:16, 10:20, 10:20], spoilt[1, 8:16, 10:20, 10:20] = 5.0, -5.0
    trust = torch.ones(shape, dtype=torch.bool)
    trust[7:17, 9:21, 9:21] = False
    careless = float(solve(image, spoilt).displacement.abs().max())
    assert careless > 0.25
    for careful in (solve(image, spoilt, moving_trust=trust), solve(spoilt, image, fixed_trust=trust)):
        assert float(careful.displacement.abs().max()) < 0.25 * careless


@ALL
def test_what_cannot_be_trusted_has_no_say_at_all(solve: Solve) -> None:
    shape = (16, 20, 24)
    fixed, moving = textured(2, shape, 1), textured(2, shape, 2)
    trust = torch.ones(shape, dtype=torch.bool)
    trust[4:9, 3:12, 5:20] = False
    other = torch.where(trust, moving, 100.0)
    first, second = (solve(fixed, m, moving_trust=trust).displacement for m in (moving, other))
    assert float(first.abs().max()) > 0.1
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


@ALL
def test_nothing_trusted_gives_the_identity(solve: Solve) -> None:
    nothing = torch.zeros((16, 16, 16), dtype=torch.bool)
    fixed, moving = textured(2, (16, 16, 16), 1), textured(2, (16, 16, 16), 2)
    assert float(solve(fixed, moving, fixed_trust=nothing).displacement.abs().max()) == 0.0


@pytest.mark.parametrize("hyperprior", list(Hyperprior))
def test_local_weights_fall_where_two_sides_slide(hyperprior: Hyperprior) -> None:
    """The halves of a block move opposite ways: the field is held less stiffly along the plane between them."""
    shape = (24, 32, 32)
    moving = 4 * blurred(shape, 5)
    truth = torch.zeros(3, *shape)
    truth[2, :12], truth[2, 12:] = 2.5, -2.5
    fixed = warp(moving, truth)
    options = AdamOptions(
        steps=60,
        weight=4.0,
        weight_rate=0.05,
        regulariser=Regulariser.SPATIALLY_VARYING,
        hyperprior=hyperprior,
        hyperprior_weight=0.05,
    )
    refined = adam_refine(torch.zeros_like(truth), fixed, moving, options)
    assert refined.weights is not None and refined.weights.shape == shape
    assert 0 < float(refined.weights.min()) and float(refined.weights.max()) <= 1.0 + 1e-5
    inner = refined.weights[:, 6:-6, 6:-6].mean(dim=(1, 2))
    assert float(inner[10:14].mean()) < 0.8 * float(inner[[3, 4, 5, 18, 19, 20]].mean())
    stiff = adam_refine(torch.zeros_like(truth), fixed, moving, dataclasses.replace(options, weight_rate=1e-9))
    errors = [float((r.displacement - truth)[2, 8:16, 6:-6, 6:-6].abs().mean()) for r in (refined, stiff)]
    assert errors[0] < errors[1]


def test_more_weight_gives_a_smoother_field() -> None:
    fixed, moving = textured(3, (20, 20, 20), 1), textured(3, (20, 20, 20), 2)
    for regulariser in (Regulariser.DIFFUSION, Regulariser.BENDING):
        rough, smooth = (
            adam_refine(
                torch.zeros(3, 20, 20, 20), fixed, moving, AdamOptions(steps=30, weight=weight, regulariser=regulariser)
            ).displacement
            for weight in (0.1, 100.0)
        )
        assert float(smooth.diff(dim=1).square().mean()) < 0.5 * float(rough.diff(dim=1).square().mean())


def test_thin_stacks_are_registered_along_all_axes() -> None:
    shape = (9, 48, 48)
    moving = blurred(shape, 3)
    truth = torch.tensor([0.0, 6.0, -5.0])[:, None, None, None].expand(3, *shape)
    fixed = warp(moving, truth)
    features = mind_ssc(fixed[0], 1, 1), mind_ssc(moving[0], 1, 1)
    found = adam_refine(solve_convexadam(*features).displacement, *features, AdamOptions(steps=40)).displacement
    assert float((found - truth).norm(dim=0)[:, 12:-12, 12:-12].mean()) < 0.5


@ALL
def test_progress_counts_up_to_one_and_previews_lie_on_the_voxels(solve: Solve) -> None:
    told = []
    shape = (18, 22, 25)
    solve(textured(2, shape, 1), textured(2, shape, 2), report=lambda *step: told.append(step))
    fractions = [fraction for fraction, _, _ in told]
    assert len(told) >= 2 and fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    previews = [preview() for _, _, preview in told if preview is not None]
    assert previews and all(preview.shape == (3, *shape) for preview in previews)
    assert float(previews[-1].abs().max()) > 0


@ALL
def test_a_checkpoint_that_raises_ends_the_computation(solve: Solve) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        solve(textured(2, (16, 16, 16), 1), textured(2, (16, 16, 16), 2), checkpoint=stop)


@ALL
@pytest.mark.parametrize("side", [1, 7])
def test_too_small_a_grid_is_refused(solve: Solve, side: int) -> None:
    features = torch.rand(2, 16, side, 16)
    with pytest.raises(InputError, match=r"\(16, \d, 16\).*at least 8"):
        solve(features, features)


def test_directions_of_one_channel_are_refused_with_the_remedy() -> None:
    features = torch.rand(1, 16, 16, 16)
    with pytest.raises(InputError, match="one channel.*--features mind"):
        samconvex.solve(features, features, SAMCONVEX)
    assert samconvex.solve(features, features, dataclasses.replace(SAMCONVEX, unit_features=False)).backward is None


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ConvexAdamOptions, {"spacing": 0}),
        (ConvexAdamOptions, {"search_width": 11}),
        (ConvexAdamOptions, {"couplings": ()}),
        (ConvexAdamOptions, {"consistency_sweeps": 0}),
        (ConvexAdamOptions, {"passes": -1}),
        (ConvexAdamOptions, {"map_sharpness": 0.0}),
        (SAMConvexOptions, {"search_radii": ()}),
        (SAMConvexOptions, {"search_radii": (2, 0)}),
        (SAMConvexOptions, {"couplings": (float("nan"),)}),
        (SAMConvexOptions, {"final_passes": 21}),
        (AdamOptions, {"steps": 0}),
        (AdamOptions, {"learning_rate": 0.0}),
        (AdamOptions, {"weight": -1.0}),
        (AdamOptions, {"hyperprior_weight": float("inf")}),
        (AdamOptions, {"final_box": 4}),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_by_name(kind: type, wrong: dict) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=rf"\w+\.{name} cannot be"):
        kind(**wrong)
