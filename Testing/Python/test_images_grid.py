"""Grids in physical space and the choice of the working grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from images_strategies import apply, geometries
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.images.grid import Grid, plan_working_grid
from VoxelOptRegistrationLib.options import GridOptions

PLENTY = 2**40
many = settings(deadline=None, max_examples=60)


def corners(image: sitk.Image) -> np.ndarray:
    """The eight outermost voxel corners, from SimpleITK."""
    ends = [(-0.5, n - 0.5) for n in image.GetSize()]
    return np.array(
        [image.TransformContinuousIndexToPhysicalPoint((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]]
    )


@many
@given(geometries(smallest=1, shear=True))
def test_grid_agrees_with_simpleitk(image: sitk.Image) -> None:
    grid = Grid.of(image)
    index = (0.3, 1.7, 2.9)
    point = np.array(image.TransformContinuousIndexToPhysicalPoint(index))
    np.testing.assert_allclose(apply(grid.index_to_world, np.array(index)), point, atol=1e-9)
    np.testing.assert_allclose(apply(grid.world_to_index, point), index, atol=1e-9)
    reference = grid.to_reference_image()
    assert reference.GetSize() == image.GetSize()
    np.testing.assert_allclose(corners(reference), corners(image), atol=1e-9)


@many
@given(geometries(), st.tuples(*[st.integers(1, 30)] * 3))
def test_resized_keeps_the_field_of_view(image: sitk.Image, size: tuple[int, int, int]) -> None:
    resized = Grid.of(image).resized(size)
    assert resized.size_zyx == size
    np.testing.assert_allclose(corners(resized.to_reference_image()), corners(image), atol=1e-9)


def test_same_as_sees_a_shift_and_ignores_rounding() -> None:
    image = sitk.Image([20, 30, 40], sitk.sitkUInt8)
    grid = Grid.of(image)
    moved = grid.index_to_world.copy()
    moved[0, 3] += 1e-9
    assert grid.same_as(Grid(grid.size_zyx, moved))
    moved[0, 3] += 0.01
    assert not grid.same_as(Grid(grid.size_zyx, moved))
    assert not grid.same_as(grid.resized((40, 30, 21)))


@many
@given(
    geometries(smallest=2, largest=200),
    st.integers(512, 2_000_000),
    st.sampled_from([0.0, 0.7, 2.0, 6.0]),
)
def test_working_grid_covers_the_volume_within_the_budget(image: sitk.Image, budget: int, spacing: float) -> None:
    grid = plan_working_grid(image, GridOptions(max_voxels=budget, spacing=spacing), PLENTY, 500)
    np.testing.assert_allclose(corners(grid.to_reference_image()), corners(image), atol=1e-8)
    assert grid.voxels <= budget
    assert min(grid.size_zyx) >= 8
    finest = max(spacing, min(image.GetSpacing()))
    for side, count in zip(grid.spacing, grid.size_xyz, strict=True):
        assert side >= finest * (1 - 1e-6) or count == 8
    free = [side for side, count in zip(grid.spacing, grid.size_xyz, strict=True) if count > 8]
    if len(free) > 1:
        # A whole number of voxels covers each extent, so sides differ by one voxel in the count at most.
        assert max(free) / min(free) <= 1 + 1 / 8 + 1e-6


def test_thin_stack_becomes_isotropic_and_isotropic_stays_as_it_is() -> None:
    liver = sitk.Image([152, 183, 27], sitk.sitkUInt8)
    liver.SetSpacing((1.2890625, 1.2890625, 5.0))
    grid = plan_working_grid(liver, GridOptions(max_voxels=10_000_000), PLENTY, 500)
    assert grid.size_zyx[1:] == (183, 152)
    assert abs(grid.spacing[2] / 1.2890625 - 1) < 0.01
    brain = sitk.Image([60, 50, 40], sitk.sitkUInt8)
    assert plan_working_grid(brain, GridOptions(), PLENTY, 500).same_as(Grid.of(brain))


def test_budget_is_used_not_wasted() -> None:
    image = sitk.Image([200, 200, 200], sitk.sitkUInt8)
    grid = plan_working_grid(image, GridOptions(max_voxels=1_000_000), PLENTY, 500)
    assert grid.voxels == 1_000_000


def test_less_memory_makes_the_grid_coarser() -> None:
    image = sitk.Image([100, 100, 100], sitk.sitkUInt8)
    grid = plan_working_grid(image, GridOptions(), 500 * 300_000, 500)
    assert 200_000 < grid.voxels <= 300_000


def test_much_too_little_memory_names_the_largest_grid_and_accepts_it() -> None:
    image = sitk.Image([100, 100, 100], sitk.sitkUInt8)
    memory = 500 * 30_000
    with pytest.raises(ComputationError) as caught:
        plan_working_grid(image, GridOptions(), memory, 500)
    assert "31 x 31 x 31 voxels of 3.23 mm" in caught.value.text
    assert "grid.max_voxels=29791" in caught.value.remedy
    accepted = plan_working_grid(image, GridOptions(max_voxels=29791), memory, 500)
    assert accepted.size_zyx == (31, 31, 31)


def test_no_memory_at_all_is_one_clear_line() -> None:
    image = sitk.Image([100, 100, 100], sitk.sitkUInt8)
    with pytest.raises(ComputationError, match="too little") as caught:
        plan_working_grid(image, GridOptions(), 1000, 500)
    assert "\n" not in str(caught.value)


@many
@given(geometries(smallest=1, shear=True), st.integers(1, 500))
def test_thinned_grid_keeps_every_nth_voxel(image: sitk.Image, points: int) -> None:
    grid = Grid.of(image)
    thin = grid.thinned(points)
    steps = (grid.world_to_index @ thin.index_to_world)[:3, :3]
    stride = np.rint(np.diag(steps))
    np.testing.assert_allclose(steps, np.diag(stride), atol=1e-6)
    np.testing.assert_allclose(thin.index_to_world[:3, 3], grid.index_to_world[:3, 3])
    sides = list(zip(grid.size_xyz, thin.size_xyz, stride, strict=True))
    assert all(kept == len(range(0, size, int(step))) and kept >= min(2, size) for size, kept, step in sides)
    common = max(stride)
    assert all(step in (common, max(1, size - 1)) for size, _, step in sides)
    assert common == 1 or grid.voxels / (common - 1) ** 3 > points
