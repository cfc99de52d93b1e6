"""Refinement in small diffeomorphic steps, composed.

Every step moves along a force, smoothed; the whole field is smoothed a little and its changes of volume evened out
after it, so that the number of steps decides how far data and smoothness are traded (the scheme of greedy
diffeomorphic registration: Christensen et al., IEEE TIP 1996; Avants et al., Medical Image Analysis 2008).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..fields.algebra import compose
from ..fields.smoothing import gaussian_smooth
from ..fields.volume_damping import damp_volume_changes
from ..kernels import vectors
from ..kernels.memory_reuse import reused_memory
from ..kernels.runtime import compiles, fused
from ..options import DescentOptions
from .forces import Force

_LONGEST_STEP = 1.5
"""Of an update with its momentum, voxels: the smoothness of updates holds folds off for about as far."""


@reused_memory()
def descend(
    displacement: Tensor,
    force: Force,
    iterations: int,
    options: DescentOptions,
    report: Callable[[int, Tensor], None] = lambda index, field: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Tensor:
    """The displacement (3, Z, Y, X), voxels, after `iterations` steps along `force`; fewer where that is 0 everywhere.

    `report` is called after every step with its number from 1 and the field; `checkpoint` before each, what it raises
    ends the descent.
    """
    speed: Tensor | None = None
    for index in range(iterations):
        checkpoint()
        update = gaussian_smooth(force(displacement), options.update_sigma)
        longest = _longest(update)
        if longest == 0.0:
            return displacement
        share = options.step / longest
        if options.momentum > 0.0:
            speed = update.new_zeros(update.shape) if speed is None else speed
            longest = _go_on(speed, options.momentum, update, share)
            update = speed if longest <= _LONGEST_STEP else torch.mul(speed, _LONGEST_STEP / longest, out=update)
        else:
            update.mul_(share)
        displacement = compose(displacement, update)
        displacement = gaussian_smooth(displacement, options.field_sigma)
        displacement = damp_volume_changes(displacement, options.volume_damping)
        report(index + 1, displacement)
    return displacement


def _go_on(speed: Tensor, momentum: float, update: Tensor, share: float) -> float:
    """speed = momentum speed + share update in place, both (3, Z, Y, X); returns the length of its longest vector."""
    if (length := fused("vectors.go_on", speed, momentum, update, share)) is not None:
        return float(length)
    if compiles(speed, update):
        return vectors.go_on(speed, momentum, update, share)
    return _longest(speed.mul_(momentum).add_(update, alpha=share))


def _longest(field: Tensor) -> float:
    """Length of the longest vector of (3, Z, Y, X)."""
    if (length := fused("vectors.longest", field)) is not None:
        return float(length)
    if compiles(field):
        return vectors.longest(field)
    return float(field.square().sum(dim=0).max()) ** 0.5
