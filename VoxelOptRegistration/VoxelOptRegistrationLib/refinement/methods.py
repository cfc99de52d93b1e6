"""The refinements by name, of those that go on with the solver's features."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..options import Settings
from ..solvers.solution import Report
from .adam import adam_refine
from .refined import Refined

_REFINEMENTS: dict[str, Callable[..., Refined]] = {
    "none": lambda displacement, *rest: Refined(displacement),
    "adam": lambda displacement, fixed, moving, settings, *rest: adam_refine(
        displacement, fixed, moving, settings.adam, *rest
    ),
}


def refine(
    displacement: Tensor,
    fixed: Tensor,
    moving: Tensor,
    settings: Settings,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    report: Report,
    checkpoint: Callable[[], None],
) -> Refined:
    """`displacement` (3, Z, Y, X), voxels, after the refinement of `settings`; as it is where that is none.

    Features (C, Z, Y, X), trusts (Z, Y, X), bool, and callbacks as for `solvers.voxelopt.solve`.
    """
    trusts = (fixed_trust, moving_trust)
    return _REFINEMENTS[settings.refine](displacement, fixed, moving, settings, *trusts, report, checkpoint)
