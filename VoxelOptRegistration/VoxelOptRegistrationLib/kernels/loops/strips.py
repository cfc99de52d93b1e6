"""How much of a slice loops take at a time: rows that follow one another are one long loop."""

from __future__ import annotations

from . import compiled

_VOXELS = 8192
"""Of rows taken together, about: several such arrays stay in a core's own cache. With 2048, local correlation took a
fifth longer.
"""


@compiled
def rows_of(width: int) -> int:
    """How many rows to take together."""
    return max(1, _VOXELS // width)
