"""Fused kernels of the refinement against their twins; see `test_kernels_fused`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
import torch
from fused_support import InOtherProcess, close, compiled, descended, gone_on, numbers, served
from solver_images import smooth_field, textured
from VoxelOptRegistrationLib.fields.jacobian import difference
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.fields.smoothing import gaussian_smooth, gaussian_weights
from VoxelOptRegistrationLib.fields.volume_damping import damp_volume_changes
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.options import Border, DescentOptions
from VoxelOptRegistrationLib.refinement.local_correlation import LocalCorrelation

pytestmark = [
    pytest.mark.fused,
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install .[interpreter]"
    ),
]
SHAPE = (9, 7, 11)
"""More voxels than one program of the interpreter does."""


@pytest.fixture(autouse=True)
def twins_in_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "torch")


@pytest.mark.parametrize(("shape", "sigma"), [(SHAPE, 0.4), ((1, 20, 3), 1.7), ((4, 5, 6), 0.01)])
def test_gaussian(run: Callable, shape: tuple[int, int, int], sigma: float) -> None:
    volume = numbers(2, *shape)
    found = run("kernels.gpu.smoothing.gaussian", volume, sigma, gaussian_weights(sigma))
    close(found, gaussian_smooth(volume.double(), sigma), 2e-6)


@pytest.mark.parametrize("shape", [SHAPE, (2, 5, 2)])
def test_along_gradients(run: Callable, shape: tuple[int, int, int]) -> None:
    weights, maps = numbers(3, *shape), numbers(3, *shape, seed=1)
    expected = torch.stack([(weights.double() * difference(maps.double(), a)).sum(dim=0) for a in (-3, -2, -1)])
    close(run("kernels.gpu.differences.along_gradients", weights, maps), expected, 1e-5)


def test_damping_of_volume_changes(run: Callable) -> None:
    field = numbers(3, *SHAPE) * 0.3
    expected = damp_volume_changes(field.double(), 0.15)
    assert (expected - field).abs().max() > 0.1
    close(run("kernels.gpu.volume_damping.damp_volume_changes", field, 0.15, 0.1), expected, 2e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("shape", "radius"), [(SHAPE, 1), ((8, 9, 10), 3), ((1, 2, 6), 2)])
def test_local_correlation(run: Callable, shape: tuple[int, int, int], radius: int, shared: bool) -> None:
    fixed, moving = numbers(*shape), numbers(*shape, seed=1)
    moving[:, :, :4] = 2.0
    share = numbers(*shape, seed=2).sigmoid() if shared else None
    similarity = LocalCorrelation.of(fixed.double(), radius, 0.05)
    expected = similarity.gradient(moving.double(), None if share is None else share.double())
    mean, variance = run("kernels.gpu.local_correlation.moments", fixed, radius)
    close(mean, similarity.mean, 1e-6)
    close(variance, similarity.variance, 3e-6)
    images = (fixed, mean, variance, moving)
    found = run("kernels.gpu.local_correlation.gradient", *images, share, 0.05, 0.0005, radius)
    scale = float(expected.abs().max())
    close(found, expected, 1e-4 * scale)


def test_warping_by_nothing_changes_nothing(run: Callable) -> None:
    # Two equal volumes have to stay where they are; plain torch rounds, and asks first.
    volume, still = numbers(2, *SHAPE), torch.zeros(3, *SHAPE)
    assert torch.equal(run("kernels.gpu.warping.warp", volume, still, Border.REPLICATE), volume)


def test_steps_and_longest_vectors(interpreter: InOtherProcess) -> None:
    update, speed = numbers(3, *SHAPE), numbers(3, *SHAPE, seed=1)
    assert interpreter("kernels.gpu.vectors.longest", update) == pytest.approx(float(update.norm(dim=0).max()), 1e-6)
    length, moved = interpreter.run(gone_on, speed, 0.7, update, 0.2)
    expected = 0.7 * speed + 0.2 * update
    assert length == pytest.approx(float(expected.norm(dim=0).max()), 1e-6)
    close(moved, expected, 1e-6)


def test_every_kernel_serves_in_a_descent(interpreter: InOtherProcess) -> None:
    shape = (7, 8, 9)
    moving = textured(1, shape, 3)[0]
    fixed = warp(moving[None], smooth_field(shape, 1.5, 4))[0]
    trust = torch.ones(shape, dtype=torch.bool)
    trust[:2] = False
    options = DescentOptions(iterations=(2,), momentum=0.5, update_sigma=0.7)
    found, names = interpreter.run(served, descended, fixed, moving, trust, options)
    assert names == [
        "differences.along_gradients",
        "local_correlation.gradient",
        "local_correlation.moments",
        "smoothing.gaussian",
        "vectors.go_on",
        "vectors.longest",
        "volume_damping.damp_volume_changes",
        "warping.add_pulled",
        "warping.warp",
    ]
    expected = descended(fixed, moving, trust, options)
    assert expected.abs().max() > 0.5
    close(found, expected, 1e-3)


OPERATIONS = {
    "smoothing.gaussian": (numbers(2, *SHAPE), 0.4, gaussian_weights(0.4)),
    "differences.along_gradients": (numbers(2, *SHAPE), numbers(2, *SHAPE)),
    "volume_damping.damp_volume_changes": (numbers(3, *SHAPE), 0.15, 0.1),
    "vectors.longest": (numbers(3, *SHAPE),),
    "local_correlation.moments": (numbers(*SHAPE), 2),
    "local_correlation.gradient": (*(numbers(*SHAPE),) * 5, 0.05, 0.0005, 2),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_compile_for_a_gpu(compiler: InOtherProcess, operation: str) -> None:
    assert compiler.run(compiled, operation, 80, *OPERATIONS[operation]) > 1000
