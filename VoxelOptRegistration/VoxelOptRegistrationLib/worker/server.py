"""The registration process: says hello, takes jobs one after the other, and ends when nobody needs it any more.

Nothing heavy is imported before the first job or `Warm` message.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import gc
import os
import platform
import queue
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .. import __version__
from ..errors import RegistrationError
from ..progress import Progress, Watcher
from .channel import Channel
from .computation import Compute, find_devices, run_pipeline
from .failures import from_exception
from .folders import folder_prefix, remove_folders
from .priority import give_way
from .processes import ProcessIdentity
from .protocol import (
    AskDevices,
    Cancel,
    DeviceList,
    Failure,
    Hello,
    Log,
    Message,
    Preview,
    ProgressMessage,
    ProtocolError,
    Register,
    Result,
    Shutdown,
    Warm,
)
from .warming import WarmUp, warm_up

if TYPE_CHECKING:
    import SimpleITK as sitk

READY = "Ready for registrations."
_PARENT_CHECK_SECONDS = 0.5


class Server:
    """Runs jobs on the thread that calls `run`; two more threads listen and look after the parent.

    bases, token: where the client makes its job folders and what their names carry; parent: the client's process.
    compute: what a job does, see `computation.Compute`; warm: what a `Warm` message does, see `warming.warm_up`.
    """

    def __init__(
        self, bases: Sequence[Path], token: str, parent: ProcessIdentity, compute: Compute, warm: WarmUp
    ) -> None:
        self._bases, self._token, self._parent = bases, token, parent
        self._compute, self._warm_up = compute, warm
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled_job = 0
        self._channel = Channel.take_standard_streams(self._abandon)

    def run(self) -> int:
        """Serve until told to end; the exit code. Does not return when the parent goes away: see `_abandon`."""
        self._channel.send(Hello(__version__, platform.python_version(), os.getpid()))
        for task in (self._listen, self._watch_parent):
            threading.Thread(target=task, name=task.__name__, daemon=True).start()
        while True:
            message = self._queue.get()
            if isinstance(message, Shutdown):
                return 0
            if isinstance(message, Warm):
                self._warm(message.device)
                _release_memory()
            elif isinstance(message, AskDevices):
                self._channel.send(_device_list())
            elif isinstance(message, Register):
                self._register(message)
                _release_memory()

    def _listen(self) -> None:
        for message in self._channel.messages():
            if isinstance(message, Cancel):
                self._cancelled_job = message.job
            else:
                self._queue.put(message)
        self._abandon()

    def _watch_parent(self) -> None:
        # A process that cannot be seen from the start (another name space) is known by its end of stdin alone.
        if not self._parent.alive:
            return
        while self._parent.alive:
            time.sleep(_PARENT_CHECK_SECONDS)
        self._abandon()

    def _abandon(self) -> NoReturn:
        """Nobody waits for an answer any more: leave no files and end at once, whatever is being computed."""
        for base in self._bases:
            remove_folders(base, self._token)
        os._exit(0)

    def _warm(self, device: str) -> None:
        try:
            self._warm_up(lambda: not self._queue.empty(), device)
            self._channel.send(Log(READY))
        except RegistrationError as error:
            self._channel.send(Failure(0, error.kind, error.text, error.remedy))
        except Exception as error:
            # A job that meets the same trouble reports it.
            self._channel.send(Log(f"Getting ready failed: {type(error).__name__}: {error}"))

    def _register(self, message: Register) -> None:
        try:
            answer: Message = self._answer(message)
        except Exception as error:
            failure = from_exception(error)
            detail = "" if isinstance(error, RegistrationError) else traceback.format_exc()
            answer = Failure(message.job, failure.kind, failure.text, failure.remedy, detail)
        self._channel.send(answer)

    def _answer(self, message: Register) -> Result:
        if not message.folder.startswith(folder_prefix(self._token)) or Path(message.folder).name != message.folder:
            raise ProtocolError(f"{message.folder!r} is not a folder of this client.")
        places = [base / message.folder for base in self._bases]
        folder = next((place for place in places if place.is_dir()), places[0])
        previews = 0

        def progress(step: Progress) -> None:
            self._channel.send(ProgressMessage(message.job, step.stage, float(step.fraction), step.text))

        def preview(field: sitk.Image) -> None:
            nonlocal previews
            from .conversion import write_image

            previews += 1
            image = write_image(folder, f"preview-{previews}", field)
            self._channel.send(Preview(message.job, {"displacement": image}))

        watcher = Watcher(
            progress=progress,
            preview=preview if message.previews else None,
            cancelled=lambda: self._cancelled_job == message.job,
            log=lambda text: self._channel.send(Log(text)),
        )
        watcher.step("start", 0.0, "Reading the volumes")
        from .conversion import plain, read_request, write_result

        request = read_request(folder, message)
        result = self._compute(request, message.settings, watcher)
        watcher.check()
        return Result(message.job, write_result(folder, result, message), plain(result.report))


def _device_list() -> DeviceList:
    try:
        return DeviceList([dataclasses.asdict(device) for device in find_devices()])
    except Exception as error:
        failure = from_exception(error)
        return DeviceList([], failure.text, failure.remedy)


def _release_memory() -> None:
    """Give memory back, the device's too: an idle worker holds nothing that others could use."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "Tensor"):
        gc.collect()
        return  # Not loaded, or only half.
    from ..kernels.graphs import release_graphs
    from ..resources import give_back, keep_what_is_loaded

    release_graphs()
    give_back()
    keep_what_is_loaded()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def serve(arguments: Sequence[str] | None = None, compute: Compute = run_pipeline, warm: WarmUp = warm_up) -> int:
    """Run a server with the client's command-line arguments; tests give a `compute` and `warm` of their own."""
    parser = argparse.ArgumentParser(description="Registration process; started by a program, not by hand.")
    parser.add_argument("--folder", type=Path, nargs="+", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--parent-started", default="")
    options = parser.parse_args(arguments)
    faulthandler.enable()
    give_way(options.parent)
    parent = ProcessIdentity(options.parent, options.parent_started)
    return Server(options.folder, options.token, parent, compute, warm).run()
