"""Displacements in physical space, checked by mapping points through the files that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images_strategies import affine_maps, apply, geometries, points_inside, voxel_centres
from scipy.ndimage import gaussian_filter
from VoxelOptRegistrationLib.images.displacement import (
    displacement_image,
    displacement_transform,
    on_grid,
    total_displacement,
    voxel_displacement,
)
from VoxelOptRegistrationLib.images.grid import Grid, plan_working_grid
from VoxelOptRegistrationLib.images.inverse_between_voxels import even_out_inverse
from VoxelOptRegistrationLib.images.inversion import invert_displacement
from VoxelOptRegistrationLib.images.transforms import affine_transform
from VoxelOptRegistrationLib.images.writing import write_transform
from VoxelOptRegistrationLib.options import GridOptions

IDENTITY = sitk.Transform(3, sitk.sitkIdentity)
slow = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def solver_field(image: sitk.Image, mapping: np.ndarray) -> np.ndarray:
    """The solver's u (3, Z, Y, X) of an affine `mapping`, voxel by voxel: target index minus own index, z, y, x."""
    x, y, z = image.GetSize()
    u = np.empty((3, z, y, x))
    for k in range(z):
        for j in range(y):
            for i in range(x):
                point = np.array(image.TransformIndexToPhysicalPoint((i, j, k)))
                target = image.TransformPhysicalPointToContinuousIndex(apply(mapping, point).tolist())
                u[:, k, j, i] = target[2] - k, target[1] - j, target[0] - i
    return u


def about(image: sitk.Image, matrix: np.ndarray) -> np.ndarray:
    """`matrix` with its linear part acting about the middle of `image`, so that displacements stay moderate."""
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    result = matrix.copy()
    result[:3, 3] += middle - matrix[:3, :3] @ middle
    return result


@slow
@given(geometries(shear=True), affine_maps(), affine_maps(strength=0.4, shift=150), st.sampled_from([0.0, 1.3, 3.0]))
def test_points_through_the_saved_transform(
    tmp_path: Path, fixed: sitk.Image, deformation: np.ndarray, alignment: np.ndarray, spacing: float
) -> None:
    deformation, alignment = about(fixed, deformation), about(fixed, alignment)
    work = plan_working_grid(fixed, GridOptions(max_voxels=2000, spacing=spacing), 2**40, 500)
    u = solver_field(work.to_reference_image(), deformation)
    total = total_displacement(u, work, Grid.of(fixed), affine_transform(alignment))
    write_transform(displacement_transform(total, Grid.of(fixed)), tmp_path / "transform.h5")
    transform = sitk.ReadTransform(str(tmp_path / "transform.h5"))
    # Where the outermost working voxels lie further in than fixed's, the field is constant beyond them: stay inside.
    margin = 1 + 0.5 * max(np.array(work.spacing) / np.array(fixed.GetSpacing()))
    margin = min(margin, (min(fixed.GetSize()) - 1) / 2)
    points = points_inside(fixed, np.random.default_rng(0), 20, margin)
    for point in points:
        expected = apply(alignment, apply(deformation, point))
        np.testing.assert_allclose(transform.TransformPoint(point.tolist()), expected, atol=1e-6)


@slow
@given(geometries(shear=True), affine_maps())
def test_same_grid_is_exact_at_every_voxel(fixed: sitk.Image, deformation: np.ndarray) -> None:
    deformation = about(fixed, deformation)
    grid = Grid.of(fixed)
    total = total_displacement(solver_field(fixed, deformation), grid, grid, IDENTITY)
    centres = voxel_centres(fixed)
    np.testing.assert_allclose(total, apply(deformation, centres) - centres, atol=1e-7)


@slow
@given(geometries(), st.integers(0, 10_000))
def test_random_field_with_non_linear_alignment(fixed: sitk.Image, seed: int) -> None:
    """alignment(p + D(p)) asked of SimpleITK point by point, for an alignment that is smooth and far from affine."""
    rng = np.random.default_rng(seed)
    grid = Grid.of(fixed)
    span = np.linalg.norm(np.array(grid.size_xyz) * grid.spacing)
    centres = voxel_centres(fixed)
    bend = 0.05 * span * np.sin(centres[..., ::-1] / span * 4)
    alignment = displacement_transform(bend, grid)
    u = rng.normal(0, 0.3, (3, *grid.size_zyx))
    total = total_displacement(u, grid, grid, alignment)
    inner = (slice(2, -2),) * 3
    shift = np.moveaxis(u, 0, -1)[..., ::-1] @ grid.index_to_world[:3, :3].T
    for point, moved, result in zip(
        centres[inner].reshape(-1, 3)[::7],
        (centres + shift)[inner].reshape(-1, 3)[::7],
        total[inner].reshape(-1, 3)[::7],
        strict=True,
    ):
        np.testing.assert_allclose(point + result, alignment.TransformPoint(moved.tolist()), atol=1e-8)


def test_beyond_the_outermost_working_voxels_the_field_is_constant() -> None:
    fixed = sitk.Image([30, 20, 20], sitk.sitkUInt8)
    work = Grid.of(fixed).resized((10, 10, 10))
    u = np.zeros((3, 10, 10, 10))
    u[2] = np.arange(10)
    total = total_displacement(u, work, Grid.of(fixed), IDENTITY)
    # x of working voxel i is 3 i + 1, its displacement 3 i mm; fixed voxels 0 and 29 lie beyond the outermost centres.
    expected = np.clip(np.arange(30) - 1.0, 0, 27)
    np.testing.assert_allclose(total[5, 5, :, 0], expected, atol=1e-12)
    np.testing.assert_allclose(total[..., 1:], 0, atol=1e-12)


@slow
@given(geometries(shear=True), st.integers(0, 10_000))
def test_voxel_displacement_undoes_the_change_of_units(fixed: sitk.Image, seed: int) -> None:
    grid = Grid.of(fixed)
    u = np.random.default_rng(seed).normal(0, 2, (3, *grid.size_zyx))
    total = total_displacement(u, grid, grid, IDENTITY)
    np.testing.assert_allclose(voxel_displacement(total, grid), u, atol=1e-9)


def test_displacement_image_keeps_vectors_and_geometry() -> None:
    fixed = sitk.Image([4, 5, 6], sitk.sitkUInt8)
    fixed.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    fixed.SetOrigin((1, 2, 3))
    total = np.random.default_rng(0).normal(size=(6, 5, 4, 3))
    image = displacement_image(total, Grid.of(fixed))
    assert image.GetDirection() == fixed.GetDirection()
    assert image.GetOrigin() == fixed.GetOrigin()
    np.testing.assert_array_equal(image[3, 1, 2], total[2, 1, 3])


@slow
@given(geometries(smallest=12, largest=16, far=50), affine_maps(), st.floats(0, 1))
def test_inverse_maps_back(fixed: sitk.Image, alignment: np.ndarray, strength: float) -> None:
    """A bump of up to 0.6 of its own width on top of any alignment: moving voxels go to fixed and back."""
    grid = Grid.of(fixed)
    centres = voxel_centres(fixed)
    middle = centres.reshape(-1, 3).mean(axis=0)
    width = 0.25 * min(np.array(grid.size_xyz) * grid.spacing)
    bump = np.exp(-((centres - middle) ** 2).sum(-1) / (2 * width**2))
    bent = centres + 0.6 * strength * width * bump[..., None] * [0.6, -0.5, 0.6]
    total = apply(about(fixed, alignment), bent) - centres
    moving = sitk.Image([9, 10, 11], sitk.sitkUInt8)
    target = Grid.of(moving).resized((11, 10, 9))
    # A moving grid, of axes of its own, well inside what fixed maps to.
    target = Grid((11, 10, 9), target.index_to_world.copy())
    target.index_to_world[:3, :3] = np.diag([width / 8, -width / 8, width / 8])
    target.index_to_world[:3, 3] = apply(about(fixed, alignment), middle) - target.index_to_world[:3, :3] @ [4, 4.5, 5]
    inverse, valid, residual = invert_displacement(total, grid, target)
    forward = displacement_transform(total, grid)
    points = voxel_centres(target.to_reference_image())
    assert valid.all()
    assert residual < 0.02 * min(grid.spacing)
    for point, back in zip(points.reshape(-1, 3)[::11], inverse.reshape(-1, 3)[::11], strict=True):
        returned = forward.TransformPoint((point + back).tolist())
        assert np.linalg.norm(returned - point) < 0.1 * min(grid.spacing)


def test_inverse_of_a_large_rotation() -> None:
    """Doing nothing first would not converge: the turn is taken out beforehand."""
    fixed = sitk.Image([30, 30, 30], sitk.sitkUInt8)
    turn = sitk.VersorRigid3DTransform((0.3, -0.2, 1.0), 1.8)
    turn.SetCenter((15, 15, 15))
    field = sitk.TransformToDisplacementField(turn, sitk.sitkVectorFloat64, fixed.GetSize())
    grid = Grid.of(fixed)
    inverse, valid, _ = invert_displacement(sitk.GetArrayFromImage(field), grid, grid)
    assert valid[8:22, 8:22, 8:22].all()
    point = np.array([12.0, 20.0, 9.0])
    expected = np.array(turn.GetInverse().TransformPoint(point.tolist()))
    np.testing.assert_allclose(point + inverse[9, 20, 12], expected, atol=1e-6)


def test_inverse_says_where_there_is_none() -> None:
    fixed = sitk.Image([16, 16, 16], sitk.sitkUInt8)
    total = np.zeros((16, 16, 16, 3))
    total[..., 0] = 8.0
    grid = Grid.of(fixed)
    inverse, valid, residual = invert_displacement(total, grid, grid)
    assert residual == pytest.approx(0)
    np.testing.assert_allclose(inverse[..., 0], -8.0)
    np.testing.assert_array_equal(valid[3, 3], np.arange(16) >= 8)


def test_an_evened_inverse_is_better_between_voxels_and_still_good_at_them() -> None:
    """A rough field on oblique voxels, there and back through SimpleITK's own transforms."""
    image = sitk.Image([30, 28, 26], sitk.sitkUInt8)
    image.SetSpacing((1.0, 1.2, 2.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    grid = Grid.of(image)
    rough = gaussian_filter(np.random.default_rng(3).normal(size=(3, *grid.size_zyx)), (0, 2, 2, 2))
    rough *= 0.8 / rough.std()
    inside = np.pad(np.ones([n - 10 for n in grid.size_zyx]), 5)
    total = np.moveaxis(rough * gaussian_filter(inside, 2.0), 0, -1)
    exact, valid, _ = invert_displacement(total, grid, grid)
    evened = even_out_inverse(exact.copy(), valid, total, grid, grid)

    def there_and_back(first: np.ndarray, second: np.ndarray) -> float:
        """Mean distance from the start, mm, over the voxels in the middle."""
        way, back = displacement_transform(first, grid), displacement_transform(second, grid)
        starts = voxel_centres(image)[8:-8, 8:-8, 8:-8].reshape(-1, 3)[::3]
        ends = np.array([back.TransformPoint(way.TransformPoint(p)) for p in starts.tolist()])
        return float(np.linalg.norm(ends - starts, axis=1).mean())

    assert there_and_back(total, evened) < 0.6 * there_and_back(total, exact)
    assert there_and_back(evened, total) < there_and_back(total, exact)
    np.testing.assert_array_equal(evened[~valid], exact[~valid])


def test_a_coarse_start_changes_the_way_but_not_the_inverse() -> None:
    """So many voxels that coarser ones go first; every bend is mapped back through the written transform."""
    image = sitk.Image([64, 62, 60], sitk.sitkUInt8)
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    grid = Grid.of(image)
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.size_zyx), indexing="ij")
    total = np.stack([4 * np.sin(y / 9.0), 3 * np.sin(z / 8.0) + 5, 4 * np.sin(x / 10.0)], axis=-1)
    inverse, valid, residual = invert_displacement(total, grid, grid)
    assert valid[12:-12, 12:-12, 12:-12].all()
    assert residual < 0.1
    forward = displacement_transform(total, grid)
    for k, j, i in np.argwhere(valid)[::4001].tolist():
        point = np.array(image.TransformIndexToPhysicalPoint((i, j, k)))
        returned = forward.TransformPoint((point + inverse[k, j, i]).tolist())
        assert np.linalg.norm(returned - point) < 0.1


def test_a_steep_field_is_inverted_everywhere() -> None:
    """Slopes from 0.15 to 1.85 along x: steps with one slope for all points do not end."""
    image = sitk.Image([48, 12, 12], sitk.sitkUInt8)
    grid = Grid.of(image)
    x = np.arange(48)
    mapped = x + 8.5 * np.sin(x / 10.0)
    total = np.zeros((12, 12, 48, 3))
    total[..., 0] = mapped - x
    inverse, valid, _ = invert_displacement(total, grid, grid)
    reached = slice(1, int(mapped[-1]))
    assert valid[..., reached].all()
    back = np.interp(x + inverse[6, 6, :, 0], x, mapped)
    np.testing.assert_allclose(back[reached], x[reached], atol=0.1)


@slow
@given(geometries(shear=True), geometries(shear=True), st.integers(0, 10_000))
def test_vectors_on_another_grid(source: sitk.Image, target: sitk.Image, seed: int) -> None:
    """Axis by axis on the same axes, point by point on others: both as SimpleITK samples them."""
    grid = Grid.of(source)
    vectors = np.random.default_rng(seed).normal(size=(*grid.size_zyx, 3))
    finer = grid.resized((grid.size_zyx[0] * 2, grid.size_zyx[1] + 3, max(2, grid.size_zyx[2] - 1)))
    for onto in (finer, Grid.of(target)):
        expected = sitk.GetArrayFromImage(
            sitk.Resample(
                displacement_image(vectors, grid),
                onto.to_reference_image(),
                IDENTITY,
                sitk.sitkLinear,
                0.0,
                sitk.sitkVectorFloat64,
            )
        )
        found = on_grid(vectors, grid, onto)
        inside = (expected != 0).all(axis=-1)
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)
