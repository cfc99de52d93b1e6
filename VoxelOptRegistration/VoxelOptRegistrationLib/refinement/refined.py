"""What a refinement gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Refined:
    """displacement: fixed -> moving, (3, Z, Y, X), voxels. weights: how stiff the field was held at every voxel,
    (Z, Y, X), 1 = as elsewhere, for refinements that find it; None for the others.
    """

    displacement: Tensor
    weights: Tensor | None = None
