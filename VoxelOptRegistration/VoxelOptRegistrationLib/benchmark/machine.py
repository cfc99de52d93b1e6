"""On what a table was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from ..system_memory import total_memory


def describe_machine(threads: int, device: str) -> dict[str, str]:
    """Processor, cores and system; two tables whose descriptions are equal may compare times."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
        "memory": f"{total_memory() / 2**30:.0f} GiB",
        "threads": str(threads),
        "device": device,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
