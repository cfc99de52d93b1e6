"""Timing calls in turn, with kernels and without; which kernels a call used; how fast memory is copied."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from ... import kernels
from ...kernels.runtime import SWITCH

_KERNELS = os.path.dirname(kernels.__file__) + os.sep
_NO_KERNELS = ("runtime", "__init__", "launching", "byte_floor", "memory_reuse", "graphs")
"""Files of the package that compute nothing on volumes."""


@dataclass(frozen=True)
class Timed:
    """A call to be timed. plain: without kernels. repeats: after the first one; 0 where the first one is enough."""

    call: Callable[[], object]
    plain: bool
    repeats: int


def in_turn(calls: Mapping[str, Timed], device: str) -> dict[str, float]:
    """The shortest seconds of each call: once, which counts only where nothing follows, then in rounds, so that what
    else the machine does meets all alike.
    """
    first = {name: _seconds(timed, device) for name, timed in calls.items()}
    warm: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(max((timed.repeats for timed in calls.values()), default=0)):
        for name, timed in calls.items():
            if number < timed.repeats:
                warm[name].append(_seconds(timed, device))
    return {name: min(warm[name], default=first[name]) for name in calls}


def _seconds(timed: Timed, device: str) -> float:
    with kernels_off(timed.plain):
        synchronise(device)
        start = time.perf_counter()
        timed.call()
        synchronise(device)
        return time.perf_counter() - start


def synchronise(device: str) -> None:
    """Wait for what a GPU still computes."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


@contextmanager
def kernels_off(off: bool) -> Iterator[None]:
    """With `off`, plain torch alone serves inside; else what is installed, unless the user has switched it off."""
    earlier = os.environ.get(SWITCH)
    if off:
        os.environ[SWITCH] = "torch"
    try:
        yield
    finally:
        if earlier is not None:
            os.environ[SWITCH] = earlier
        else:
            os.environ.pop(SWITCH, None)


def kernels_used(call: Callable[[], object]) -> list[str]:
    """Names of the modules of `kernels` that compute something while `call` runs; found by watching it, once it has run
    unwatched, so that compiling is not slowed down.
    """
    found: set[str] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_KERNELS):
            found.add(Path(frame.f_code.co_filename).stem)

    with kernels_off(False):
        call()
        sys.setprofile(watch)
        try:
            call()
        finally:
            sys.setprofile(None)
    return sorted(found.difference(_NO_KERNELS))
