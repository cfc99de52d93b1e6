"""PySide6 6.12 gives back a reference to None after every call that returns nothing, which it never took.

From Python 3.12 on None has no count of references; before, a long test run would bring it to zero and end the process.
"""

from __future__ import annotations

import ctypes
import sys


def keep_none_alive() -> None:
    """Before Python 3.12: give None more references than any run can lose."""
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40
