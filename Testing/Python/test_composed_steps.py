"""What users may rely on in the refinement by small steps: truth, exact zeros, masks, contrasts, refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_images import smooth_field, textured
from torch import Tensor
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth
from VoxelOptRegistrationLib.options import DescentOptions
from VoxelOptRegistrationLib.refinement.composed_steps import descend
from VoxelOptRegistrationLib.refinement.forces import CorrelationForce, FeatureForce, Force, standardised
from VoxelOptRegistrationLib.refinement.uniform_places import extended

SHAPE = (20, 22, 24)
ZERO = torch.zeros(3, *SHAPE)
OPTIONS = DescentOptions()
Trusts = tuple[Tensor | None, Tensor | None]
MakeForce = Callable[[Tensor, Tensor, Trusts], Force]


def of_images(fixed: Tensor, moving: Tensor, trusts: Trusts = (None, None)) -> Force:
    return CorrelationForce.of(fixed, moving, trusts, OPTIONS)


def of_features(fixed: Tensor, moving: Tensor, trusts: Trusts = (None, None)) -> Force:
    return FeatureForce.of(mind_ssc(fixed, 1, 1), mind_ssc(moving, 1, 1), trusts)


BOTH = pytest.mark.parametrize("make", [of_images, of_features])


@pytest.fixture(scope="module")
def moving() -> Tensor:
    return textured(1, SHAPE, 0)[0]


@pytest.fixture(scope="module")
def truth() -> Tensor:
    return smooth_field(SHAPE, 2.5, 1)


@pytest.fixture(scope="module")
def fixed(moving: Tensor, truth: Tensor) -> Tensor:
    return warp(moving[None], truth)[0]


def error(field: Tensor, truth: Tensor, where: Tensor | None = None) -> float:
    """Mean distance, voxels, two voxels from the border, where nothing hides outside."""
    inner = torch.zeros(SHAPE, dtype=torch.bool)
    inner[2:-2, 2:-2, 2:-2] = True
    return float((field - truth).norm(dim=0)[inner if where is None else inner & where].mean())


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("contrast", [(1.0, 0.0), (-1.0, 1.0), (4000.0, -1000.0)])
def test_a_known_deformation_is_found_by_correlation(
    fixed: Tensor, moving: Tensor, truth: Tensor, momentum: float, contrast: tuple[float, float]
) -> None:
    """To a quarter, in either contrast and any unit: the texture is a voxel fine, so that much can be seen."""
    force = of_images(fixed, contrast[0] * moving + contrast[1])
    found = descend(ZERO, force, 12, DescentOptions(momentum=momentum))
    assert error(ZERO, truth) > 0.5
    assert error(found, truth) < 0.25 * error(ZERO, truth)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_a_known_deformation_is_found_by_features(truth: Tensor, momentum: float) -> None:
    """To a quarter, where the features move with the anatomy and change in nothing else."""
    maps = textured(4, SHAPE, 6)
    found = descend(ZERO, FeatureForce.of(warp(maps, truth), maps, (None, None)), 12, DescentOptions(momentum=momentum))
    assert error(found, truth) < 0.25 * error(ZERO, truth)


@pytest.mark.parametrize("contrast", [(1.0, 0.0), (-4000.0, 1000.0)])
def test_features_of_any_contrast_find_it(
    fixed: Tensor, moving: Tensor, truth: Tensor, contrast: tuple[float, float]
) -> None:
    """To a half: the fixed image is interpolated, and its descriptors are not those of the moving one."""
    found = descend(ZERO, of_features(fixed, contrast[0] * moving + contrast[1]), 12, OPTIONS)
    assert error(found, truth) < 0.5 * error(ZERO, truth)


def test_a_good_start_is_kept_and_improved(fixed: Tensor, moving: Tensor, truth: Tensor) -> None:
    start = truth + 0.4 * smooth_field(SHAPE, 1.0, 9)
    found = descend(start, of_images(fixed, moving), 7, OPTIONS)
    assert error(found, truth) < 0.5 * error(start, truth)


@BOTH
def test_the_force_points_where_the_image_belongs(
    fixed: Tensor, moving: Tensor, truth: Tensor, make: MakeForce
) -> None:
    """Smoothed as for a step: in three places of four, where there is a way to go."""
    force = gaussian_smooth(make(fixed, moving, (None, None))(ZERO), OPTIONS.update_sigma)
    inner = (slice(None), *[slice(2, -2)] * 3)
    towards = (force * truth)[inner].sum(dim=0)
    far = truth[inner].norm(dim=0) > 0.5
    assert float((towards[far] > 0).double().mean()) > 0.75


@BOTH
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_equal_images_stay_exactly_where_they_are(moving: Tensor, make: MakeForce, momentum: float) -> None:
    for trusts in ((None, None), (moving > 0.3, moving > 0.3)):
        force = make(moving, moving.clone(), trusts)
        assert torch.equal(descend(ZERO, force, 4, DescentOptions(momentum=momentum)), ZERO)


@pytest.mark.parametrize(("gain", "offset"), [(1000.0, 5.0), (-0.02, 3.0)])
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_so_do_images_of_another_contrast(moving: Tensor, gain: float, offset: float, noise: float) -> None:
    force = CorrelationForce.of(moving, gain * moving + offset, (None, None), DescentOptions(noise=noise))
    assert torch.equal(descend(ZERO, force, 4, OPTIONS), ZERO)


@pytest.mark.parametrize(("gain", "offset"), [(0.001, 0.0), (1.0, 50.0), (-30.0, 2.0)])
def test_units_do_not_matter(fixed: Tensor, moving: Tensor, gain: float, offset: float) -> None:
    plain = descend(ZERO, of_images(fixed, moving), 5, OPTIONS)
    other = descend(ZERO, of_images(2.0 * fixed - 7.0, gain * moving + offset), 5, OPTIONS)
    torch.testing.assert_close(other, plain, atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", ["images", "features"])
@pytest.mark.parametrize("garbage", [1e6, float("nan")])
@pytest.mark.parametrize("role", [0, 1])
def test_what_is_not_trusted_does_not_count(
    fixed: Tensor, moving: Tensor, truth: Tensor, kind: str, garbage: float, role: int
) -> None:
    """Whatever stands there, the field is the same; where both can be trusted, it is found."""
    trust = torch.ones(SHAPE, dtype=torch.bool)
    trust[:, :, 15:] = False
    trusts = (trust, None) if role == 0 else (None, trust)

    def found(*images: Tensor) -> Tensor:
        if kind == "images":
            return descend(ZERO, CorrelationForce.of(images[0], images[1], trusts, OPTIONS), 8, OPTIONS)
        maps = [mind_ssc(image.nan_to_num(5.0), 1, 1) for image in (fixed, moving)]
        maps[role] = torch.where(trust, maps[role], images[role].nan_to_num(0.0) if garbage == 1e6 else images[role])
        return descend(ZERO, FeatureForce.of(maps[0], maps[1], trusts), 8, OPTIONS)

    pair = [fixed, moving]
    clean = found(*pair)
    pair[role] = torch.where(trust, pair[role], garbage)
    assert torch.equal(found(*pair), clean)
    well_inside = torch.zeros(SHAPE, dtype=torch.bool)
    well_inside[:, :, :10] = True
    assert error(clean, truth, well_inside) < 0.4 * error(ZERO, truth, well_inside)
    everywhere = of_images(fixed, moving) if kind == "images" else of_features(fixed, moving)
    assert not torch.equal(descend(ZERO, everywhere, 8, OPTIONS), clean)


@BOTH
def test_nothing_trusted_moves_nothing(fixed: Tensor, moving: Tensor, make: MakeForce) -> None:
    nowhere = torch.zeros(SHAPE, dtype=torch.bool)
    assert torch.equal(descend(ZERO, make(fixed, moving, (nowhere, None)), 3, OPTIONS), ZERO)
    assert torch.equal(descend(ZERO, make(fixed, moving, (None, nowhere)), 3, OPTIONS), ZERO)


def test_every_step_is_told_and_can_be_the_last(fixed: Tensor, moving: Tensor) -> None:
    class Stop(Exception):
        pass

    told: list[int] = []
    fields: list[Tensor] = []
    calls: list[int] = []

    def report(index: int, field: Tensor) -> None:
        told.append(index)
        fields.append(field.clone())

    def checkpoint() -> None:
        calls.append(len(told))
        if len(calls) == 4:
            raise Stop

    force = of_images(fixed, moving)
    with pytest.raises(Stop):
        descend(ZERO, force, 7, OPTIONS, report, checkpoint)
    assert (told, calls) == ([1, 2, 3], [0, 1, 2, 3])
    assert torch.equal(fields[1], descend(ZERO, force, 2, OPTIONS))
    assert not bool(ZERO.any())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), step=st.floats(0.1, 0.6))
def test_no_single_step_folds_whatever_the_images(seed: int, step: float) -> None:
    """Images that have nothing in common, up to the longest step that a preset takes."""
    first, second = textured(2, (14, 14, 14), seed)
    options = DescentOptions(step=step, field_sigma=0.0, volume_damping=0.0)
    field = descend(torch.zeros(3, 14, 14, 14), CorrelationForce.of(first, second, (None, None), options), 1, options)
    assert float(field.norm(dim=0).max()) == pytest.approx(step, rel=1e-4)
    assert float(jacobian_determinant(field).min()) > 0


def test_momentum_carries_no_step_too_far(fixed: Tensor, moving: Tensor) -> None:
    """Without smoothing between, a shift composed is a shift: no voxel goes further than the steps together."""
    fields: list[Tensor] = []
    options = DescentOptions(step=1.0, momentum=0.95, field_sigma=0.0, volume_damping=0.0)

    def same_way(displacement: Tensor) -> Tensor:
        return torch.ones_like(displacement)

    descend(ZERO, same_way, 4, options, lambda index, field: fields.append(field))
    lengths = [float(field.norm(dim=0).max()) for field in fields]
    steps = [lengths[0], *(b - a for a, b in zip(lengths, lengths[1:], strict=False))]
    assert steps == pytest.approx([1.0, 1.5, 1.5, 1.5], rel=1e-4)


@pytest.mark.parametrize("shape", [(2, 9, 9), (8, 3, 30)])
def test_thin_volumes_are_refined(shape: tuple[int, int, int]) -> None:
    image = textured(1, shape, 4)[0]
    shifted = warp(image[None], torch.full((3, *shape), 0.3))[0]
    force = CorrelationForce.of(shifted, image, (None, None), OPTIONS)
    found = descend(torch.zeros(3, *shape), force, 3, OPTIONS)
    assert bool(torch.isfinite(found).all()) and bool(found.any())


def test_the_field_follows_from_its_surroundings_where_the_image_is_uniform(moving: Tensor) -> None:
    image = 100.0 * moving + 1000.0
    image[:, :, 14:] = 1050.0
    field = torch.ones(3, *SHAPE)
    field[:, :, :, 17:] = -9.0  # whatever the solver left there
    followed = extended(field, image, None, 5)
    assert torch.equal(extended(field, image, None, 0), field)
    torch.testing.assert_close(followed[:, :, :, :12], field[:, :, :, :12], atol=0.05, rtol=0)
    torch.testing.assert_close(followed[:, :, :, 17:], torch.ones_like(field[:, :, :, 17:]), atol=0.05, rtol=0)
    trust = torch.ones(SHAPE, dtype=torch.bool)
    trust[:, :, 14:] = False
    noisy = torch.where(trust, image, 1e5 * moving)
    masked = extended(field, noisy, trust, 5)
    torch.testing.assert_close(masked[:, :, :, 17:], torch.ones_like(field[:, :, :, 17:]), atol=0.05, rtol=0)


def test_a_uniform_image_leaves_the_field_as_it_is() -> None:
    field = smooth_field(SHAPE, 2.0, 5)
    assert torch.equal(extended(field, torch.full(SHAPE, 37.0), None, 5), field)


def test_standardised_images() -> None:
    image = torch.randn(6, 7, 8, generator=torch.Generator().manual_seed(0)) * 40 - 900
    trust = image > -930
    for where in (None, trust):
        values = standardised(image, where) if where is None else standardised(image, where)[where]
        assert float(values.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(values.std(correction=0)) == pytest.approx(1.0, abs=1e-5)
    assert not bool(standardised(torch.full((4, 4, 4), 7.0), None).any())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scales", [(), (0.5,), (2.0, 1.0), (2000.0,), (float("nan"),), (1.0,) * 7]),
        ("iterations", [(), (0,), (1001,), (7, 7)]),
        ("radius", [0, 9]),
        ("noise", [0.0, 11.0, float("nan")]),
        ("step", [0.0, 2.1, float("nan"), float("inf")]),
        ("momentum", [-0.1, 1.0, float("nan")]),
        ("update_sigma", [-0.1, 11.0, float("nan")]),
        ("field_sigma", [-0.1, 11.0, float("inf")]),
        ("volume_damping", [-0.1, 0.31, float("nan")]),
        ("extension_passes", [-1, 101]),
    ],
)
def test_options_refuse_bad_values_naming_them(name: str, values: list[object]) -> None:
    for value in values:
        both = {"scales": value, "iterations": (7,) * len(value)} if name == "scales" else {name: value}
        with pytest.raises(InputError, match=rf"descent\..*{name}") as caught:
            DescentOptions(**both)
        assert str(value) in str(caught.value)


def test_options_at_their_limits_are_taken() -> None:
    DescentOptions(scales=(1, 1, 1000), iterations=(1, 1000, 1), radius=8, noise=10, step=2, momentum=0.99)
    DescentOptions(update_sigma=0, field_sigma=10, volume_damping=0.3, extension_passes=100)
