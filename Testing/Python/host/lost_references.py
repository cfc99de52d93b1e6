"""PySide6 6.12 gives back references that it never took: to None after calls that return nothing, to True and False
after they were sent with a signal.

From Python 3.12 on these have no count of references; before, a long test run would bring it to zero and end the
process.
"""

from __future__ import annotations

import ctypes
import sys


def keep_constants_alive() -> None:
    """Before Python 3.12: give None, True and False more references than any run can lose."""
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40
