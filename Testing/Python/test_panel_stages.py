"""Time left and stages in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import MODULE
from host import start
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.progress import Progress


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with start(tmp_path_factory.mktemp("host")):
        from VoxelOptRegistrationLib.panel import stages

        yield stages


def test_every_stage_that_a_run_goes_through_has_words(stages: ModuleType) -> None:
    calls = []
    for file in ("pipeline.py", "solving.py", "worker/server.py"):
        tree = ast.parse((MODULE / "VoxelOptRegistrationLib" / Path(file)).read_text(encoding="utf-8"))
        calls += [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("watcher.step", "problem.report")
        ]
    keys = {ast.literal_eval(call.args[0]) for call in calls}
    assert {"align", "solve", "refine", "inspect"} <= keys
    for key in keys:
        assert stages.stage_words(key) != key and stages.stage_words(key)[0].isupper()


def test_the_share_of_time_grows_from_nothing_to_all(stages: ModuleType) -> None:
    shares = [stages.time_share(step / 200) for step in range(201)]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)


@settings(max_examples=100)
@given(duration=st.floats(5.0, 4000.0), steps=st.integers(5, 60))
def test_a_run_that_goes_on_evenly_is_foreseen_exactly(stages: ModuleType, duration: float, steps: int) -> None:
    left = stages.TimeLeft(100.0)
    for step in range(1, steps):
        elapsed = duration * step / steps
        left.update(step / steps, 100.0 + elapsed)
        told = left.seconds(100.0 + elapsed)
        assert told is None or told == pytest.approx(duration - elapsed, abs=1e-6 * duration)
        assert (told is None) == (elapsed < stages.FIRST_ESTIMATE_SECONDS)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 300.0)), min_size=1, max_size=30))
def test_time_left_is_never_negative(stages: ModuleType, steps: list[tuple[float, float]]) -> None:
    left, now = stages.TimeLeft(0.0), 0.0
    for fraction, pause in steps:
        now += pause
        left.update(fraction, now)
        told = left.seconds(now + pause)
        assert told is None or told >= 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "a few seconds left"),
        (12, "about 10 s left"),
        (88, "about 90 s left"),
        (150, "about 2 min left"),
    ],
)
def test_time_left_is_told_as_precisely_as_it_is_known(stages: ModuleType, seconds: float | None, words: str) -> None:
    assert stages.time_left_words(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (42.4, "42 s"), (300, "5 min")])
def test_durations_in_words(stages: ModuleType, seconds: float, words: str) -> None:
    assert stages.duration_words(seconds) == words


def test_a_stage_and_its_time_on_one_line(stages: ModuleType) -> None:
    assert stages.progress_words(Progress("align", 0.1, "x"), 60.0) == "Aligning the volumes, about 60 s left"
    assert stages.progress_words(Progress("unknown", 0.1, "x"), None) == "unknown"
