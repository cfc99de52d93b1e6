"""What every solver gives, and what it is told with while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

FORWARD = "fixed to moving"
BACKWARD = "moving to fixed"


@dataclass(frozen=True)
class Solution:
    """What a solver found, on the grid of its features.

    displacement: fixed -> moving, (3, Z, Y, X), voxels. backward: moving -> fixed, likewise, where it was solved.
    entropy: how uncertain each voxel's match is after registration, (Z, Y, X) in [0, 1], 1 = no signal.
    """

    displacement: Tensor
    backward: Tensor | None
    entropy: Tensor

    def on_processor(self) -> Solution:
        """The same in the processor's memory."""
        backward = None if self.backward is None else self.backward.cpu()
        return Solution(self.displacement.cpu(), backward, self.entropy.cpu())


Report = Callable[[float, str, Callable[[], Tensor] | None], None]
"""(fraction done, a sentence, a function that gives the field so far on the finest grid or None)."""
