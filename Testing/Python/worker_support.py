"""What the worker's tests share: requests, clients, and looking at real processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.data import Callbacks, ImageData, RegistrationRequest
from VoxelOptRegistrationLib.worker.job import Job
from VoxelOptRegistrationLib.worker.processes import ProcessIdentity
from worker_stand_in import STAND_IN

FIXED_MATRIX = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
MOVING_MATRIX = np.array([[-1.0, 0, 0, 9], [0, 0, 2.0, 8], [0, 1.0, 0, 7], [0, 0, 0, 1]])


def request(behaviour: str = "quick", **more: Any) -> RegistrationRequest:
    """A small request with different, oblique grids that makes the stand-in behave so."""
    random = np.random.default_rng(3)
    fixed = ImageData(random.integers(-1000, 1000, (5, 6, 7)).astype(np.int16), FIXED_MATRIX)
    moving = ImageData(random.random((6, 4, 8), dtype=np.float32), MOVING_MATRIX)
    return RegistrationRequest(fixed, moving, settings={"behaviour": behaviour}, **more)


def stand_in_client(folder: Path, **more: Any) -> WorkerClient:
    """A client of the stand-in whose private folders are made in `folder`."""
    return WorkerClient(folder=folder, entry=[str(STAND_IN)], **more)


def begin(client: WorkerClient, behaviour: str) -> tuple[Job, str]:
    """Start a job and wait until it computes; the job and the text of its first step in stage "solve"."""
    texts: list[str] = []

    def note(step: Any) -> None:
        if step.stage == "solve":
            texts.append(step.text)

    job = client.register(request(behaviour), Callbacks(progress=note))
    until(lambda: bool(texts) or job.poll().final)
    assert texts, job.error
    return job, texts[0]


def until(condition: Callable[[], bool], seconds: float = 30.0) -> float:
    """Wait for the condition; seconds it took. Fails when it takes longer than `seconds`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - start


def gone(pid: int) -> bool:
    """Whether no process has this id any more."""
    return ProcessIdentity.of(pid) is None


def empty(folder: Path) -> bool:
    """Whether nothing is left in the folder."""
    return not any(folder.iterdir())
