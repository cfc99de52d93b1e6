"""A registration of nodes under way: watches its nodes, shows previews, and writes the outputs at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import slicer

from ..errors import Cancelled, ComputationError, RegistrationError
from ..progress import Progress
from ..worker.client import WorkerClient
from ..worker.data import Callbacks, ImageData, RegistrationOutcome, RegistrationRequest
from ..worker.job import JobState

Scheduler = Callable[[int, Callable[[], None]], None]
POLL_MILLISECONDS = 100


class Preview(Protocol):
    """Shows in the scene how far a run has come; `withdraw` puts everything back."""

    def show(self, displacement: ImageData) -> None: ...

    def withdraw(self) -> None: ...


@dataclass(frozen=True)
class Listeners:
    """Who is told what by a `RegistrationJob`, always on the thread that polls it.

    progress: steps; log: lines for a log pane; completed: the job, once, when it has ended, well or not.
    """

    progress: Callable[[Progress], None] | None = None
    log: Callable[[str], None] | None = None
    completed: Callable[[RegistrationJob], None] | None = None


class RegistrationJob:
    """One registration in the background, from the point of view of the scene.

    state: pending, running, cancelling, done, failed or cancelled. progress: the last step. error: why it failed or was
    cancelled. result: what `finish` made of the outcome. All of it changes only inside `poll`, `wait` and `cancel`, on
    the thread that calls them, which must be the one that may touch the scene.

    prepare: makes of the outcome, on a thread of its own, what is slow to make and is no node; `finish` gets that.
    watched: nodes without which the run is pointless, by what to call them; where one leaves the scene, or the scene is
    closed, the job is cancelled. scheduler: like ``qt.QTimer.singleShot``; without one the caller polls or waits.
    """

    def __init__(
        self,
        client: WorkerClient,
        request: RegistrationRequest,
        prepare: Callable[[RegistrationOutcome], Any],
        finish: Callable[[Any], Any],
        watched: Mapping[str, slicer.vtkMRMLNode],
        scheduler: Scheduler | None = None,
        listeners: Listeners | None = None,
        preview: Preview | None = None,
    ) -> None:
        self.error: RegistrationError | None = None
        self.result: Any = None
        self.progress = Progress("start", 0.0, "Starting")
        self._prepare: Callable[[RegistrationOutcome], Any] | None = prepare
        self._finish: Callable[[Any], Any] | None = finish
        self._preparation: _Preparation | None = None
        self._watched = [(title, node, node.GetName()) for title, node in watched.items()]
        self._scene = slicer.mrmlScene
        self._scheduler = scheduler
        self._listeners = listeners or Listeners()
        self._preview = preview
        self._stopped: Cancelled | None = None
        self._busy = False
        self._state: JobState | None = None
        show = self._on_preview if preview is not None else None
        self._job = client.register(request, Callbacks(self._on_progress, show, self._on_log))
        if scheduler is not None:
            scheduler(POLL_MILLISECONDS, self._turn)

    @property
    def state(self) -> JobState:
        """Where the job stands; while the outputs are being written it is still running."""
        if self._state is not None:
            return self._state
        if self._stopped is not None:
            return JobState.CANCELLING
        return JobState.RUNNING if self._job.finished else self._job.state

    @property
    def finished(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self._state is not None

    def poll(self) -> JobState:
        """Deliver what has arrived, write the outputs if the worker is done, and return."""
        if self.finished or self._busy:
            return self.state
        self._busy = True
        try:
            self._check_nodes()
            self._job.poll()
            if self._job.finished and self._prepared():
                self._end()
        finally:
            self._busy = False
        if self.finished and self._listeners.completed is not None:
            self._listeners.completed(self)
        return self.state

    def wait(self, timeout: float | None = None) -> JobState:
        """Poll until the job has ended or `timeout` seconds are over; the application goes on redrawing meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        application = getattr(slicer, "app", None)
        while not self.poll().final and (deadline is None or time.monotonic() < deadline):
            if application is not None:
                application.processEvents()
            time.sleep(0.02)
        return self.state

    def cancel(self) -> None:
        """Ask the job to stop and return at once; it ends within seconds, in `poll` or `wait`, and changes no node."""
        self._stop(Cancelled())

    def abandon(self) -> None:
        """Cancel, call nobody any more, and wait until the background process is free again."""
        self._listeners = Listeners()
        self.cancel()
        self.wait()

    def _turn(self) -> None:
        try:
            self.poll()
        finally:
            if not self.finished and self._scheduler is not None:
                self._scheduler(POLL_MILLISECONDS, self._turn)

    def _on_progress(self, progress: Progress) -> None:
        self.progress = progress
        if self._listeners.progress is not None:
            self._listeners.progress(progress)

    def _on_log(self, text: str) -> None:
        if self._listeners.log is not None:
            self._listeners.log(text)

    def _on_preview(self, displacement: ImageData) -> None:
        if self._preview is None or self._stopped is not None:
            return
        try:
            self._preview.show(displacement)
        except RegistrationError as error:
            preview, self._preview = self._preview, None
            preview.withdraw()
            self._on_log(f"No preview: {error}")

    def _stop(self, reason: Cancelled) -> None:
        if not self.finished and self._stopped is None:
            self._stopped = reason
            self._job.cancel()

    def _check_nodes(self) -> None:
        gone = [(title, name) for title, node, name in self._watched if node.GetScene() is not self._scene]
        if len(gone) == len(self._watched) or self._scene.IsClosing():
            self._stop(Cancelled("The scene was closed or its volumes removed, so the registration was cancelled."))
        elif gone:
            title, name = gone[0]
            self._stop(Cancelled(f"The {title} '{name}' was removed, so the registration was cancelled."))

    def _prepared(self) -> bool:
        """Whether the outputs can be written, or there is nothing to write."""
        if self._preparation is None:
            outcome, self._job.outcome = self._job.outcome, None
            prepare, self._prepare = self._prepare, None
            if outcome is None or prepare is None or self._stopped is not None:
                return True
            self._preparation = _Preparation(prepare, outcome)
        return self._preparation.over

    def _end(self) -> None:
        finish, self._finish = self._finish, None
        preview, self._preview = self._preview, None
        preparation, self._preparation = self._preparation, None
        assert finish is not None
        try:
            if preview is not None:
                preview.withdraw()
            if self._stopped is not None:
                raise self._stopped
            if self._job.error is not None:
                raise self._job.error
            assert preparation is not None
            self.result = finish(preparation.result())
            self._state = JobState.DONE
            return
        except RegistrationError as error:
            self.error = error
        except MemoryError as error:
            self.error = ComputationError("There is not enough memory for the outputs.", "Close other scenes or crop.")
            self.error.__cause__ = error
        except Exception as error:
            logging.getLogger(__name__).exception("Writing the outputs of a registration failed")
            self.error = ComputationError(f"The outputs could not be written: {error}", "See the log for details.")
            self.error.__cause__ = error
        finally:
            self._watched = []
        self._state = JobState.CANCELLED if isinstance(self.error, Cancelled) else JobState.FAILED


class _Preparation:
    """`prepare` at work on a thread of its own."""

    def __init__(self, prepare: Callable[[RegistrationOutcome], Any], outcome: RegistrationOutcome) -> None:
        self._prepare: Callable[[RegistrationOutcome], Any] | None = prepare
        self._outcome: RegistrationOutcome | None = outcome
        self._made: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="registration outputs", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What `prepare` returned; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made

    def _run(self) -> None:
        prepare, outcome, self._prepare, self._outcome = self._prepare, self._outcome, None, None
        assert prepare is not None and outcome is not None
        try:
            self._made = prepare(outcome)
        except Exception as error:
            self._error = error
