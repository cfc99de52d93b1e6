"""Starts the registration process, keeps it, and runs one job at a time in it.

Neither torch nor SimpleITK is imported, no Qt and no MRML: the caller turns the crank with `poll` or `wait`.
"""

from __future__ import annotations

import os
import queue
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import Cancelled, ComputationError, RegistrationError
from ..progress import Progress
from .child import ChildProcess
from .data import Callbacks, DeviceAnswer, ImageData, RegistrationOutcome, RegistrationRequest
from .exchange import exchanged_bytes, read_preview, read_result, write_request
from .failures import HEALTHY_KINDS, computation_error, device_answer, ending_error, from_message
from .folders import create_job_folder, has_room, remove_folder, sweep
from .job import Job, JobState
from .processes import ProcessIdentity
from .protocol import (
    PROTOCOL,
    AskDevices,
    Cancel,
    DeviceList,
    Failure,
    Hello,
    Log,
    Message,
    Preview,
    ProgressMessage,
    Result,
    Shutdown,
    Warm,
)

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_ENTRY = ("-m", f"{__name__.split('.')[0]}.worker")


class _Ended:
    """The child is gone; always its last event."""


_Event = Message | ImageData | RegistrationOutcome | _Ended


class WorkerClient:
    """The registration process of one program.

    python: the Python that has torch and SimpleITK (PythonSlicer inside Slicer; default: this one).
    environment: the child's environment variables (default: this process's).
    folder: where the private folders of jobs are made (default: the system's temporary folder).
    memory: a folder whose files stay in memory, see `folders.shared_memory`: preferred where it has room for a job.
    cancel_grace: seconds that a job has to answer a cancel before its process tree is ended.
    start_timeout: seconds until the process must have said hello.
    entry: what Python is told to run; tests put a script of their own here that calls `server.serve`.

    All methods belong to one thread; callbacks are called only inside `poll`, `Job.poll`, `Job.wait` and `close`.
    """

    def __init__(
        self,
        python: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        memory: str | os.PathLike[str] | None = None,
        *,
        cancel_grace: float = 2.0,
        start_timeout: float = 60.0,
        entry: Sequence[str] = _ENTRY,
    ) -> None:
        self._python = os.fspath(python or sys.executable)
        self._environment = dict(os.environ if environment is None else environment)
        self._base = Path(folder or tempfile.gettempdir()).absolute()
        self._memory = None if memory is None else Path(memory).absolute()
        self._cancel_grace = cancel_grace
        self._start_timeout = start_timeout
        self._entry = tuple(entry)
        self._events: queue.SimpleQueue[tuple[ChildProcess, _Event]] = queue.SimpleQueue()
        self._child: ChildProcess | None = None
        self._token = ""
        self._hello: Hello | None = None
        self._start_deadline = 0.0
        self._job: Job | None = None
        self._answered = 0
        self._jobs = 0
        self._device_questions: list[Callable[[DeviceAnswer], None]] = []

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Id of the worker's Python process once it has said hello and until it has ended."""
        return self._hello.pid if self._hello is not None else None

    @property
    def job(self) -> Job | None:
        """The job under way."""
        return self._job

    def start(self) -> None:
        """Start the process unless it runs; returns before it is ready. Also sweeps folders that dead owners left.

        Raises `ComputationError` where the program cannot be run.
        """
        self._running_child()

    def warm(self, device: str = "auto") -> None:
        """Start the process, unless it runs, and have it get ready for `device`, as settings name it, so that the first
        registration starts at once.
        """
        self.poll()
        if self._child is None:
            self._running_child().send(Warm(device))

    def register(self, request: RegistrationRequest, callbacks: Callbacks | None = None) -> Job:
        """Begin a registration; returns when the volumes are written to the job's private folder.

        Raises `ComputationError` where a job is under way, the process cannot be started or the disk is full, and
        `InputError` for settings that are not JSON. All later trouble ends the job as failed.
        """
        self.poll()
        if self._job is not None:
            raise computation_error("busy", "A registration is already running.", "Wait for it, or cancel it first.")
        callbacks = callbacks or Callbacks()
        child = self._running_child()
        folder = self._job_folder(request)
        self._jobs += 1
        try:
            message = write_request(request, folder, self._jobs, previews=callbacks.preview is not None)
        except BaseException:
            remove_folder(folder)
            raise
        self._job = Job(self, self._jobs, folder, callbacks)
        child.send(message)
        return self._job

    def ask_devices(self, answered: Callable[[DeviceAnswer], None]) -> None:
        """Have `answered` called, in `poll`, with what can compute here: after the job under way, and exactly once.

        Raises `ComputationError` where the process cannot be started.
        """
        child = self._running_child()
        self._device_questions.append(answered)
        child.send(AskDevices())

    @property
    def asked(self) -> bool:
        """Whether a question is still without its answer."""
        return bool(self._device_questions)

    def cancel(self) -> None:
        """Ask the job under way to stop; see `Job.cancel`."""
        job, child = self._job, self._child
        if job is None or child is None or job.state is JobState.CANCELLING:
            return
        job.state = JobState.CANCELLING
        child.send(Cancel(job.number))
        timer = threading.Timer(self._cancel_grace, self._end_unanswered, (child, job.number))
        timer.daemon = True
        timer.start()

    def poll(self, timeout: float = 0.0) -> None:
        """Deliver what has arrived, waiting up to `timeout` seconds for the first event."""
        block = timeout > 0
        while True:
            try:
                source, event = self._events.get(block=block, timeout=timeout if block else None)
            except queue.Empty:
                break
            block = False
            if source is self._child:
                self._handle(source, event)
        # Only now: nobody may have polled since the process said hello.
        if self._child is not None and self._hello is None and time.monotonic() > self._start_deadline:
            self._child.kill()

    def close(self) -> None:
        """End the process, and with it a job under way (as cancelled); nothing is left. A later call starts it anew."""
        child = self._child
        if child is None:
            return
        if self._job is not None:
            self._job.state = JobState.CANCELLING
        child.send(Shutdown())
        child.close_input()
        if not child.ended.wait(self._cancel_grace):
            child.kill()
        while self._child is child:
            self.poll(0.1)

    def _running_child(self) -> ChildProcess:
        if self._child is not None:
            return self._child
        bases = [self._base, *([] if self._memory is None else [self._memory])]
        for base in bases:
            sweep(base)
        self._token = secrets.token_hex(8)
        owner = ProcessIdentity.current()
        command = [self._python, *self._entry, "--folder", *map(str, bases), "--token", self._token]
        command += ["--parent", str(owner.pid), "--parent-started", owner.started]
        environment = {**self._environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        search_path = [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
        self._hello = None
        self._start_deadline = time.monotonic() + self._start_timeout
        self._child = ChildProcess(command, environment, _PACKAGE_ROOT, self._receive, self._hear, self._end)
        return self._child

    def _job_folder(self, request: RegistrationRequest) -> Path:
        if self._memory is not None and has_room(self._memory, exchanged_bytes(request)):
            try:
                return create_job_folder(self._memory, self._token)
            except ComputationError:
                pass
        return create_job_folder(self._base, self._token)

    def _receive(self, child: ChildProcess, message: Message) -> None:
        """Reader thread: turn files into arrays and queue the event."""
        job = self._job
        event: _Event = message
        if isinstance(message, (Preview, Result)):
            if job is None or job.number != message.job:
                return
            folder = job.folder
            event = read_preview(message, folder) if isinstance(message, Preview) else read_result(message, folder)
        if isinstance(message, (Result, Failure)):
            self._answered = message.job
        if isinstance(event, Failure) and event.detail:
            self._events.put((child, Log(event.detail)))
        self._events.put((child, event))

    def _hear(self, child: ChildProcess, line: str) -> None:
        if self._job is not None or self._hello is None:
            self._events.put((child, Log(line)))

    def _end(self, child: ChildProcess) -> None:
        self._events.put((child, _Ended()))

    def _end_unanswered(self, child: ChildProcess, number: int) -> None:
        if self._answered != number:
            child.kill()

    def _handle(self, child: ChildProcess, event: _Event) -> None:
        job = self._job
        if isinstance(event, Hello):
            self._hello = event
            if event.protocol != PROTOCOL:
                self._retire(child)
                text = f"The registration process speaks protocol {event.protocol}, this program {PROTOCOL}."
                self._finish(computation_error("start", text, "Install the extension again and restart."))
        elif isinstance(event, _Ended):
            self._child = None
            said_hello, self._hello = self._hello is not None, None
            error = ending_error(child.exit_code, child.last_words, said_hello)
            self._finish(error)
            self._answer(DeviceAnswer(error=error))
        elif isinstance(event, DeviceList):
            self._answer(device_answer(event))
        elif isinstance(event, Failure):
            if event.job != (job.number if job is not None else 0):
                return
            failure = from_message(event)
            if event.kind not in HEALTHY_KINDS:
                self._retire(child, failure if event.kind == "dependency" else None)
            self._finish(failure)
        elif job is None:
            return
        elif isinstance(event, Log):
            job.callbacks.log(event.text)
        elif isinstance(event, RegistrationOutcome):
            self._finish(event)
        elif isinstance(event, ImageData):
            if job.callbacks.preview is not None and job.state is JobState.RUNNING:
                job.callbacks.preview(event)
        elif isinstance(event, ProgressMessage) and event.job == job.number and job.state is not JobState.CANCELLING:
            job.state = JobState.RUNNING
            job.progress = Progress(event.stage, event.fraction, event.text)
            job.callbacks.progress(job.progress)

    def _retire(self, child: ChildProcess, reason: RegistrationError | None = None) -> None:
        """Let go of a process that may be damaged; the next job starts a fresh one. reason: what would keep that one
        from finding devices too.
        """
        self._child, self._hello = None, None
        ended = computation_error("start", "The registration process had to end.", "Try again.")
        self._answer(DeviceAnswer(error=reason or ended))
        child.close_input()
        timer = threading.Timer(self._cancel_grace, child.kill)
        timer.daemon = True
        timer.start()

    def _answer(self, answer: DeviceAnswer) -> None:
        questions, self._device_questions = self._device_questions, []
        for answered in questions:
            answered(answer)

    def _finish(self, end: RegistrationOutcome | RegistrationError) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        remove_folder(job.folder)
        if job.state is JobState.CANCELLING or isinstance(end, Cancelled):
            job.state, job.error = JobState.CANCELLED, Cancelled()
        elif isinstance(end, RegistrationError):
            job.state, job.error = JobState.FAILED, end
        else:
            job.state, job.outcome = JobState.DONE, end
        job.callbacks.finished(job)
