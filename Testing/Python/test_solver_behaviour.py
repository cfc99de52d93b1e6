"""What users may rely on: any size, exact zeros, known deformations found, no folds, both directions in agreement."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.fields.algebra import compose
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.options import Border, Smoothing, Ties, VoxelOptOptions
from VoxelOptRegistrationLib.solvers.driver import known_level, warped_level
from VoxelOptRegistrationLib.solvers.pyramid import coarse_shape, downsample, plan_levels, upsample_displacement
from VoxelOptRegistrationLib.solvers.voxelopt import BACKWARD, solve

sides = st.integers(8, 30)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shape=st.tuples(sides, sides, sides), seed=st.integers(0, 1000))
def test_any_size_gives_a_finite_field_without_folds(shape, seed) -> None:
    solution = solve(textured(2, shape, seed), textured(2, shape, seed + 1), VoxelOptOptions())
    assert solution.displacement.shape == (3, *shape)
    assert bool(torch.isfinite(solution.displacement).all())
    assert float(jacobian_determinant(solution.displacement).min()) > 0
    assert 0.0 <= float(solution.evidence.entropy.min()) <= float(solution.evidence.entropy.max()) <= 1.0


@pytest.mark.parametrize("side", [1, 7])
def test_too_small_a_grid_is_refused(side: int) -> None:
    features = torch.rand(1, 16, side, 16)
    with pytest.raises(InputError, match=r"\(16, \d, 16\).*at least 8"):
        solve(features, features, VoxelOptOptions())


def test_the_released_pyramid_refuses_odd_sizes_with_the_remedy() -> None:
    features = torch.rand(1, 33, 48, 48)
    with pytest.raises(InputError, match=r"\(33, 48, 48\).*divisible by 16"):
        solve(features, features, VoxelOptOptions.paper())


@pytest.mark.parametrize("shape", [(8, 8, 8), (27, 40, 33), (9, 30, 31)])
@pytest.mark.parametrize("smoothing", list(Smoothing))
def test_identical_and_constant_images_give_exactly_zero(shape, smoothing) -> None:
    options = VoxelOptOptions(smoothing=smoothing)
    for features in (textured(3, shape, 1), torch.zeros(3, *shape), torch.full((3, *shape), 7.5)):
        solution = solve(features, features.clone(), options)
        assert torch.equal(solution.displacement, torch.zeros(3, *shape))
    constant = solve(torch.zeros(1, *shape), torch.ones(1, *shape), options)
    assert torch.equal(constant.displacement, torch.zeros(3, *shape))
    torch.testing.assert_close(constant.evidence.entropy, torch.ones(shape))


def test_a_known_deformation_is_found() -> None:
    shape = (40, 44, 48)
    moving = textured(1, shape, 3)
    truth = smooth_field(shape, 10.0, 4)
    fixed = warp(moving, truth)
    solution = solve(mind_ssc(fixed[0], 1, 1), mind_ssc(moving[0], 1, 1), VoxelOptOptions())
    error = (solution.displacement - truth).norm(dim=0)[5:-5, 5:-5, 5:-5]
    assert float(truth.norm(dim=0).mean()) > 1.0
    assert float(error.mean()) < 0.5


def test_a_fraction_of_a_voxel_is_found() -> None:
    """Whole-voxel candidates alone leave a shift of 0.4 voxels where it is or take all of it."""
    shape = (32, 32, 32)
    moving = textured(1, shape, 6)
    truth = torch.full((3, *shape), 0.4)
    fixed = warp(moving, truth)
    features = mind_ssc(fixed[0], 0, 1), mind_ssc(moving[0], 0, 1)
    inner = (slice(6, -6),) * 3
    errors = []
    for rounds in (0, 2):
        found = solve(*features, dataclasses.replace(VoxelOptOptions(), subvoxel_rounds=rounds)).displacement
        errors.append(float((found - truth).norm(dim=0)[inner].mean()))
    assert errors[1] < 0.6 * errors[0]


def test_thin_stacks_are_registered_along_all_axes() -> None:
    shape = (9, 60, 60)
    moving = textured(1, shape, 3)
    truth = torch.tensor([0.0, 6.0, -5.0])[:, None, None, None].expand(3, *shape)
    fixed = warp(moving, truth)
    found = solve(mind_ssc(fixed[0], 1, 1), mind_ssc(moving[0], 1, 1), VoxelOptOptions()).displacement
    assert float((found - truth).norm(dim=0)[:, 12:-12, 12:-12].mean()) < 0.5


def test_thin_axes_wait_for_the_others() -> None:
    plan = plan_levels((10, 80, 160), VoxelOptOptions(levels=6))
    assert plan[0] == (False, False, True)
    assert plan[1] == (False, True, True)
    shape = (10, 80, 160)
    for axes in plan:
        shape = coarse_shape(shape, axes, VoxelOptOptions())
    assert min(shape) >= 4 and max(shape) <= 2 * 10


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(sides, sides, sides), axes=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_a_linear_ramp_survives_the_pyramid_with_exact_scale(shape, axes) -> None:
    """Coarse voxel j holds the value at fine coordinate 2 j + 0.5; displacements come back doubled, not stretched."""
    options = VoxelOptOptions()
    ramp = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))
    coarse = downsample(ramp, axes, options)
    for axis, halved in enumerate(axes):
        line = coarse[axis].movedim(axis, 0)[1:-1, 0, 0]
        expected = torch.arange(1.0, coarse.shape[axis + 1] - 1)
        torch.testing.assert_close(line, (2 * expected + 0.5 if halved else expected)[: len(line)], atol=1e-4, rtol=0)
    unit = torch.ones((3, *coarse.shape[1:]))
    fine = upsample_displacement(unit, shape, axes, options)
    assert fine.shape == (3, *shape)
    for axis, halved in enumerate(axes):
        assert torch.equal(fine[axis], torch.full(shape, 2.0 if halved else 1.0))


def test_both_directions_agree() -> None:
    shape = (32, 36, 40)
    moving = textured(2, shape, 8)
    fixed = warp(moving, smooth_field(shape, 3.0, 9))
    solution = solve(fixed, moving, dataclasses.replace(VoxelOptOptions(), invertible=False))
    assert solution.backward is not None
    gap = compose(solution.backward, solution.displacement).norm(dim=0)
    assert float(gap.mean()) < 0.1


def test_untrusted_voxels_do_not_attract() -> None:
    """A bright block that only moving has, and that is marked as not to be trusted, changes nothing far from it."""
    shape = (24, 32, 32)
    image = textured(1, shape, 2)
    spoilt = image.clone()
    spoilt[:, 8:16, 10:20, 10:20] = 5.0
    trust = torch.ones(shape, dtype=torch.bool)
    trust[7:17, 9:21, 9:21] = False
    naive = solve(image, spoilt, VoxelOptOptions()).displacement
    careful = solve(image, spoilt, VoxelOptOptions(), moving_trust=trust)
    assert float(naive.abs().max()) > 0.5
    assert float(careful.displacement.abs().max()) < 0.25
    assert torch.equal(careful.evidence.entropy[10:14, 12:18, 12:18], torch.ones(4, 6, 6))


def test_nothing_trusted_gives_the_identity() -> None:
    shape = (16, 16, 16)
    nothing = torch.zeros(shape, dtype=torch.bool)
    solution = solve(textured(1, shape, 1), textured(1, shape, 2), VoxelOptOptions(), fixed_trust=nothing)
    assert float(solution.displacement.abs().max()) == 0.0
    assert float(solution.evidence.entropy.min()) == 1.0


def test_the_first_of_equal_scores_is_the_shortest() -> None:
    fixed = torch.zeros(1, 12, 12, 12)
    fixed[:, 6] = 1.0
    options = VoxelOptOptions(ties=Ties.CENTRE, border=Border.REPLICATE)
    assert torch.equal(solve(fixed, fixed, options).displacement, torch.zeros(3, 12, 12, 12))


def test_progress_counts_up_to_one_and_previews_lie_on_the_finest_grid() -> None:
    told = []
    shape = (20, 24, 28)
    fixed, moving = textured(1, shape, 1), textured(1, shape, 2)
    solution = solve(fixed, moving, VoxelOptOptions(), report=lambda *step: told.append(step))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    previews = [preview() for _, _, preview in told if preview is not None]
    assert len(previews) == len(told) / 2
    assert all(preview.shape == (3, *shape) for preview in previews)
    assert all(BACKWARD in text for _, text, preview in told if preview is None)
    assert float((previews[-1] - solution.displacement).abs().mean()) < float(previews[-1].abs().mean())


def test_a_report_that_raises_ends_the_solving() -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        solve(textured(1, (16, 16, 16), 1), textured(1, (16, 16, 16), 2), VoxelOptOptions(), report=stop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": 0},
        {"search_radius": 9},
        {"couplings": ()},
        {"couplings": (-1.0,)},
        {"sigma_low": 0.9},
        {"sharpness": 0.0},
        {"passes": -1},
        {"squarings": 99},
        {"consistency_sweeps": 0},
        {"subvoxel_rounds": -1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_by_name(wrong: dict) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=rf"solver\.{name}"):
        VoxelOptOptions(**wrong)


@pytest.mark.parametrize("border", list(Border))
def test_features_beyond_the_border_are_not_scaled_up(border: Border) -> None:
    """Half a voxel outside: known features keep their value or fade, whether or not all of the volume is trusted."""
    trust = torch.ones(6, 6, 6, dtype=torch.bool)
    trust[5, 5, 5] = False
    shift = torch.zeros(3, 6, 6, 6)
    shift[0] = -0.4
    plain = warped_level(known_level(torch.ones(2, 6, 6, 6), None), shift, Border.REPLICATE)
    masked = warped_level(known_level(torch.ones(2, 6, 6, 6), trust), shift, border)
    assert masked.trust is not None and bool(masked.trust[0].all())
    torch.testing.assert_close(masked.features[:, 0], plain.features[:, 0])
