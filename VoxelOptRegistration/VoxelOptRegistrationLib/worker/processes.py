"""Which process is which, whether it still lives, and how to end it with everything it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """A process id with the process's start time, so that a reused id is not mistaken for it.

    started: opaque text; empty where the system does not tell.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The living process with this id, or None."""
        started = _start_time(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process."""
        pid = os.getpid()
        return cls(pid, _start_time(pid) or "")

    @property
    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        found = ProcessIdentity.of(self.pid)
        return found is not None and ("" in (found.started, self.started) or found.started == self.started)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    def _start_time(pid: int) -> str | None:
        """Creation time of a running process, or None. (os.kill with signal 0 would end it on Windows.)"""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        query_limited, synchronize, timeout = 0x1000, 0x100000, 0x102
        handle = kernel.OpenProcess(query_limited | synchronize, False, pid)
        if not handle:
            return None
        handle = wintypes.HANDLE(handle)
        try:
            if kernel.WaitForSingleObject(handle, 0) != timeout:
                return None
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times)):
                return ""
            return str((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime)
        finally:
            kernel.CloseHandle(handle)

    def kill_tree(pid: int) -> None:
        """End process `pid` and its descendants at once."""
        command = ["taskkill", "/T", "/F", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW, check=False)

    def kill_rest(pid: int) -> None:
        """Windows keeps no group that would outlive process `pid`."""

    def spawn_options() -> dict[str, int]:
        """Arguments of `subprocess.Popen` that let the child give way, hide its console and keep Ctrl-C away."""
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": flags | subprocess.BELOW_NORMAL_PRIORITY_CLASS}

else:

    def _start_time(pid: int) -> str | None:
        """Start time of a running process where /proc tells it, "" where it only exists, None where it does not."""
        if Path("/proc/self/stat").exists():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            except OSError:
                return None
            state, *rest = stat.rpartition(")")[2].split()
            return None if state in "ZX" else rest[18]
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""

    def kill_tree(pid: int) -> None:
        """End process group `pid`, led by a child started with `spawn_options`, at once."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Nobody is left in the group; macOS says "not permitted" for zombies.
            return

    def kill_rest(pid: int) -> None:
        """End what a process group leader that has just ended left behind."""
        kill_tree(pid)

    def spawn_options() -> dict[str, bool]:
        """Arguments of `subprocess.Popen` that make the child the leader of a session of its own."""
        return {"start_new_session": True}
