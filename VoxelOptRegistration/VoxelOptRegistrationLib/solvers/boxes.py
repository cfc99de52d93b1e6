"""3^3 means: the smoothing that the coupled convex methods and the refinements share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..options import Border


def box_smooth(volume: Tensor, passes: int, border: Border) -> Tensor:
    """`passes` 3^3 means of a volume (C, Z, Y, X), one axis after the other; zeros outside are counted. New memory
    unless `passes` is 0.
    """
    return _BoxSmooth.apply(volume, passes, border)


class _BoxSmooth(torch.autograd.Function):
    """Its matrix is symmetric, borders included, so that its gradient is the same smoothing."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, passes: int, border: Border) -> Tensor:
        ctx.passes, ctx.border = passes, border
        return _smoothed(volume, passes, border)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _smoothed(gradients[0], ctx.passes, ctx.border), None, None


def _smoothed(volume: Tensor, passes: int, border: Border) -> Tensor:
    for _ in range(passes):
        for axis in (1, 2, 3):
            volume = _mean_of_three(volume, axis, border)
    return volume.view_as(volume)


def _mean_of_three(volume: Tensor, axis: int, border: Border) -> Tensor:
    size = volume.shape[axis]
    total = volume.clone()
    total.narrow(axis, 1, size - 1).add_(volume.narrow(axis, 0, size - 1))
    total.narrow(axis, 0, size - 1).add_(volume.narrow(axis, 1, size - 1))
    if border is Border.REPLICATE:
        total.select(axis, 0).add_(volume.select(axis, 0))
        total.select(axis, -1).add_(volume.select(axis, -1))
    return total.mul_(1.0 / 3.0)
