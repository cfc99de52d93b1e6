"""The refinements by name, and the result of one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..options import Settings
from ..solvers.driver import known_level
from ..solvers.match_evidence import match_evidence
from ..solvers.methods import solver_options
from ..solvers.solution import Report, Solution
from .adam import adam_refine
from .refined import Refined

_REFINEMENTS: dict[str, Callable[..., Refined]] = {
    "adam": lambda displacement, fixed, moving, settings, *rest: adam_refine(
        displacement, fixed, moving, settings.adam, *rest
    ),
}


def refine(
    solution: Solution,
    fixed: Tensor,
    moving: Tensor,
    settings: Settings,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    report: Report,
    checkpoint: Callable[[], None],
) -> Solution:
    """`solution` after the refinement of `settings`, its evidence included; as it is where that is none."""
    if settings.refine == "none":
        return solution
    trusts = (fixed_trust, moving_trust)
    refined = _REFINEMENTS[settings.refine](solution.displacement, fixed, moving, settings, *trusts, report, checkpoint)
    field = refined.displacement
    levels = [known_level(features, trust) for features, trust in zip((fixed, moving), trusts, strict=True)]
    evidence = match_evidence(levels[0], levels[1], field, solver_options(settings), solution.evidence.disagreement)
    return Solution(field, solution.backward, evidence, refined.weights)
