"""Warp, composition, exponential, inverse and Jacobian against scipy, numpy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.ndimage import map_coordinates
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.fields.algebra import compose, exponential, inverse, make_inverse_consistent
from VoxelOptRegistrationLib.fields.folds import make_invertible
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant, smallest_cell_determinant
from VoxelOptRegistrationLib.fields.sampling import gather_sample, identity_grid, sample, warp
from VoxelOptRegistrationLib.options import Border

sides = st.integers(2, 12)
shapes = st.tuples(sides, sides, sides)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, other=shapes, seed=st.integers(0, 1000), border=st.sampled_from(list(Border)))
def test_warp_is_scipys_linear_interpolation(shape, other, seed, border) -> None:
    volume = textured(2, shape, seed)
    displacement = smooth_field(other, 4.0, seed)
    points = (identity_grid(other) + displacement).numpy()
    mode = "nearest" if border is Border.REPLICATE else "grid-constant"
    expected = np.stack([map_coordinates(c.numpy(), points, order=1, mode=mode) for c in volume])
    np.testing.assert_allclose(warp(volume, displacement, border).numpy(), expected, atol=2e-5)
    gathered = gather_sample(volume, torch.from_numpy(points), border)
    np.testing.assert_allclose(gathered.numpy(), expected, atol=2e-5)


def test_sampling_takes_any_spatial_shape() -> None:
    volume = textured(3, (5, 6, 7), 0)
    points = torch.tensor([[0.0, 4.0], [5.0, 0.5], [6.0, 1.25]])
    assert sample(volume, points).shape == (3, 2)
    torch.testing.assert_close(sample(volume, points)[:, 0], volume[:, 0, 5, 6])


def affine_field(matrix: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Displacement of x -> centre + M (x - centre)."""
    centre = (torch.tensor(shape, dtype=torch.float32) - 1) / 2
    x = identity_grid(shape) - centre[:, None, None, None]
    return torch.einsum("ab,bzyx->azyx", torch.from_numpy(matrix - np.eye(3)).float(), x)


def interior(field: torch.Tensor, margin: int) -> torch.Tensor:
    cut = slice(margin, -margin)
    return field[..., cut, cut, cut]


def test_composition_of_affine_maps_is_their_product() -> None:
    shape = (24, 24, 24)
    first = np.eye(3) + 0.08 * np.random.default_rng(0).standard_normal((3, 3))
    second = np.eye(3) + 0.08 * np.random.default_rng(1).standard_normal((3, 3))
    composed = compose(affine_field(second, shape), affine_field(first, shape))
    torch.testing.assert_close(
        interior(composed, 6), interior(affine_field(second @ first, shape), 6), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("squarings", [0, 7])
def test_exponential_of_a_linear_velocity_is_the_matrix_exponential(squarings: int) -> None:
    shape = (24, 24, 24)
    generator = 0.15 * np.random.default_rng(2).standard_normal((3, 3))
    flow = exponential(affine_field(np.eye(3) + generator, shape), squarings)
    expected = affine_field(expm(generator), shape)
    tolerance = 0.02 if squarings == 7 else 0.1
    torch.testing.assert_close(interior(flow, 8), interior(expected, 8), atol=tolerance, rtol=0)


def test_exponential_of_zero_and_of_a_shift() -> None:
    assert torch.equal(exponential(torch.zeros(3, 4, 5, 6)), torch.zeros(3, 4, 5, 6))
    shift = torch.tensor([0.7, -1.3, 2.0])[:, None, None, None].expand(3, 8, 8, 8)
    torch.testing.assert_close(exponential(shift), shift.contiguous())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), amplitude=st.floats(0.0, 2.5))
def test_inverse_returns_every_point(seed: int, amplitude: float) -> None:
    u = smooth_field((20, 24, 28), amplitude, seed)
    v = inverse(u)
    back = compose(v, u)
    assert float(back.norm(dim=0).mean()) < 0.01
    assert float(back.norm(dim=0).max()) < 0.1


def test_inverse_consistency_of_true_inverses_changes_nothing() -> None:
    u = smooth_field((20, 20, 20), 1.5, 3)
    v = inverse(u)
    forward, backward = make_inverse_consistent(u, v)
    assert float((forward - u).norm(dim=0).mean()) < 0.03
    assert float((backward - v).norm(dim=0).mean()) < 0.03


def test_inverse_consistency_reconciles_two_different_fields() -> None:
    u, v = smooth_field((20, 20, 20), 3.0, 3), smooth_field((20, 20, 20), 3.0, 4)
    before = compose(v, u).norm(dim=0).mean()
    forward, backward = make_inverse_consistent(u, v)
    after = compose(backward, forward).norm(dim=0).mean()
    assert float(after) < 0.05 < 0.5 < float(before)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=st.integers(0, 1000))
def test_jacobian_follows_numpys_gradient(shape, seed) -> None:
    u = textured(3, shape, seed) * 4
    rows = np.array([[np.gradient(u[c].double().numpy(), axis=a) for a in range(3)] for c in range(3)])
    expected = np.linalg.det(np.moveaxis(rows, (0, 1), (-2, -1)) + np.eye(3))
    np.testing.assert_allclose(jacobian_determinant(u).numpy(), expected, atol=1e-4)


def test_jacobian_of_an_affine_map_is_its_determinant() -> None:
    matrix = np.eye(3) + 0.3 * np.random.default_rng(5).standard_normal((3, 3))
    field = affine_field(matrix, (6, 7, 8))
    expected = torch.full((6, 7, 8), float(np.linalg.det(matrix)))
    torch.testing.assert_close(jacobian_determinant(field), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(smallest_cell_determinant(field), expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), amplitude=st.floats(0.5, 12.0))
def test_mending_leaves_no_fold_and_touches_nothing_else(seed: int, amplitude: float) -> None:
    shape = (16, 18, 20)
    rough = smooth_field(shape, 1.0, seed)
    spike = torch.rand((3, 3, 3, 3), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    rough[:, 6:9, 7:10, 8:11] += amplitude * spike
    mended = make_invertible(rough)
    assert float(smallest_cell_determinant(mended).min()) > 0.05
    assert float(jacobian_determinant(mended).min()) > 0
    if float(smallest_cell_determinant(rough).min()) > 0.05:
        assert torch.equal(mended, rough)


def test_mending_is_local() -> None:
    field = smooth_field((40, 40, 40), 1.0, 7)
    field[0, 20, 20, 20] += 3.0
    mended = make_invertible(field)
    changed = (mended != field).any(dim=0).nonzero()
    assert 0 < len(changed) < 20**3
    assert int((changed - 20).abs().max()) <= 10


@settings(max_examples=12, deadline=None)
@given(shape=st.tuples(*[st.integers(3, 40)] * 3), folds=st.integers(1, 8), seed=st.integers(0, 1000))
def test_mending_is_what_smoothing_everywhere_by_the_folds_gives(shape, folds, seed) -> None:
    """Also where folds are many, next to each other, and at the border."""
    random = torch.Generator().manual_seed(seed)
    field = smooth_field(shape, 1.0, seed)
    for _ in range(folds):
        z, y, x = (int(torch.randint(n, (), generator=random)) for n in shape)
        field[:, z, y, x] += 3 * torch.randn(3, generator=random)
    mended = make_invertible(field)
    torch.testing.assert_close(mended, literally_mended(field), atol=1e-5, rtol=0)


def literally_mended(field: torch.Tensor) -> torch.Tensor:
    """Every round over the whole volume, as long as something folds."""

    def mean(volume: torch.Tensor, radius: int) -> torch.Tensor:
        return F.avg_pool3d(F.pad(volume[None], (radius,) * 6, mode="replicate"), 2 * radius + 1, 1)[0]

    for attempt in range(144):
        folded = smallest_cell_determinant(field) <= 0.05
        if not folded.any():
            return field
        radius = 1 + attempt // 12
        near = F.max_pool3d(folded[None].to(field.dtype), 2 * radius + 1, 1, radius)
        field = torch.lerp(field, mean(field, radius), mean(near, radius))
    raise AssertionError("it folds still")


def test_even_a_scrambled_field_is_mended() -> None:
    field = 6 * torch.randn(3, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    assert float(smallest_cell_determinant(make_invertible(field)).min()) > 0.05
