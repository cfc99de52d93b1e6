"""A registration of nodes under way: watches its nodes, and writes the outputs when the worker is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import slicer

from ..errors import Cancelled, ComputationError, RegistrationError
from ..progress import Progress
from ..worker.client import WorkerClient
from ..worker.data import Callbacks, RegistrationOutcome, RegistrationRequest
from ..worker.job import JobState

Scheduler = Callable[[int, Callable[[], None]], None]
POLL_MILLISECONDS = 100


class RegistrationJob:
    """One registration in the background, from the point of view of the scene.

    state: pending, running, cancelling, done, failed or cancelled. progress: the last step. error: why it failed or was
    cancelled. result: what `finish` made of the outcome. All of it changes only inside `poll`, `wait` and `cancel`, on
    the thread that calls them, which must be the one that may touch the scene.

    watched: nodes without which the run is pointless, by what to call them; where one leaves the scene, or the scene is
    closed, the job is cancelled. scheduler: like ``qt.QTimer.singleShot``; without one the caller polls or waits.
    """

    def __init__(
        self,
        client: WorkerClient,
        request: RegistrationRequest,
        finish: Callable[[RegistrationOutcome], Any],
        watched: Mapping[str, slicer.vtkMRMLNode],
        scheduler: Scheduler | None = None,
        progressCallback: Callable[[Progress], None] | None = None,
        completedCallback: Callable[[RegistrationJob], None] | None = None,
    ) -> None:
        self.error: RegistrationError | None = None
        self.result: Any = None
        self.progress = Progress("start", 0.0, "Starting")
        self._finish: Callable[[RegistrationOutcome], Any] | None = finish
        self._watched = [(title, node, node.GetName()) for title, node in watched.items()]
        self._scene = slicer.mrmlScene
        self._scheduler = scheduler
        self._progress_callback = progressCallback
        self._completed_callback = completedCallback
        self._stopped: Cancelled | None = None
        self._busy = False
        self._state: JobState | None = None
        self._job = client.register(request, Callbacks(progress=self._on_progress))
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
            if self._job.finished:
                self._end()
        finally:
            self._busy = False
        if self.finished and self._completed_callback is not None:
            self._completed_callback(self)
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
        self._progress_callback = self._completed_callback = None
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
        if self._progress_callback is not None:
            self._progress_callback(progress)

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

    def _end(self) -> None:
        finish, self._finish = self._finish, None
        assert finish is not None
        try:
            if self._stopped is not None:
                raise self._stopped
            self.result = finish(self._job.result())
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
            # What the run held on to can be large: the outcome, and copies of volumes inside `finish`.
            self._job.outcome = None
            self._watched = []
        self._state = JobState.CANCELLED if isinstance(self.error, Cancelled) else JobState.FAILED
