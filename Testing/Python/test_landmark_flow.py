"""Displacements that carry landmarks: closed form, invertible whatever is asked, exactly nothing where nothing is."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from VoxelOptRegistrationLib.fields.jacobian import smallest_cell_determinant
from VoxelOptRegistrationLib.fields.landmark_flow import landmark_flow
from VoxelOptRegistrationLib.fields.sampling import identity_grid, sample
from VoxelOptRegistrationLib.images.transforms import affine_transform, inverse_points

SHAPE = (24, 26, 28)
RADIUS = (4.0, 5.0, 6.0)


def carried(points: Tensor, flow: Tensor) -> Tensor:
    return points + sample(flow.double(), points.T.contiguous()).T


def random_points(count: int, seed: int, margin: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    sides = torch.tensor(SHAPE, dtype=torch.float64)
    return margin + torch.rand((count, 3), generator=generator, dtype=torch.float64) * (sides - 1 - 2 * margin)


def test_a_small_correction_is_a_gaussian_around_its_point() -> None:
    point = torch.tensor([[12.0, 13.0, 14.0]], dtype=torch.float64)
    wanted = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    flow = landmark_flow(point, point + wanted, RADIUS, SHAPE)
    distance = (identity_grid(SHAPE).double() - point.view(3, 1, 1, 1)) / torch.tensor(RADIUS).view(3, 1, 1, 1)
    gaussian = torch.exp(-0.5 * distance.square().sum(dim=0))
    # One voxel's difference moves the centre of the Gaussian by less than a third of a voxel.
    torch.testing.assert_close(flow, (wanted.view(3, 1, 1, 1) * gaussian).float(), atol=0.02, rtol=0)
    assert float(flow[:, 0, 0, 0].abs().max()) < 1e-3


def test_points_that_are_there_already_move_nothing() -> None:
    points = random_points(7, 0)
    assert torch.equal(landmark_flow(points, points, RADIUS, SHAPE), torch.zeros(3, *SHAPE))


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 1000), length=st.floats(0.5, 4.0))
def test_points_arrive_and_nothing_folds(count: int, seed: int, length: float) -> None:
    """Points moved by one smooth motion, as anatomy is, land within a tenth of what they had to go."""
    points = random_points(count, seed)
    turn = torch.tensor([[0.0, -0.3, 0.2], [0.3, 0.0, -0.1], [-0.2, 0.1, 0.0]], dtype=torch.float64)
    motion = length * (torch.tensor([0.6, -0.5, 0.6]) + 0.05 * (points - 12) @ turn)
    flow = landmark_flow(points, points + motion, RADIUS, SHAPE)
    missed = (carried(points, flow) - points - motion).norm(dim=1)
    assert float(missed.max()) < 0.1 * float(motion.norm(dim=1).max()) + 0.05
    assert float(smallest_cell_determinant(flow).min()) > 0


@settings(max_examples=8, deadline=None)
@given(count=st.integers(2, 8), seed=st.integers(0, 1000), length=st.floats(1.0, 12.0))
def test_contradictory_points_never_fold(count: int, seed: int, length: float) -> None:
    points = random_points(count, seed)
    points[1] = points[0] + 0.3
    goal = points + length * torch.randn(
        points.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64
    )
    flow = landmark_flow(points, goal, RADIUS, SHAPE)
    assert bool(torch.isfinite(flow).all())
    assert float(smallest_cell_determinant(flow).min()) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_linear_transforms_are_undone_at_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] += random.uniform(-0.2, 0.2, (3, 3))
    matrix[:3, 3] = random.uniform(-200, 200, 3)
    points = random.uniform(-300, 300, (5, 3))
    transform = affine_transform(matrix)
    found = inverse_points(transform, points)
    np.testing.assert_allclose([transform.TransformPoint(p) for p in found.tolist()], points, atol=1e-8)


def test_warps_are_undone_at_points() -> None:
    z, y, x = np.meshgrid(*(np.arange(n) * 4.0 for n in (20, 22, 24)), indexing="ij")
    vectors = np.stack([6 * np.sin(y / 15), 5 * np.cos(z / 18), 4 * np.sin(x / 20)], axis=-1)
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.SetSpacing((4.0, 4.0, 4.0))
    transform = sitk.DisplacementFieldTransform(image)
    points = np.random.default_rng(0).uniform(15, 60, (20, 3))
    found = inverse_points(transform, points)
    np.testing.assert_allclose([transform.TransformPoint(p) for p in found.tolist()], points, atol=1e-3)
    assert inverse_points(transform, np.zeros((0, 3))).shape == (0, 3)


def test_points_outside_the_grid_reach_into_it() -> None:
    point = torch.tensor([[-2.0, 13.0, 14.0]], dtype=torch.float64)
    flow = landmark_flow(point, point + torch.tensor([0.0, 1.0, 0.0]), RADIUS, SHAPE)
    assert 0.5 < float(flow[1, 0, 13, 14]) < 1.0 and float(flow[1, -1].abs().max()) < 0.01
