"""Registrations with known truth: a real volume is deformed and degraded, and registered to what it was."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from VoxelOptRegistrationLib.comparison import Comparison
from VoxelOptRegistrationLib.devices import choose_device
from VoxelOptRegistrationLib.fields.algebra import exponential
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth
from VoxelOptRegistrationLib.images.displacement import displacement_transform, interpolate, world_vectors
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.resampling import sample_mask, warp_image
from VoxelOptRegistrationLib.inspection.body import body_mask
from VoxelOptRegistrationLib.memory_plan import Budget, make_plan
from VoxelOptRegistrationLib.presets import load_preset
from VoxelOptRegistrationLib.progress import Watcher
from VoxelOptRegistrationLib.registration import Inputs
from VoxelOptRegistrationLib.solvers.solution import Evidence
from VoxelOptRegistrationLib.solving import Problem, solve_problem
from VoxelOptRegistrationLib.stopwatch import Stopwatch

VELOCITY_SPACING = 4.0
"""mm, of the grid on which random velocities are drawn."""


@dataclass(frozen=True)
class Deformation:
    """What is done to a volume. amplitude: 95th percentile of the displacement's length, mm. width: standard deviation
    of the Gaussian that smooths the random velocity, mm. noise, bias, contrast: see `degraded`. seed: of all of it.
    """

    seed: int
    amplitude: float
    width: float
    noise: float = 0.02
    bias: float = 0.1
    contrast: float = 0.3


@dataclass(frozen=True)
class Measured:
    """One registration at the voxels of the working grid. spacing: its voxel's side, mm. body: bool (Z, Y, X), where
    the truth is known, inside the body; error: (Z, Y, X), mm.
    """

    evidence: Evidence
    spacing: float
    body: np.ndarray
    error: np.ndarray


def random_mapping(grid: Grid, deformation: Deformation) -> tuple[Tensor, Tensor]:
    """A diffeomorphism of `grid` and its inverse, (3, Z, Y, X), voxels of a grid that is isotropic or near."""
    generator = torch.Generator().manual_seed(deformation.seed)
    sigma = deformation.width / float(np.mean(grid.spacing))
    white = torch.randn((3, *grid.size_zyx), generator=generator)
    rough = torch.randn((3, *grid.size_zyx), generator=generator)
    wide, narrow = (gaussian_smooth(noise, width) for noise, width in ((white, sigma), (rough, 0.4 * sigma)))
    velocity = wide / wide.std() + 0.3 * narrow / narrow.std()
    wanted = deformation.amplitude / float(np.mean(grid.spacing))
    for _ in range(4):
        reached = float(exponential(velocity).norm(dim=0).quantile(0.95))
        velocity = velocity * (wanted / reached)
    return exponential(velocity), exponential(-velocity)


def degraded(image: sitk.Image, deformation: Deformation) -> sitk.Image:
    """The image with noise (standard deviation as a share of the range of its grey values), a smooth change of gain
    (standard deviation of its logarithm) and three blobs of another brightness (peak, as a share of the range).
    """
    generator = np.random.default_rng(deformation.seed + 10_000)
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    low, high = np.percentile(values, (1, 99.5))
    span = float(high - low)
    there = np.flatnonzero(values > low + 0.15 * span)
    sides = Grid.of(image).spacing[::-1]
    gain, added = np.zeros_like(values), np.zeros_like(values)
    for number in range(6):
        centre = np.unravel_index(there[generator.integers(len(there))], values.shape)
        width = generator.uniform(40, 80) if number < 3 else generator.uniform(8, 16)
        z, y, x = (
            np.exp(-0.5 * ((np.arange(n) - c) * side / width) ** 2).astype(np.float32)
            for n, c, side in zip(values.shape, centre, sides, strict=True)
        )
        blob = generator.choice((-1.0, 1.0)) * z[:, None, None] * y[:, None] * x
        if number < 3:
            gain += np.float32(deformation.bias) * blob
        else:
            added += np.float32(deformation.contrast * span) * blob
    inside = values > low + 0.05 * span
    values = np.where(inside, low + (values - low) * np.exp(gain) + added, values)
    values += np.float32(deformation.noise * span) * generator.standard_normal(values.shape, np.float32)
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


@lru_cache(maxsize=1)
def original(path: Path, background: float | None) -> tuple[sitk.Image, sitk.Image]:
    """The volume, float32, and where its body is."""
    volume = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
    body = sitk.GetImageFromArray(body_mask(volume, background).astype(np.uint8))
    body.CopyInformation(volume)
    return volume, body


def register_known(path: Path, preset: str, deformation: Deformation) -> Measured:
    """Deform the volume of `path`, register it to the original with `preset`, and measure the error.

    The volumes stay aligned as they are: only the deformation is looked for.
    """
    settings = dataclasses.replace(load_preset(preset), device="cpu")
    fixed, body = original(path, settings.background)
    grid = Grid.of(fixed).with_spacing(VELOCITY_SPACING)
    truth, back = (world_vectors(field.numpy(), grid) for field in random_mapping(grid, deformation))
    moved = warp_image(fixed, fixed, displacement_transform(back, grid), default=float(_floor(fixed)))
    inputs = Inputs(fixed, degraded(moved, deformation)).validated()
    device = choose_device("cpu")
    watcher = Watcher()
    comparison = Comparison.plan(inputs, settings.features, device.free_bytes, watcher.log)
    plan = make_plan(fixed, moved, comparison.channels, settings, Budget.of(device, settings))
    work = plan.work
    problem = Problem(inputs, settings, sitk.Transform(3, sitk.sitkIdentity), comparison, device, watcher)
    solution, fine = solve_problem(problem, plan, Stopwatch())
    points = _points(work)
    known = interpolate(truth, grid, points)
    found = interpolate(world_vectors(solution.displacement.numpy(), fine), fine, points)
    inside = sample_mask(body, work) & _within(points + known, Grid.of(fixed))
    error = np.linalg.norm(found - known, axis=-1).astype(np.float32)
    return Measured(solution.evidence, float(np.prod(work.spacing) ** (1 / 3)), inside, error)


def _floor(image: sitk.Image) -> float:
    return float(np.percentile(sitk.GetArrayViewFromImage(image), 0.5))


def _points(grid: Grid) -> np.ndarray:
    """Voxel centres (Z, Y, X, 3), LPS mm."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size_zyx), indexing="ij"), -1)[..., ::-1]
    return index @ grid.index_to_world[:3, :3].T + grid.index_to_world[:3, 3]


def _within(points: np.ndarray, grid: Grid) -> np.ndarray:
    matrix = grid.world_to_index
    index = points @ matrix[:3, :3].T + matrix[:3, 3]
    return ((index >= 0) & (index <= np.array(grid.size_xyz) - 1)).all(axis=-1)
