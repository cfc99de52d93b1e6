"""Fields on other grids, and where nothing is known of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from images_strategies import geometries, voxel_centres
from scipy.ndimage import map_coordinates
from solver_images import textured
from VoxelOptRegistrationLib.fields.extension import extend_smoothly
from VoxelOptRegistrationLib.fields.resizing import resize_displacement
from VoxelOptRegistrationLib.images.grid import Grid

sides = st.integers(1, 12)
shapes = st.tuples(sides, sides, sides)


@settings(max_examples=25, deadline=None)
@given(image=geometries(smallest=3, largest=8, shear=True), shape=st.tuples(*[st.integers(1, 14)] * 3))
def test_a_resized_field_moves_points_as_before(image, shape: tuple[int, int, int]) -> None:
    """In mm, at the voxel centres of the new grid, as SimpleITK places them."""
    old = Grid.of(image)
    new = old.resized(shape)
    field = torch.randn((3, *old.size_zyx), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = voxel_centres(new.to_reference_image())
    index = points @ old.world_to_index[:3, :3].T + old.world_to_index[:3, 3]
    found = [map_coordinates(c.numpy(), np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="nearest") for c in field]
    expected = np.stack(found[::-1], axis=-1) @ old.index_to_world[:3, :3].T
    resized = resize_displacement(field, shape).numpy()
    vectors = np.moveaxis(resized, 0, -1)[..., ::-1] @ new.index_to_world[:3, :3].T
    np.testing.assert_allclose(vectors, expected, atol=1e-7)


def test_three_times_finer_and_back_is_the_same_field() -> None:
    field = textured(3, (4, 5, 6), 2).double()
    finer = resize_displacement(field, (12, 15, 18))
    torch.testing.assert_close(resize_displacement(finer, (4, 5, 6)), field)
    torch.testing.assert_close(finer[:, 1::3, 1::3, 1::3], 3 * field)


def test_the_same_grid_is_the_same_field() -> None:
    field = textured(3, (4, 5, 6), 2)
    assert resize_displacement(field, (4, 5, 6)) is field


@settings(max_examples=25, deadline=None)
@given(shape=shapes, seed=st.integers(0, 1000), passes=st.integers(0, 2))
def test_what_is_known_stays_and_the_rest_lies_between(shape: tuple[int, int, int], seed: int, passes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    known = (torch.rand(shape, generator=generator) < 0.1).double()
    known.view(-1)[seed % known.numel()] = 1.0
    maps = torch.randn((2, *shape), dtype=torch.float64, generator=generator)
    extended = extend_smoothly(torch.where(known > 0, maps, 1e6), known, passes)
    inside = known > 0
    assert torch.equal(extended[:, inside], maps[:, inside])
    for channel, values in zip(extended, maps, strict=True):
        assert float(channel.min()) >= float(values[inside].min()) - 1e-9
        assert float(channel.max()) <= float(values[inside].max()) + 1e-9


@settings(max_examples=15, deadline=None)
@given(shape=shapes, place=st.integers(0, 10**6))
def test_one_known_voxel_is_enough_for_a_constant_field(shape: tuple[int, int, int], place: int) -> None:
    """Also far from it, and in volumes of a few slices."""
    known = torch.zeros(shape)
    known.view(-1)[place % known.numel()] = 1.0
    extended = extend_smoothly(2.5 * known.expand(3, *shape), known)
    torch.testing.assert_close(extended, torch.full((3, *shape), 2.5))


def test_nothing_known_changes_nothing() -> None:
    field = textured(3, (4, 5, 6), 0)
    assert torch.equal(extend_smoothly(field, torch.zeros(4, 5, 6)), field)


@pytest.mark.parametrize("side", [3, 6])
def test_a_hole_in_a_linear_field_is_bridged(side: int) -> None:
    """To within a third of what filling it with one value would leave."""
    shape = (18, 18, 18)
    z, y, x = torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij")
    field = torch.stack([0.3 * z, 0.2 * y - 0.1 * x, -0.25 * x])
    known = torch.ones(shape)
    hole = (slice(6, 6 + side),) * 3
    known[hole] = 0.0
    extended = extend_smoothly(torch.where(known > 0, field, -50.0), known)
    inside = field[(slice(None), *hole)]
    one_value = inside - inside.mean(dim=(1, 2, 3), keepdim=True)
    error = extended[(slice(None), *hole)] - inside
    assert float(error.norm()) < float(one_value.norm()) / 3


def test_half_known_is_half_kept() -> None:
    known = torch.ones(9, 9, 9)
    known[4, 4, 4] = 0.5
    field = torch.zeros(1, 9, 9, 9)
    field[0, 4, 4, 4] = 8.0
    value = float(extend_smoothly(field, known, passes=0)[0, 4, 4, 4])
    assert 4.0 <= value < 6.0
