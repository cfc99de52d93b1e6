"""What loops do with rows (X,). Written out because numba takes seconds to compile the assignment of whole slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import compiled_exactly


@compiled_exactly
def clear(row: Any) -> None:
    for x in range(row.size):
        row[x] = np.float32(0)


@compiled_exactly
def copy(values: Any, result: Any) -> None:
    """As many of the values as the result holds."""
    for x in range(result.size):
        result[x] = values[x]


@compiled_exactly
def add(values: Any, result: Any) -> None:
    for x in range(result.size):
        result[x] += values[x]


@compiled_exactly
def multiply(values: Any, factors: Any) -> None:
    for x in range(values.size):
        values[x] *= factors[x]


@compiled_exactly
def scale(values: Any, factor: Any, result: Any) -> None:
    """result = factor * values."""
    for x in range(result.size):
        result[x] = factor * values[x]
