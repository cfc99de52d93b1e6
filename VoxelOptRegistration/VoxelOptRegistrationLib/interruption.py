"""Ctrl+C, SIGTERM and a closed terminal as a wish to stop that tears nothing apart."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_HANGUP = getattr(signal, "SIGHUP", None)
"""The terminal was closed; Windows has no such signal."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([] if _HANGUP is None else [_HANGUP]))


class StopRequested(KeyboardInterrupt):
    """A type of its own: after a plain `KeyboardInterrupt` inside `exec`, CPython ends the process by SIGINT even if it
    was caught (`unhandled_keyboard_interrupt` in pythonrun.c), and the exit code is lost."""


@contextmanager
def signals_wait() -> Iterator[None]:
    """A block at whose end SIGINT, SIGTERM and SIGHUP are heard, in whichever way they would have been at its start.

    For compiled code that calls Python and ends the process where an exception comes back. Python hears signals in its
    main thread; in any other the block is as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    previous = {number: signal.signal(number, lambda number, frame: heard.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if heard:
            signal.raise_signal(heard[0])


class Interruption:
    """While entered, the first SIGINT, SIGTERM or SIGHUP raises `StopRequested` in the main thread, later ones are
    ignored. A SIGHUP that was ignored before stays so: `nohup` asks for that.

    `requested` stays true afterwards, so that a library which swallowed the exception is caught at the next step. Later
    signals are ignored after leaving, too: the process is about to end, and an impatient one would tear that apart.
    """

    def __init__(self) -> None:
        self.requested = False
        self._shielded = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        for number in SIGNALS:
            if number != _HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if self.requested else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.requested = not self.requested, True
        if first and not self._shielded:
            raise StopRequested

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """A block that a signal does not tear apart: `StopRequested` is raised at its end."""
        already = self.requested
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self.requested and not already:
            raise StopRequested

    @contextmanager
    def closing(self, manager: AbstractContextManager[T]) -> Iterator[T]:
        """Use `manager`; its closing steps (moving files into place, removing them) run to their end."""
        try:
            with manager as value:
                try:
                    yield value
                finally:
                    self._shielded = True
        finally:
            self._shielded = False
