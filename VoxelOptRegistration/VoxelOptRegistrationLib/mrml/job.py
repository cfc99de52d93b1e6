"""A registration of nodes under way: watches its nodes, shows previews, and writes the outputs at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import slicer

from ..errors import Cancelled, ComputationError, RegistrationError
from ..progress import Progress
from ..worker.client import WorkerClient
from ..worker.data import Callbacks, ImageData, RegistrationOutcome, RegistrationRequest
from ..worker.job import JobState
from .drawing import Scheduler, drawn_in_turn
from .preparation import Preparation
from .translation import tr as _

POLL_MILLISECONDS = 25
ENDING_MILLISECONDS = 5


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

    prepare: makes of the outcome, on a thread of its own, what is slow to make and is no node; finish: writes that to
    nodes step by step, one step a `poll`, and returns the result.
    watched: nodes without which the run is pointless, by what to call them; where one leaves the scene, or the scene is
    closed, the job is cancelled. scheduler: like ``qt.QTimer.singleShot``; without one the caller polls or waits.
    """

    def __init__(
        self,
        client: WorkerClient,
        request: RegistrationRequest,
        prepare: Callable[[RegistrationOutcome], Any],
        finish: Callable[[Any], Generator[None, None, Any]],
        watched: Mapping[str, slicer.vtkMRMLNode],
        scheduler: Scheduler | None = None,
        listeners: Listeners | None = None,
        preview: Preview | None = None,
    ) -> None:
        self.error: RegistrationError | None = None
        self.result: Any = None
        self.progress = Progress("start", 0.0, "Starting")
        self._prepare: Callable[[RegistrationOutcome], Any] | None = prepare
        self._finish = finish
        self._preparation: Preparation | None = None
        self._writing: Generator[None, None, Any] | None = None
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
        """Deliver what has arrived, write the next output if the worker is done, and return."""
        if self.finished or self._busy:
            return self.state
        self._busy = True
        try:
            self._check_nodes()
            self._job.poll()
            if self._job.finished and self._prepared():
                self._advance()
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
        """Ask the job to stop and return at once; it ends within seconds, in `poll` or `wait`, and changes no node.

        Once the outputs are being written, which is a matter of moments, it is too late.
        """
        if self._writing is None:
            self._stop(Cancelled())

    def hidePreview(self) -> None:
        """Put the moving volume where it was, as for saving the scene; the next preview shows it again."""
        if self._preview is not None:
            self._preview.withdraw()

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
                ending = self._writing is not None or self._preparation is not None
                self._scheduler(ENDING_MILLISECONDS if ending else POLL_MILLISECONDS, self._turn)

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
            self._stop(Cancelled(_("The scene was closed or its volumes removed, so the registration was cancelled.")))
        elif gone:
            title, name = gone[0]
            self._stop(
                Cancelled(
                    _("The {title} '{name}' was removed, so the registration was cancelled.").format(
                        title=title, name=name
                    )
                )
            )

    def _prepared(self) -> bool:
        """Whether the outputs can be written, or there is nothing to write."""
        if self._writing is not None:
            return True
        if self._preparation is None:
            outcome, self._job.outcome = self._job.outcome, None
            prepare, self._prepare = self._prepare, None
            if outcome is None or prepare is None or self._stopped is not None:
                return True
            self._preparation = Preparation(prepare, outcome)
        return self._preparation.over

    def _advance(self) -> None:
        """Write the next output; where there is none left, or none to write, the job has ended."""
        try:
            if self._stopped is not None:
                if self._writing is not None:
                    self._writing.throw(self._stopped)
                raise self._stopped
            if self._job.error is not None:
                raise self._job.error
            if self._writing is None:
                preparation, self._preparation = self._preparation, None
                assert preparation is not None
                self._writing = self._finish(preparation.result())
            with drawn_in_turn(self._scheduler):
                next(self._writing)
        except StopIteration as end:
            self.result = end.value
            self._end(JobState.DONE)
        except RegistrationError as error:
            self._fail(error)
        except MemoryError as error:
            short = ComputationError(_("There is not enough memory for the outputs."), _("Close other scenes or crop."))
            self._fail(short, error)
        except Exception as error:
            logging.getLogger(__name__).exception("Writing the outputs of a registration failed")
            failure = ComputationError(
                _("The outputs could not be written: {cause}").format(cause=error), _("See the log for details.")
            )
            self._fail(failure, error)

    def _fail(self, error: RegistrationError, cause: Exception | None = None) -> None:
        if cause is not None:
            error.__cause__ = cause
        self.error = error
        self._end(JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED)

    def _end(self, state: JobState) -> None:
        if self._preview is not None:
            self._preview.withdraw()
        # What the run held on to can be large: copies of volumes inside `finish`, and what was prepared.
        self._preview = self._preparation = self._writing = None
        self._finish = _finished
        self._watched = []
        self._state = state


def _finished(_: object) -> Generator[None, None, None]:
    """Write nothing."""
    yield
