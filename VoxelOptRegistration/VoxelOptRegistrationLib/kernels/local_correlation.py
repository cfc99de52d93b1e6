"""Moments of windows and the derivative of their correlation, in few passes; the twin of what
`refinement.local_correlation` does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs

_PARTS = 2
"""For each thread: every part reads as many rows around its own as a window reaches."""


def moments(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the windows of an image, all (Z, Y, X)."""
    from .loops import local_correlation

    mean, variance = empty((2, *image.shape))
    values, *results = arrays(image.flatten(1), mean.flatten(1), variance.flatten(1))
    in_slabs(local_correlation.moments, _by_rows(image), values, image.shape[2], radius, *results, per_thread=_PARTS)
    return mean, variance


def gradient(
    fixed: Tensor,
    mean: Tensor,
    variance: Tensor,
    moving: Tensor,
    share: Tensor | None,
    noise: float,
    least: float,
    radius: int,
) -> Tensor:
    """Derivative by the values of `moving`, (Z, Y, X); windows where their variance is at most `least` do not count."""
    from .loops import local_correlation

    depth, height, width = fixed.shape
    terms = empty((3, depth, height * width))
    result = empty((depth, height * width))
    images = arrays(*(volume.flatten(1) for volume in (fixed, mean, variance, moving)))
    shares = arrays(torch.empty((0, 0)) if share is None else share.flatten(1))
    numbers = (np.float32(noise), np.float32(least), width, radius)
    in_slabs(
        local_correlation.coefficients, _by_rows(fixed), *images, *shares, *numbers, *arrays(terms), per_thread=_PARTS
    )
    values = arrays(terms, fixed.flatten(1), moving.flatten(1))
    in_slabs(local_correlation.rise, _by_rows(fixed), *values, width, radius, *arrays(result), per_thread=_PARTS)
    return result.view(fixed.shape)


def _by_rows(volume: Tensor) -> tuple[int, int, int]:
    """The axes, the one first that is shared out."""
    depth, height, width = volume.shape
    return height, depth, width
