"""Fused GPU kernels against their torch twins, on Triton's interpreter and, where there is one, on a GPU."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable

import pytest
import torch
from fused_support import InOtherProcess, channels_far_apart, close, compiled, numbers, solved, variants, watched_level
from VoxelOptRegistrationLib.fields.sampling import gather_sample, identity_grid
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.options import Border, EntropyScale, Smoothing, Ties, VoxelOptOptions
from VoxelOptRegistrationLib.solvers.candidates import (
    candidate_displacements,
    similarity_scores,
    squared_difference_scores,
)
from VoxelOptRegistrationLib.solvers.coupling import best_displacement
from VoxelOptRegistrationLib.solvers.entropy import displacement_entropy, scaled_entropy
from VoxelOptRegistrationLib.solvers.message_passing import entropy_filter
from VoxelOptRegistrationLib.solvers.voxelopt import solve

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


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize(("sides", "reach"), [((5, 6, 7), 3.0), ((1, 8, 3), 0.4), ((9, 7, 11), 60.0)])
def test_warping(run: Callable, border: Border, sides: tuple[int, int, int], reach: float) -> None:
    volume, displacement = numbers(2, *sides), numbers(3, *SHAPE, seed=1) * reach
    points = identity_grid(SHAPE, dtype=torch.float64) + displacement
    expected = gather_sample(volume.double(), points, border)
    close(run("kernels.gpu.warping.warp", volume, displacement, border), expected, 2e-5)


def test_warping_half_precision_keeps_its_coordinates_whole(run: Callable) -> None:
    volume, displacement = numbers(1, 1, 1, 3000).half(), torch.full((3, 1, 1, 2998), 0.25)
    displacement[:2] = 0.0
    expected = 0.75 * volume[..., :2998].double() + 0.25 * volume[..., 1:2999].double()
    found = run("kernels.gpu.warping.warp", volume, displacement, Border.ZERO)
    assert found.dtype is torch.float16
    close(found, expected, 2e-3)  # half a unit in the last place of numbers up to 4


@pytest.mark.parametrize("border", list(Border))
def test_warping_by_what_is_not_a_number_stays_inside_the_memory(run: Callable, border: Border) -> None:
    displacement = torch.full((3, *SHAPE), math.nan)
    displacement[:, 4:] = math.inf
    assert run("kernels.gpu.warping.warp", numbers(1, *SHAPE), displacement, border).isfinite().all()


@pytest.mark.parametrize("border", list(Border))
def test_warping_by_nothing_changes_nothing(run: Callable, border: Border) -> None:
    volume = numbers(2, *SHAPE)
    assert torch.equal(run("kernels.gpu.warping.warp", volume, torch.zeros(3, *SHAPE), border), volume)


@pytest.mark.parametrize("border", list(Border))
def test_composition_and_sweeps_to_inverse_consistency(run: Callable, border: Border) -> None:
    outer, inner = numbers(3, *SHAPE), numbers(3, *SHAPE, seed=1) * 2.0
    pulled = gather_sample(outer.double(), identity_grid(SHAPE, dtype=torch.float64) + inner, border)
    close(run("kernels.gpu.warping.add_pulled", outer, inner, 1.0, 1.0, border), inner + pulled, 2e-5)
    swept = run("kernels.gpu.warping.add_pulled", outer, inner, 0.5, -0.5, border)
    close(swept, 0.5 * inner - 0.5 * pulled, 2e-5)


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize(("trusted", "radius"), [("everywhere", 1), ("fixed", 2), ("both", 1)])
def test_scores_and_entropy(run: Callable, border: Border, trusted: str, radius: int) -> None:
    fixed, moving = numbers(5, *SHAPE), numbers(5, *SHAPE, seed=1)
    fixed_trust = None if trusted == "everywhere" else numbers(*SHAPE, seed=2) > -0.5
    moving_trust = numbers(*SHAPE, seed=3) > -0.5 if trusted == "both" else None
    candidates = candidate_displacements(radius)
    volumes = (fixed, moving, candidates, fixed_trust, moving_trust)
    expected = similarity_scores(fixed, moving, candidates, border, fixed_trust, moving_trust)
    scores, entropy = run("kernels.gpu.matching.scores_and_entropy", *volumes, border, 3.0, False)
    close(scores, expected, 2e-6)
    scaled = scaled_entropy(entropy, len(candidates), EntropyScale.CANDIDATES)
    close(scaled, displacement_entropy(expected, 3.0, EntropyScale.CANDIDATES), 1e-5)


def test_squared_scores(run: Callable) -> None:
    fixed, moving, candidates = numbers(3, *SHAPE), numbers(3, *SHAPE, seed=1), candidate_displacements(1)
    trust = numbers(*SHAPE, seed=2) > 0
    expected = squared_difference_scores(fixed, moving, candidates, Border.ZERO, None, trust)
    arguments = (fixed, moving, candidates, None, trust, Border.ZERO, True)
    torch.testing.assert_close(run("kernels.gpu.matching.scores", *arguments), expected, atol=1e-5, rtol=1e-5)


def test_half_scores_are_the_rounded_scores_and_entropy_is_not_rounded(run: Callable) -> None:
    arguments = (numbers(2, *SHAPE), numbers(2, *SHAPE, seed=1), candidate_displacements(1), None, None)
    whole, entropy = run("kernels.gpu.matching.scores_and_entropy", *arguments, Border.REPLICATE, 10.0, False)
    half, same_entropy = run("kernels.gpu.matching.scores_and_entropy", *arguments, Border.REPLICATE, 10.0, True)
    assert half.dtype is torch.float16 and torch.equal(half, whole.half())
    assert torch.equal(entropy, same_entropy)


@pytest.mark.parametrize("ties", list(Ties))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_best_displacement(run: Callable, ties: Ties, dtype: torch.dtype) -> None:
    # Eighths and powers of two are exact, in whatever order they are added: many ties, all of them true.
    candidates = candidate_displacements(1)
    scores = (numbers(27, *SHAPE) * 2.0).round().div(8.0).to(dtype)
    smooth = numbers(3, *SHAPE, seed=1).mul(2.0).round().div(2.0)
    operation = "kernels.gpu.coupling.best_displacement"
    alone = run(operation, scores, candidates, None, 0.0, ties)
    assert torch.equal(alone, best_displacement(scores.float(), candidates, ties))
    coupled = run(operation, scores, candidates, smooth, 0.125, ties)
    assert torch.equal(coupled, best_displacement(scores.float(), candidates, ties, smooth, 0.125))
    assert not torch.equal(coupled, alone)


def test_scores_that_are_not_numbers_leave_a_voxel_where_it_is(run: Callable) -> None:
    scores = torch.full((27, 2, 3, 4), math.nan)
    arguments = (scores, candidate_displacements(1), None, 0.0, Ties.CENTRE)
    assert torch.equal(run("kernels.gpu.coupling.best_displacement", *arguments), torch.zeros(3, 2, 3, 4))


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize(("channels", "shape", "passes"), [(2, SHAPE, 1), (1, (4, 1, 6), 2), (1, (1, 5, 4), 1)])
def test_filter(run: Callable, border: Border, channels: int, shape: tuple[int, int, int], passes: int) -> None:
    volume, entropy = numbers(channels, *shape), numbers(*shape, seed=1).sigmoid()
    messages = entropy_filter(entropy, 0.1, 1.5, border, Smoothing.ADAPTIVE)
    found = run("kernels.gpu.filtering.smooth", volume, messages.side[0], passes, border)
    close(found, messages.smooth_(volume.clone(), passes), 2e-6 * passes)


def test_filtering_half_precision_rounds_only_what_it_stores(run: Callable) -> None:
    volume, entropy = numbers(1, 4, 5, 6).half(), numbers(4, 5, 6, seed=1).sigmoid()
    messages = entropy_filter(entropy, 0.1, 0.5, Border.ZERO, Smoothing.ADAPTIVE)
    found = run("kernels.gpu.filtering.smooth", volume, messages.side[0], 1, Border.ZERO)
    assert found.dtype is torch.float16
    close(found, messages.smooth_(volume.float(), 1), 1.1e-3)  # half a unit in the last place below 4, and a little


def test_channels_may_begin_beyond_what_32_bits_number(interpreter: InOtherProcess) -> None:
    assert interpreter.run(channels_far_apart) == [1.0, 2.0, 3.0, 4.0]


def test_a_whole_solve(interpreter: InOtherProcess) -> None:
    fixed, moving = numbers(2, 8, 8, 8), numbers(2, 8, 8, 8, seed=1)
    trust = torch.ones(8, 8, 8, dtype=torch.bool)
    trust[:, :2] = False
    options = VoxelOptOptions(
        levels=1, couplings=(0.1,), prefilter_passes=1, passes=1, inverse_consistency=False, invertible=False
    )
    found, kernels = interpreter.run(solved, fixed, moving, trust, options)
    assert kernels.startswith("triton ")  # still: nothing fell back
    expected = solve(fixed, moving, options, moving_trust=trust).displacement
    assert expected.abs().max() > 0.5
    close(found, expected, 1e-4)


@pytest.mark.parametrize("options", [VoxelOptOptions(), VoxelOptOptions(search_radius=2, half_scores=True)])
def test_a_level_neither_reads_from_the_device_nor_feeds_it(interpreter: InOtherProcess, options) -> None:
    trust = torch.ones(6, 6, 6, dtype=torch.bool)
    volumes = numbers(2, 6, 6, 6), numbers(2, 6, 6, 6, seed=1)
    step, around = interpreter.run(watched_level, *volumes, trust, options)
    assert 50 < step <= 56  # `kernels.graphs` reckons with 55
    assert around == 3


OPERATIONS = {
    "warping.warp": (numbers(1, *SHAPE), numbers(3, *SHAPE), Border.REPLICATE),
    "warping.add_pulled": (numbers(3, *SHAPE), numbers(3, *SHAPE), 0.5, -0.5, Border.ZERO),
    "matching.scores_and_entropy": (
        *(numbers(2, *SHAPE), numbers(2, *SHAPE), candidate_displacements(1)[:7], numbers(*SHAPE) > 0),
        *(numbers(*SHAPE) > 0, Border.REPLICATE, 10.0, True),
    ),
    "coupling.best_displacement": (numbers(27, *SHAPE), candidate_displacements(1), numbers(3, *SHAPE), 1.0, Ties.SUM),
    "filtering.smooth": (numbers(1, *SHAPE).half(), numbers(*SHAPE), 1, Border.REPLICATE),
}


def test_sizes_compile_nothing_anew(compiler: InOtherProcess) -> None:
    calls: dict[str, list[tuple]] = {}
    for size in [(9, 7, 11), (16, 32, 48), (1, 16, 5)]:
        volume, field, weights = numbers(1, *size), numbers(3, *size), numbers(*size)
        calls.setdefault("warping.warp", []).append((volume, field, Border.ZERO))
        calls.setdefault("filtering.smooth", []).append((field, weights, 1, Border.ZERO))
        calls.setdefault("matching.scores", []).append(
            (volume, volume, candidate_displacements(1), None, None, Border.ZERO, False)
        )
        calls.setdefault("pyramid.halve", []).append((volume, (True, True, True)))
        calls.setdefault("jacobian.smallest_cell_determinant", []).append((field,))
    assert {operation: compiler.run(variants, operation, each) for operation, each in calls.items()} == dict.fromkeys(
        calls, 1
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_compile_for_a_gpu(compiler: InOtherProcess, operation: str) -> None:
    # The interpreter is laxer than the compiler, which needs no GPU.
    assert compiler.run(compiled, operation, 80, *OPERATIONS[operation]) > 1000
