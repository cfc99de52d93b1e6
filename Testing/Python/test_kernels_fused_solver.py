"""Fused kernels of features, pyramid, warping and sub-voxel steps against their twins; see `test_kernels_fused`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
import torch
from fused_support import InOtherProcess, close, compiled, matched, numbers, served
from VoxelOptRegistrationLib.features.mind import mind_ssc
from VoxelOptRegistrationLib.fields.jacobian import jacobian_determinant, smallest_cell_determinant
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.options import Border, FeatureOptions, Smoothing, VoxelOptOptions
from VoxelOptRegistrationLib.solvers import subvoxel
from VoxelOptRegistrationLib.solvers.driver import Level, known_level, warped_level
from VoxelOptRegistrationLib.solvers.message_passing import entropy_filter
from VoxelOptRegistrationLib.solvers.pyramid import downsample, upsample_displacement

pytestmark = [
    pytest.mark.fused,
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install .[interpreter]"
    ),
]
SHAPE = (9, 7, 11)
"""More voxels than one program of the interpreter does."""
LOW_PASS = VoxelOptOptions()
AXES = [(True, True, True), (False, True, True), (True, False, False)]


@pytest.fixture(autouse=True)
def twins_in_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "torch")


@pytest.mark.parametrize(("shape", "radius", "dilation"), [(SHAPE, 0, 1), ((1, 5, 7), 1, 2)])
def test_mind(run: Callable, shape: tuple[int, int, int], radius: int, dilation: int) -> None:
    image = numbers(*shape) * 300.0 - 500.0
    expected = mind_ssc(image.double(), radius, dilation, 0.01)
    close(run("kernels.gpu.mind.mind_ssc", image, radius, dilation, 0.01), expected, 1e-5)


def test_mind_holds_the_variance_where_nothing_and_where_much_happens(run: Callable) -> None:
    image = torch.zeros(12, 14, 16)
    image[0, 0, 0] = 1000.0
    image[8:, 8:, 8:] = numbers(4, 6, 8) * 0.01
    expected = mind_ssc(image.double(), 0, 1, 0.001)
    close(run("kernels.gpu.mind.mind_ssc", image, 0, 1, 0.001), expected, 1e-5)
    assert expected[:, 9:, 9:, 9:].min() > 0.9  # what would reach down to exp(-12) by its own variance


def test_mind_of_a_constant_image_is_one(run: Callable) -> None:
    assert torch.equal(run("kernels.gpu.mind.mind_ssc", torch.full(SHAPE, 7.0), 0, 1, 0.001), torch.ones(12, *SHAPE))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("shape", [SHAPE, (8, 10, 16), (2, 1, 5)])
def test_halving(run: Callable, shape: tuple[int, int, int], axes: tuple[bool, bool, bool]) -> None:
    volume = numbers(3, *shape)
    expected = downsample(volume.double(), axes, LOW_PASS)
    close(run("kernels.gpu.pyramid.halve", volume, axes), expected, 2e-6)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("shape", [SHAPE, (8, 10, 16)])
def test_doubling(run: Callable, shape: tuple[int, int, int], axes: tuple[bool, bool, bool]) -> None:
    sides = [(n + 1) // 2 if halved else n for n, halved in zip(shape, axes, strict=True)]
    coarse = numbers(3, *sides)
    expected = upsample_displacement(coarse.double(), shape, axes, LOW_PASS)
    close(run("kernels.gpu.pyramid.double", coarse, shape, axes), expected, 4e-6)


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("reach", [0.7, 2.5])
def test_warping_of_what_cannot_be_trusted(run: Callable, border: Border, reach: float) -> None:
    trust = numbers(*SHAPE, seed=2) > -0.5
    level = known_level(numbers(2, *SHAPE), trust)
    displacement = numbers(3, *SHAPE, seed=1) * reach
    expected = warped_level(Level(level.features.double(), trust), displacement.double(), border)
    found, known = run("kernels.gpu.trusted_warping.warp", level.features, trust, displacement, border, 1e-6)
    assert expected.trust is not None and 0.05 < expected.trust.float().mean() < 0.9
    assert torch.equal(known, expected.trust)
    close(found, expected.features, 1e-5)


@pytest.mark.parametrize("border", list(Border))
def test_what_is_warped_by_nothing_is_the_same_to_the_last_bit(run: Callable, border: Border) -> None:
    level = known_level(numbers(2, *SHAPE), numbers(*SHAPE, seed=2) > -0.5)
    arguments = (level.features, level.trust, torch.zeros(3, *SHAPE), border, 1e-6)
    found, known = run("kernels.gpu.trusted_warping.warp", *arguments)
    assert torch.equal(found, level.features) and torch.equal(known, level.trust)


def test_half_a_voxel_from_what_cannot_be_trusted_is_trusted(run: Callable) -> None:
    trust = torch.ones(1, 2, 4, dtype=torch.bool)
    trust[..., 2:] = False
    displacement = torch.zeros(3, 1, 2, 4)
    displacement[2] = torch.tensor([0.0, 0.5, -0.5, 0.0])
    features = known_level(numbers(1, 1, 2, 4), trust).features
    for border in Border:
        _, known = run("kernels.gpu.trusted_warping.warp", features, trust, displacement, border, 1e-6)
        assert known[0].tolist() == [[True, True, True, False]] * 2


@pytest.mark.parametrize("coupling", [0.003, 1.0])
def test_parabola_peaks(run: Callable, coupling: float) -> None:
    scores, smooth = -numbers(7, *SHAPE).square(), numbers(3, *SHAPE, seed=1)
    scores[:, 0] = 0.0
    least = subvoxel._LEAST_CURVATURE
    expected = subvoxel._peaks(scores.double())(smooth.double(), coupling)
    close(run("kernels.gpu.subvoxel.parabola_peaks", scores, smooth, coupling, least), expected, 1e-5)


def test_side_weights(run: Callable) -> None:
    entropy = numbers(*SHAPE).sigmoid()
    entropy[0], entropy[1] = 0.0, 1.0
    expected = entropy_filter(entropy.double(), 0.1, 1.5, Border.ZERO, Smoothing.ADAPTIVE).side[0]
    close(run("kernels.gpu.filtering.side_weights", entropy, 0.1, 1.5), expected, 1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (2, 3, 2)])
def test_determinants(run: Callable, shape: tuple[int, int, int]) -> None:
    field = numbers(3, *shape) * 0.5
    close(run("kernels.gpu.jacobian.jacobian_determinant", field), jacobian_determinant(field.double()), 1e-5)
    smallest = smallest_cell_determinant(field.double())
    assert smallest.min() < 0.0 < smallest.max()
    close(run("kernels.gpu.jacobian.smallest_cell_determinant", field), smallest, 2e-5)
    held = jacobian_determinant(field.double()).clamp(min=0.1).log()
    close(run("kernels.gpu.jacobian.log_determinant", field, 0.1), held, 1e-4)


def test_every_kernel_serves_in_a_solve(interpreter: InOtherProcess) -> None:
    image, trust = numbers(8, 8, 8), torch.ones(8, 8, 8, dtype=torch.bool)
    trust[:, :2] = False
    options = VoxelOptOptions(
        levels=2, couplings=(0.1,), prefilter_passes=0, passes=1, squarings=1, inverse_consistency=False
    )
    arguments = (image, image.roll(1, 2), trust, FeatureOptions(), options)
    found, names = interpreter.run(served, matched, *arguments)
    assert names == [
        "coupling.best_displacement",
        "filtering.side_weights",
        "filtering.smooth",
        "jacobian.smallest_cell_determinant",
        "matching.scores_and_entropy",
        "mind.mind_ssc",
        "pyramid.double",
        "pyramid.halve",
        "subvoxel.parabola_peaks",
        "trusted_warping.warp",
        "warping.add_pulled",
    ]
    expected = matched(*arguments)
    assert expected.abs().max() > 0.5
    close(found, expected, 1e-3)


OPERATIONS = {
    "mind.mind_ssc": (numbers(*SHAPE), 0, 1, 0.001),
    "pyramid.halve": (numbers(2, *SHAPE), (True, False, True)),
    "pyramid.double": (numbers(3, *SHAPE), (17, 7, 22), (True, False, True)),
    "trusted_warping.warp": (numbers(2, *SHAPE), numbers(*SHAPE) > 0, numbers(3, *SHAPE), Border.REPLICATE, 1e-6),
    "subvoxel.parabola_peaks": (numbers(7, *SHAPE), numbers(3, *SHAPE), 0.1, 1e-3),
    "filtering.side_weights": (numbers(*SHAPE), 0.1, 0.5),
    "jacobian.log_determinant": (numbers(3, *SHAPE), 0.1),
    "jacobian.smallest_cell_determinant": (numbers(3, *SHAPE),),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_compile_for_a_gpu(compiler: InOtherProcess, operation: str) -> None:
    assert compiler.run(compiled, operation, 80, *OPERATIONS[operation]) > 1000
