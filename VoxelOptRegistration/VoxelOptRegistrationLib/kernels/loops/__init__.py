"""Loops over voxels that numba compiles. They take numpy arrays (C, Z, Y, X) float32, write into the last of them and
do the slices start to stop of the first axis, so that several threads can share a volume. Needs numba.
"""

from collections.abc import Callable
from typing import Any

from numba import njit

from .forgiving_cache import ForgivingCache


def _compiler(fastmath: Any) -> Callable[[Any], Any]:
    """What compiles a loop at its first call and keeps it on disk, where there is a folder for that."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath, "boundscheck": False}
    keeping, forgetting = njit(**options, cache=True), njit(**options)

    def compile_loop(loop: Any) -> Any:
        try:
            made = keeping(loop)
        except RuntimeError:  # numba finds no folder that it can write to.
            return forgetting(loop)
        made._cache = ForgivingCache(made._cache)
        return made

    return compile_loop


compiled: Any = _compiler({"contract", "nsz", "reassoc", "arcp"})
"""Not a number stays one: loops test for it before it becomes an index."""
compiled_exactly: Any = _compiler(False)
"""For loops whose terms must cancel to the last bit where two images are equal: no multiplication joins an addition."""
