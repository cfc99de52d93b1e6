"""Moments of windows and the derivative of their correlation, in few passes; the twin of what
`refinement.local_correlation` does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs


def moments(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the windows of an image, all (Z, Y, X)."""
    from .loops import local_correlation

    mean, variance = empty((2, *image.shape))
    values, *results = arrays(image, mean, variance)
    in_slabs(local_correlation.moments, image.shape, values, radius, *results)
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

    terms = empty((3, *fixed.shape))
    result = empty(fixed.shape)
    shares = torch.empty((0, 0, 0)) if share is None else share
    numbers = (np.float32(noise), np.float32(least))
    images = arrays(fixed, mean, variance, moving)
    in_slabs(local_correlation.coefficients, fixed.shape, *images, *arrays(shares), *numbers, radius, *arrays(terms))
    in_slabs(local_correlation.rise, fixed.shape, *arrays(terms, fixed, moving), radius, *arrays(result))
    return result
