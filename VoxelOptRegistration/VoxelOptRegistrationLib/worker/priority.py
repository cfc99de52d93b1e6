"""A registration gives way: whoever sits at the program is answered first, what computes comes second."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 10
"""Of the registration process on POSIX systems: 0 is ordinary, 19 gives way to everything."""
_AUTOGROUP = Path("/proc/self/autogroup")


def give_way(parent: int) -> None:
    """Put this process behind others; `parent` is the process that started it. A lower priority stays as it is.

    Where the session is one of its own, so are all threads in it that other libraries have started already, and a
    launcher. Linux may share processors out among sessions before it looks at their processes, so the session is told
    too; one that is the parent's as well is never touched. Windows: see `processes.spawn_options`.
    """
    if sys.platform == "win32":
        return
    niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        if os.getsid(0) != os.getsid(parent):
            os.setpriority(os.PRIO_PGRP, 0, niceness)
            _AUTOGROUP.write_text(str(niceness), encoding="ascii")
