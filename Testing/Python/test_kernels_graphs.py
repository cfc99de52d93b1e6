"""Recording and replaying small levels: bookkeeping, comparison and fallback, with a recorder on the processor.

It records every operation with the memory it reads and writes, and does them again on that memory, as a CUDA graph
does. Only the last test captures on a GPU.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from device_work import TapeRecorder
from solver_images import textured
from torch import Tensor
from VoxelOptRegistrationLib import fallbacks
from VoxelOptRegistrationLib.errors import Cancelled, OutOfMemory
from VoxelOptRegistrationLib.fields import algebra
from VoxelOptRegistrationLib.kernels import graphs
from VoxelOptRegistrationLib.kernels.graphs import LARGEST_VOXELS, Graphs, kept_graphs, release_graphs
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.options import VoxelOptOptions
from VoxelOptRegistrationLib.solvers import driver, voxelopt
from VoxelOptRegistrationLib.solvers.voxelopt import solve
from VoxelOptRegistrationLib.worker import server

CPU = torch.device("cpu")
SHAPE = (16, 18, 16)
OPTIONS = VoxelOptOptions(levels=3, couplings=(0.01, 0.3), subvoxel_rounds=0)


class Mean:
    """A pure function to record, which counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, first: Tensor, second: Tensor | None, weight: float) -> Tensor:
        self.runs += 1
        total = first * weight
        return total if second is None else total.add_(second * (1.0 - weight))


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape or (1, 2, 3, 4), generator=torch.Generator().manual_seed(seed))


def use(held: Graphs, function: Any, times: int, first: int = 0, weight: float = 0.25) -> None:
    """Calls with other inputs every time, whose results must be right."""
    for seed in range(first, first + times):
        pair = numbers(seed), numbers(seed + 1000)
        assert torch.equal(held(function, pair, weight), Mean()(*pair, weight))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_comes_again_is_recorded_compared_twice_and_then_replayed() -> None:
    record, function = TapeRecorder(), Mean()
    held = Graphs(record, "cpu")
    use(held, function, 2)
    assert (record.recordings, record.replays, function.runs) == (0, 0, 2)
    use(held, function, 2, first=2)
    assert (record.recordings, record.replays, function.runs) == (1, 2, 5)  # four eager, one while recording
    use(held, function, 5, first=4)
    assert (record.recordings, record.replays, function.runs) == (1, 7, 5)
    assert len(held) == 1 and held.given_up == frozenset()


def test_other_shapes_types_settings_and_missing_inputs_are_recorded_anew() -> None:
    record, function = TapeRecorder(), Mean()
    held = Graphs(record, "cpu")
    second = numbers(1)
    kinds = [
        ((numbers(0), second), 0.25),
        ((numbers(0), None), 0.25),
        ((numbers(0), second), 0.5),
        ((numbers(0).double(), second), 0.25),
        ((numbers(0, 1, 3, 2, 4), numbers(1, 1, 3, 2, 4)), 0.25),
    ]
    for _ in range(6):
        for tensors, weight in kinds:
            assert torch.equal(held(function, tensors, weight), Mean()(*tensors, weight))
    assert record.recordings == len(held) == len(kinds)
    other = Mean()
    use(held, other, 4)
    assert record.recordings == len(kinds) + 1


def test_results_and_inputs_are_not_the_recordings_memory() -> None:
    held, function = Graphs(TapeRecorder(), "cpu"), Mean()
    use(held, function, 5)
    pair = numbers(50), numbers(51)
    before = [tensor.clone() for tensor in pair]
    result = held(function, pair, 0.25)
    expected = result.clone()
    use(held, function, 3, first=60)
    assert torch.equal(result, expected)
    assert all(torch.equal(tensor, old) for tensor, old in zip(pair, before, strict=True))


def off_by_a_little(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    return lambda: work() + 1e-4


def deaf(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Replays what it was recorded with, whatever the inputs are now."""
    result = work()
    return lambda: result


def without_numbers(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    return lambda: work() * torch.nan


def unable(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    raise RuntimeError("operation not permitted when\nstream is capturing")


@pytest.mark.parametrize(
    ("record", "said"),
    [(off_by_a_little, "differs by 0.0001"), (deaf, "differs by"), (without_numbers, "nan"), (unable, "not permitted")],
)
def test_what_does_not_agree_or_cannot_be_recorded_is_logged_once_and_never_used(
    record: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    held, function = Graphs(record, "cpu"), Mean()
    use(held, function, 4)
    assert [said in text and "\n" not in text for text in warnings(caplog)] == [True]
    assert held.given_up == {CPU} and len(held) == 0
    assert not held.serve(numbers(0))


def test_a_replay_that_fails_later_is_computed_instead(caplog: pytest.LogCaptureFixture) -> None:
    record, function = TapeRecorder(), Mean()

    def tired(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        replay = record(work, device)

        def until_the_fourth() -> Tensor:
            if record.replays == 3:
                raise RuntimeError("launch failure")
            return replay()

        return until_the_fourth

    held = Graphs(tired, "cpu")
    use(held, function, 6)
    assert record.replays == 3 and held.given_up == {CPU} and len(warnings(caplog)) == 1


def test_too_little_memory_to_record_gives_back_all_and_gives_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    record, function = TapeRecorder(), Mean()

    def exhausted(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        if record.recordings == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return record(work, device)

    held = Graphs(exhausted, "cpu")
    use(held, function, 5)
    assert len(held) == 1
    use(held, function, 3, weight=0.5)
    assert len(held) == 0 and held.given_up == frozenset() and warnings(caplog) == []


def test_recordings_are_bounded_and_those_used_last_stay() -> None:
    record, function = TapeRecorder(), Mean()
    held = Graphs(record, "cpu")
    volumes = [torch.ones(1, 1, 1, LARGEST_VOXELS - index) for index in range(6)]
    for volume in volumes[:4]:
        for _ in range(4):
            held(function, (volume, None), 0.5)
    assert len(held) == 4
    held(function, (volumes[0], None), 0.5)
    for _ in range(3):
        held(function, (volumes[4], None), 0.5)
    assert len(held) == 4
    recordings = record.recordings
    held(function, (volumes[0], None), 0.5)
    assert record.recordings == recordings
    held(function, (volumes[1], None), 0.5)
    assert record.recordings == recordings + 1


def test_only_small_volumes_of_its_devices_are_served() -> None:
    held = Graphs(TapeRecorder(), "cpu")
    assert held.serve(torch.empty(12, 1, 1, LARGEST_VOXELS))
    assert not held.serve(torch.empty(1, 1, 1, LARGEST_VOXELS + 1))
    assert not held.serve(torch.empty(1, 1, 1, 1, device="meta"))
    assert not held.serve(torch.empty(1, 1, 1, 1, requires_grad=True))
    assert not kept_graphs().serve(torch.empty(1, 1, 1, 1))


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> tuple[Graphs, TapeRecorder]:
    """Solves on the processor as on a GPU: in plain torch, without reading numbers, on graphs recorded here."""
    monkeypatch.setenv(SWITCH, "torch")
    for module in (algebra, driver, voxelopt):
        monkeypatch.setattr(module, "reads_freely", lambda tensor: False)
    record = TapeRecorder()
    held = Graphs(record, "cpu")
    for module in (graphs, voxelopt):
        monkeypatch.setattr(module, "kept_graphs", lambda: held)
    return held, record


def test_solves_of_one_size_replay_their_levels_and_find_the_same(
    replaying: tuple[Graphs, TapeRecorder], caplog: pytest.LogCaptureFixture
) -> None:
    held, record = replaying
    trust = torch.ones(SHAPE, dtype=torch.bool)
    trust[:5, 3:9] = False
    replays = []
    for seed in range(4):
        pair = textured(2, SHAPE, seed), textured(2, SHAPE, seed + 10)
        trusts = (trust.roll(seed, 0), trust)
        eager = solve(*pair, OPTIONS, *trusts)
        found = solve(*pair, dataclasses.replace(OPTIONS, graphs=True), *trusts)
        replays.append(record.replays)
        assert eager.displacement.abs().max() > 0.5
        assert torch.equal(found.displacement, eager.displacement)
        assert eager.backward is not None and torch.equal(found.backward, eager.backward)
    assert replays == [0, 6, 12, 18]  # two ways, three levels
    assert record.recordings == len(held) == 3 and warnings(caplog) == []


def test_a_solve_can_be_cancelled_before_and_after_a_replay(replaying: tuple[Graphs, TapeRecorder]) -> None:
    held, record = replaying
    options = dataclasses.replace(OPTIONS, graphs=True, levels=1, inverse_consistency=False)
    pair = textured(1, SHAPE, 1), textured(1, SHAPE, 2)
    for _ in range(5):
        solve(*pair, options)
    for asked, replays in ((1, 3), (2, 4)):
        checks = 0

        def checkpoint(asked: int = asked) -> None:
            nonlocal checks
            checks += 1
            if checks == asked:
                raise Cancelled()

        with pytest.raises(Cancelled):
            solve(*pair, options, checkpoint=checkpoint)
        assert record.replays == replays and held.given_up == frozenset() and len(held) == 1


def test_nothing_is_recorded_unless_asked_for(replaying: tuple[Graphs, TapeRecorder]) -> None:
    for _ in range(4):
        solve(textured(1, SHAPE, 1), textured(1, SHAPE, 2), dataclasses.replace(OPTIONS, levels=1))
    assert replaying[1].recordings == 0


@pytest.mark.parametrize("who", ["release_graphs", "the registration process", "running out of memory"])
def test_the_memory_of_recordings_is_given_back(
    who: str, replaying: tuple[Graphs, TapeRecorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, record = replaying
    kept: list[weakref.ref] = []

    def remembering(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        replay = record(work, device)
        kept.append(weakref.ref(replay()))
        return replay

    monkeypatch.setattr(held, "_record", remembering)
    function = Mean()
    use(held, function, 5)
    assert kept[0]() is not None
    if who == "release_graphs":
        release_graphs()
    elif who == "the registration process":
        server._release_memory()
    else:
        run_out_of_memory(monkeypatch)
    gc.collect()
    assert len(held) == 0 and kept[0]() is None
    use(held, function, 2, first=10)
    assert record.recordings == 1  # what came before is forgotten


def run_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: Any) -> None:
        raise OutOfMemory("Too little.")

    monkeypatch.setattr(fallbacks, "solve_problem", no_memory)
    monkeypatch.setattr(fallbacks, "_smaller", no_memory)
    work = dataclasses.make_dataclass("Grid", ["voxels"])(10**6)
    plan = dataclasses.make_dataclass("Plan", ["work"])(work)
    with pytest.raises(OutOfMemory):
        fallbacks.solve_within_memory(None, plan, None)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")
@pytest.mark.parametrize("kernels", ["", "torch"])
def test_replays_on_a_gpu_find_what_eager_solves_find(
    kernels: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SWITCH, kernels)
    release_graphs()
    shape = (48, 40, 64)
    trust = torch.ones(shape, dtype=torch.bool, device="cuda")
    trust[:5] = False
    options = VoxelOptOptions()
    for seed in range(5):
        pair = textured(12, shape, seed).cuda(), textured(12, shape, seed + 10).cuda()
        for trusts in ((None, None), (trust, trust.roll(seed, 1))):
            eager = solve(*pair, options, *trusts).displacement
            found = solve(*pair, dataclasses.replace(options, graphs=True), *trusts).displacement
            torch.testing.assert_close(found, eager, rtol=0, atol=1e-4)
    levels = 5
    assert len(kept_graphs()) == 2 * levels
    assert kept_graphs().given_up == frozenset() and warnings(caplog) == []
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    release_graphs()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < held
