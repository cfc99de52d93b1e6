"""The squared local correlation coefficient of two images, and the direction in which it rises.

Windows are cubes. With means, variances and covariance over the window around x, cc(x) = cov^2 / (var_f var_m); summed
over all windows that contain a voxel, its derivative by the moving value there needs window means of two coefficients
and of one product, so that everything is box filters (Avants et al., Medical Image Analysis 2008, give the derivative
for one window).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fields.slabs import by_slabs


@dataclass(frozen=True)
class LocalCorrelation:
    """A fixed image to correlate with: its values, window means and variances, (Z, Y, X).

    noise: variance added to every variance, squared units of the images. radius: of windows, voxels.
    """

    fixed: Tensor
    mean: Tensor
    variance: Tensor
    noise: float
    radius: int

    @classmethod
    def of(cls, fixed: Tensor, radius: int, noise: float) -> LocalCorrelation:
        def moments(image: Tensor) -> Tensor:
            return window_mean(torch.stack([image, image.square()]), radius)

        mean, square = by_slabs(moments, (fixed,), radius)
        variance = square.sub_(mean.square()).clamp_min_(0.0).add_(noise)
        return cls(fixed, mean, variance, noise, radius)

    def gradient(self, moving: Tensor, share: Tensor | None = None) -> Tensor:
        """Derivative of the sum of cc over all windows by the values of `moving`, (Z, Y, X).

        share: how much the window around each voxel counts, (Z, Y, X); None for 1.
        """

        def part(fixed: Tensor, mean: Tensor, variance: Tensor, moving: Tensor, share: Tensor | None) -> Tensor:
            moments = torch.stack([moving, moving.square(), fixed * moving])
            average, square, product = window_mean(moments, self.radius)
            spread = square.sub_(average.square()).clamp_min_(0.0).add_(self.noise)
            covariance = product.sub_(mean * average)
            slope = covariance.mul(2.0).div_(variance.mul(spread))
            if share is not None:
                slope.mul_(share)
            curve = slope * covariance.div_(spread)
            constant = (slope * mean).sub_(average.mul_(curve))
            slope, curve, constant = window_mean(torch.stack([slope, curve, constant]), self.radius)
            return fixed * slope - moving * curve - constant

        volumes = (self.fixed, self.mean, self.variance, moving, share)
        return by_slabs(part, volumes, 2 * self.radius)


def window_mean(volume: Tensor, radius: int) -> Tensor:
    """Mean of (C, Z, Y, X) over cubes of side 2 radius + 1, zeros outside."""
    side = 2 * radius + 1
    for axis in (1, 2, 3):
        size = volume.shape[axis]
        pad = [0] * 6
        pad[2 * (3 - axis)] = pad[2 * (3 - axis) + 1] = radius
        padded = F.pad(volume, pad)
        volume = padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size)
        for shift in range(2, side):
            volume.add_(padded.narrow(axis, shift, size))
    return volume.mul_(1.0 / side**3)
