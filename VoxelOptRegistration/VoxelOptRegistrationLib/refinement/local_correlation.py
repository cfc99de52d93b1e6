"""The squared local correlation coefficient of two images, and the direction in which it rises.

Windows are cubes, at the border what of them lies in the volume. With means, variances and covariance over the window
around x, cc(x) = cov^2 / (var_f var_m). Summed over all windows that contain a voxel, its derivative by the moving
value there needs window sums of two coefficients and of one product, so that everything is box filters (Avants et al.,
Medical Image Analysis 2008, give the derivative for one window).

Where the variances are not far above the noise, cc is not worth as much: a window counts
var_f / (var_f + noise) * var_m / (var_m + noise). That is taken as given, not as something to be raised by more
contrast, so that images which correlate fully are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fields.slabs import by_slabs
from ..kernels import local_correlation as kernels
from ..kernels.runtime import compiles, fused

_UNIFORM = 0.01
"""Variance, as a share of the noise, below which a window of the moving image does not count at all."""


@dataclass(frozen=True)
class LocalCorrelation:
    """A fixed image to correlate with: its values, and mean and variance of every window, (Z, Y, X).

    noise: variance that is taken for noise, squared units of the images, above 0. radius: of windows, voxels; their
    side is 2 radius + 1.
    """

    fixed: Tensor
    mean: Tensor
    variance: Tensor
    noise: float
    radius: int

    @classmethod
    def of(cls, fixed: Tensor, radius: int, noise: float) -> LocalCorrelation:
        """Of an image (Z, Y, X), in a unit in which its values are not much larger than their differences."""

        if (fast := fused("local_correlation.moments", fixed, radius)) is not None:
            return cls(fixed, fast[0], fast[1], noise, radius)
        if compiles(fixed):
            return cls(fixed, *kernels.moments(fixed, radius), noise, radius)

        def moments(image: Tensor) -> Tensor:
            mean, square = window_mean(torch.stack([image, image.square()]), radius)
            return torch.stack([mean, square.sub_(mean.square())])

        mean, variance = by_slabs(moments, (fixed,), radius)
        return cls(fixed, mean, variance, noise, radius)

    def gradient(self, moving: Tensor, share: Tensor | None = None) -> Tensor:
        """Derivative of the sum of cc over all windows by the values of `moving`, (Z, Y, X), per unit.

        moving: (Z, Y, X), in the unit of the fixed image. share: how much the window around each voxel counts besides,
        (Z, Y, X); None for 1.
        """

        least = _UNIFORM * self.noise
        given = (self.fixed, self.mean, self.variance, moving, share, self.noise, least, self.radius)
        if (fast := fused("local_correlation.gradient", *given)) is not None:
            return fast
        if compiles(self.fixed, moving, share):
            return kernels.gradient(*given)

        def part(fixed: Tensor, mean: Tensor, variance: Tensor, moving: Tensor, share: Tensor | None) -> Tensor:
            moments = torch.stack([moving, moving.square(), fixed * moving])
            average, square, product = window_mean(moments, self.radius)
            spread = square.sub_(average.square())
            covariance = product.sub_(mean * average)
            slope = covariance.mul(2.0).div_((variance + self.noise).mul_(spread + self.noise))
            slope.mul_(spread > least)
            if share is not None:
                slope.mul_(share)
            curve = slope * covariance.div_(spread.clamp_min_(least))
            constant = (slope * mean).sub_(average.mul_(curve))
            slope, curve, constant = spread_over_windows(torch.stack([slope, curve, constant]), self.radius)
            return fixed * slope - moving * curve - constant

        volumes = (self.fixed, self.mean, self.variance, moving, share)
        return by_slabs(part, volumes, 2 * self.radius)


def window_mean(volume: Tensor, radius: int) -> Tensor:
    """Mean of (C, Z, Y, X) over what lies inside it of cubes of side 2 radius + 1."""
    return _window_sum(volume, radius).mul_(_one_by_size(volume, radius))


def spread_over_windows(volume: Tensor, radius: int) -> Tensor:
    """The transpose of `window_mean`: every voxel of (C, Z, Y, X) shared out evenly over its window."""
    return _window_sum(volume * _one_by_size(volume, radius), radius)


def _window_sum(volume: Tensor, radius: int) -> Tensor:
    for axis in (-3, -2, -1):
        size = volume.shape[axis]
        pad = [0] * 6
        pad[2 * (-1 - axis)] = pad[2 * (-1 - axis) + 1] = radius
        padded = F.pad(volume, pad)
        volume = padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size)
        for shift in range(2, 2 * radius + 1):
            volume.add_(padded.narrow(axis, shift, size))
    return volume


def _one_by_size(volume: Tensor, radius: int) -> Tensor:
    """1 / the number of voxels in the window around every voxel, (Z, Y, X)."""
    ones = []
    for axis in (-3, -2, -1):
        index = torch.arange(volume.shape[axis], device=volume.device)
        low, high = (index - radius).clamp_min_(0), (index + radius + 1).clamp_max_(volume.shape[axis])
        ones.append(1.0 / (high - low).to(volume.dtype))
    return ones[0][:, None, None] * ones[1][:, None] * ones[2]
