"""What every solver gives, and what it is told with while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

FORWARD = "fixed to moving"
BACKWARD = "moving to fixed"


@dataclass(frozen=True)
class Evidence:
    """What speaks against the match of each voxel, (Z, Y, X), float32, on the grid of the features.

    entropy: how uncertain the match is after registration, in [0, 1], 1 = no signal.
    dissimilarity: mean absolute difference of the features that were brought together, NaN where none can be compared.
    disagreement: how far from the start the two ways, solved independently, end, voxels: |u(x) + v(x + u(x))| before
    they were averaged; None where one way was solved.
    """

    entropy: Tensor
    dissimilarity: Tensor
    disagreement: Tensor | None = None

    def on_processor(self) -> Evidence:
        """The same in the processor's memory."""
        disagreement = None if self.disagreement is None else self.disagreement.cpu()
        return Evidence(self.entropy.cpu(), self.dissimilarity.cpu(), disagreement)


@dataclass(frozen=True)
class Matched:
    """What a solver found.

    displacement: fixed -> moving, (3, Z, Y, X), voxels. backward: moving -> fixed, likewise, where it was solved.
    measure: the evidence of a field like the displacement; it keeps the features in memory.
    """

    displacement: Tensor
    backward: Tensor | None
    measure: Callable[[Tensor], Evidence]

    @cached_property
    def evidence(self) -> Evidence:
        """That of the displacement as it is, measured when first asked for."""
        return self.measure(self.displacement)


@dataclass(frozen=True)
class Solution:
    """What was found at last. evidence: see there; it keeps the grid of the features, also where a refinement goes
    finer.

    displacement: fixed -> moving, (3, Z, Y, X), voxels. backward: moving -> fixed, likewise, where it was solved.
    stiffness: how stiff the field was held at every voxel, (Z, Y, X), 1 = as elsewhere, where a refinement finds it.
    """

    displacement: Tensor
    backward: Tensor | None
    evidence: Evidence
    stiffness: Tensor | None = None

    def on_processor(self) -> Solution:
        """The same in the processor's memory."""
        backward = None if self.backward is None else self.backward.cpu()
        stiffness = None if self.stiffness is None else self.stiffness.cpu()
        return Solution(self.displacement.cpu(), backward, self.evidence.on_processor(), stiffness)


Report = Callable[[float, str, Callable[[], Tensor] | None], None]
"""(fraction done, a sentence, a function that gives the field so far on the finest grid or None)."""
