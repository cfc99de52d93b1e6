"""Free and total main memory in bytes, on Linux (containers included), macOS and Windows, without other packages."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path


def free_memory() -> int:
    """Bytes that a program can still take without swapping."""
    if sys.platform == "win32":
        return _windows_memory()[0]
    if sys.platform == "darwin":
        return _mac_free_memory()
    free = _meminfo("MemAvailable")
    limit = _container_limit()
    if limit is None:
        return free
    return max(0, min(free, limit[0] - limit[1]))


def total_memory() -> int:
    """Bytes of main memory that this process may use at most."""
    if sys.platform == "win32":
        return _windows_memory()[1]
    if sys.platform == "darwin":
        return int(_output("sysctl", "-n", "hw.memsize"))
    total = _meminfo("MemTotal")
    limit = _container_limit()
    return total if limit is None else min(total, limit[0])


def resident_memory() -> int | None:
    """Bytes that this process has in memory now; None where the system does not tell without other packages."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _meminfo(key: str) -> int:
    """A value of Linux's /proc/meminfo, bytes."""
    match = re.search(rf"^{key}:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if match is None:
        raise OSError(f"/proc/meminfo does not say {key}")
    return int(match[1]) * 1024


def _container_limit(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int] | None:
    """Limit and use of the control group this process runs in, bytes, where there is a limit (versions 2 and 1).

    File cache counts as used there but is given back on demand, so it is taken off.
    """
    for folder, limit_file, use_file, cache_key in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (folder / limit_file).read_text().strip()
            used = int((folder / use_file).read_text())
            cache = re.search(rf"^{cache_key} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
        except OSError:
            continue
        if limit != "max":
            return int(limit), used - (int(cache[1]) if cache else 0)
    return None


def _mac_free_memory() -> int:
    text = _output("vm_stat")
    page = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative):\s+(\d+)\.", text, re.MULTILINE)
    return int(page[1] if page else 4096) * sum(map(int, pages))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "page_total", "page_free", "virtual", "virtual_free")),
        ("extended", ctypes.c_uint64),
    ]


def _windows_memory() -> tuple[int, int]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    windll = getattr(ctypes, "windll")  # noqa: B009  exists on Windows only
    if not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        raise ctypes.WinError()  # type: ignore[attr-defined]
    return status.free, status.total
