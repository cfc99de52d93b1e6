"""Coupled convex optimisation: each voxel's best candidate and a smooth displacement, drawn together step by step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..options import Border, Ties, Unit
from .boxes import box_smooth
from .coupling import best_displacement


def coupled_convex(
    scores: Tensor,
    candidates: Tensor,
    couplings: tuple[float, ...],
    unit: Unit,
    first_passes: int,
    passes: int,
    border: Border,
    checkpoint: Callable[[], None] = lambda: None,
) -> Tensor:
    """Smooth displacement (3, Z, Y, X), voxels, of high scores (K, Z, Y, X) (Heinrich et al., MICCAI 2014).

    u = mean of the best candidates; then for each coupling c: v = argmax over d of score_d - c |d - u|^2, u = mean of
    v. The means are 3^3 boxes, `first_passes` and `passes` of them. `unit` is that of |d - u|.
    """
    scale = torch.ones(3, dtype=scores.dtype, device=scores.device)
    if unit is Unit.NORMALISED:
        scale = torch.tensor([2.0 / max(n - 1, 1) for n in scores.shape[1:]], dtype=scores.dtype, device=scores.device)
    scaled = candidates.to(scores.dtype) * scale
    smooth = box_smooth(best_displacement(scores, scaled, Ties.CENTRE), first_passes, border)
    for coupling in couplings:
        checkpoint()
        best = best_displacement(scores, scaled, Ties.CENTRE, smooth, coupling)
        smooth = box_smooth(best, passes, border)
    return smooth / scale.view(3, 1, 1, 1)
