"""The registration process as its starter sees it: messages in and out, its last words, and its end."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..errors import ComputationError
from .processes import kill_rest, kill_tree, spawn_options
from .protocol import Message, ProtocolError, decode, encode

_LONGEST_LINE = 2000


class ChildProcess:
    """A started child, read by two threads until it ends.

    on_message(child, message), on_line(child, text) and on_end(child) are called on those threads; `on_end` comes once,
    last, when nothing of the child is left. Raises `ComputationError` (kind "start") where the program cannot be run.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        on_message: Callable[[ChildProcess, Message], None],
        on_line: Callable[[ChildProcess, str], None],
        on_end: Callable[[ChildProcess], None],
    ) -> None:
        self._on_message, self._on_line, self._on_end = on_message, on_line, on_end
        self._sending = threading.Lock()
        self._last_lines: deque[str] = deque(maxlen=50)
        self.ended = threading.Event()
        self.exit_code: int | None = None
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd=folder,
                **spawn_options(),  # type: ignore[call-overload]
            )
        except OSError as error:
            failure = ComputationError(
                f"The registration process cannot be started with {command[0]}: {error.strerror or error}.",
                "Check the path of the Python program.",
            )
            failure.kind = "start"
            raise failure from error
        self._errors = threading.Thread(target=self._read_errors, name="registration log", daemon=True)
        self._errors.start()
        threading.Thread(target=self._read_messages, name="registration messages", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of what was started (PythonSlicer starts the real Python as its own child)."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last line that the child wrote besides its messages."""
        return self._last_lines[-1] if self._last_lines else ""

    def send(self, message: Message) -> None:
        """Send a message; one to a child that has ended is dropped, `on_end` tells of that."""
        line = encode(message)
        with self._sending:
            try:
                stream = self._stream(self._process.stdin)
                stream.write(line)
                stream.flush()
            except (OSError, ValueError):
                return

    def close_input(self) -> None:
        """Close the child's input, upon which it ends."""
        with self._sending:
            try:
                self._stream(self._process.stdin).close()
            except OSError:
                return

    def kill(self) -> None:
        """End the child and everything it started, unless it has ended already."""
        if not self.ended.is_set():
            kill_tree(self._process.pid)

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream

    def _read_messages(self) -> None:
        stream = self._stream(self._process.stdout)
        for line in stream:
            try:
                message = decode(line)
            except ProtocolError:
                # A launcher may print before the worker has taken over its output.
                self._note(line)
                continue
            self._on_message(self, message)
        try:
            self.exit_code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            kill_tree(self._process.pid)
            self.exit_code = self._process.wait()
        kill_rest(self._process.pid)
        self._errors.join(timeout=2)
        self.close_input()
        stream.close()
        self.ended.set()
        self._on_end(self)

    def _read_errors(self) -> None:
        with self._stream(self._process.stderr) as stream:
            while line := stream.readline(_LONGEST_LINE):
                self._note(line)

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").strip()
        if text:
            self._last_lines.append(text)
            self._on_line(self, text)
