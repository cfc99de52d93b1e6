"""The worker's end of the line: messages on the original stdin and stdout, which nothing else can touch any more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

from .protocol import Log, Message, ProtocolError, decode, encode


class Channel:
    """Messages over two file descriptors. `on_broken` is called, in place of an error, when nobody reads any more."""

    def __init__(self, source: int, target: int, on_broken: Callable[[], None]) -> None:
        self._source = source
        self._target = target
        self._on_broken = on_broken
        self._sending = threading.Lock()

    @classmethod
    def take_standard_streams(cls, on_broken: Callable[[], None]) -> Channel:
        """Take stdin and stdout; what libraries print, in C too, goes to stderr, and stdin is empty for them.

        On Windows a pending read of the standard input handle can also stall the loading of libraries.
        """
        source, target = os.dup(0), os.dup(1)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)
        return cls(source, target, on_broken)

    def send(self, message: Message) -> None:
        """Write one message whole; any thread may."""
        line = memoryview(encode(message))
        with self._sending:
            while line:
                try:
                    line = line[os.write(self._target, line) :]
                except OSError:
                    self._on_broken()
                    return

    def messages(self) -> Iterator[Message]:
        """What arrives, until the other side closes. A line that is no message is answered with a log line."""
        pending = b""
        while chunk := self._read():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                try:
                    yield decode(line)
                except ProtocolError as error:
                    self.send(Log(f"Ignored: {error}"))

    def _read(self) -> bytes:
        try:
            return os.read(self._source, 1 << 16)
        except OSError:
            return b""
