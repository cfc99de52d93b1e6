"""A registration under way, as its starter sees it."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Protocol

from ..errors import RegistrationError
from ..progress import Progress
from .data import Callbacks, RegistrationOutcome

_TURN = 0.1
"""Longest wait for one event, seconds: short enough that Ctrl-C and deadlines are seen."""


class JobState(str, Enum):
    """Where a job stands; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Client(Protocol):
    """What a job needs of its client."""

    def poll(self, timeout: float = 0.0) -> None: ...

    def cancel(self) -> None: ...


class Job:
    """One registration in the background.

    state: see `JobState`; progress: the last step; error: why it failed or that it was cancelled;
    folder: its private folder, gone when the job has ended.
    All of it changes only inside `poll`, `wait` and `cancel`, on the caller's thread.
    """

    def __init__(self, client: Client, number: int, folder: Path, callbacks: Callbacks) -> None:
        self._client = client
        self.number = number
        self.folder = folder
        self.callbacks = callbacks
        self.state = JobState.PENDING
        self.progress = Progress("start", 0.0, "Starting the registration process")
        self.error: RegistrationError | None = None
        self.outcome: RegistrationOutcome | None = None

    @property
    def finished(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self.state.final

    def poll(self) -> JobState:
        """Deliver what has arrived, calling the callbacks, and return at once."""
        if not self.finished:
            self._client.poll()
        return self.state

    def wait(self, timeout: float | None = None) -> JobState:
        """Deliver what arrives until the job has ended or `timeout` seconds are over; returns the state."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.finished:
            left = _TURN if deadline is None else deadline - time.monotonic()
            self._client.poll(max(0.0, min(left, _TURN)))
            if left <= 0:
                break
        return self.state

    def cancel(self) -> None:
        """Ask the job to stop and return at once; a job that does not within two seconds is ended by force."""
        if not self.finished:
            self._client.cancel()

    def result(self) -> RegistrationOutcome:
        """Wait for the end; returns the outcome, or raises the error: `Cancelled`, `InputError`, `ComputationError`."""
        self.wait()
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome
