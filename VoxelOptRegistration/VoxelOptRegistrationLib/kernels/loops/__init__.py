"""Loops over voxels that numba compiles. They take numpy arrays (C, Z, Y, X) float32, write into the last of them and
do the slices start to stop of the first axis, so that several threads can share a volume. Needs numba.
"""

from typing import Any

from numba import njit

compiled: Any = njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc", "arcp"}, boundscheck=False
)
"""Not a number stays one: loops test for it before it becomes an index."""
compiled_exactly: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath=False, boundscheck=False)
"""For loops whose terms must cancel to the last bit where two images are equal: no multiplication joins an addition."""
