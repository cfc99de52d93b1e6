"""Message passing: separable three-tap smoothing whose strength may differ from voxel to voxel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..kernels import filtering
from ..kernels.runtime import compiles, fused
from ..options import Border, Smoothing


@dataclass(frozen=True)
class ThreeTapFilter:
    """One pass smooths along the axes 0, 1 and 2 in turn with taps (side, centre, side) at the voxel written.

    side: one weight volume (Z, Y, X) per axis, at most 1/2; the centre's is what is missing to 1. With replicate
    borders the tap that falls outside is taken from the border voxel itself.
    """

    side: tuple[Tensor, Tensor, Tensor]
    border: Border

    def smooth_(self, volume: Tensor, passes: int) -> Tensor:
        """volume (C, Z, Y, X) smoothed, channel by channel. It may be written over; what is returned counts."""
        z, y, x = self.side
        if z is y is x and (smoothed := fused("filtering.smooth", volume, z, passes, self.border)) is not None:
            return smoothed
        if compiles(volume, *self.side):
            return filtering.smooth(volume, self.side, self.border, passes)
        volume = volume.float() if volume.dtype is torch.float16 else volume
        buffer = torch.empty_like(volume[0])
        for channel in volume:
            source, target = channel, buffer
            for _ in range(passes):
                for axis in range(3):
                    self._along(axis, source, target)
                    source, target = target, source
            if source is not channel:
                channel.copy_(source)
        return volume

    @cached_property
    def _centre(self) -> list[Tensor]:
        """One weight volume per axis, with what falls outside at replicate borders."""
        first = _centre_of(self.side[0], 0, self.border)
        same = self.border is Border.ZERO and self.side[1] is self.side[0] is self.side[2]
        return [first] * 3 if same else [first, *(_centre_of(self.side[axis], axis, self.border) for axis in (1, 2))]

    def _along(self, axis: int, source: Tensor, target: Tensor) -> None:
        inner = source.shape[axis] - 1
        side = self.side[axis]
        torch.mul(source, self._centre[axis], out=target)
        target.narrow(axis, 1, inner).addcmul_(side.narrow(axis, 1, inner), source.narrow(axis, 0, inner))
        target.narrow(axis, 0, inner).addcmul_(side.narrow(axis, 0, inner), source.narrow(axis, 1, inner))


def entropy_filter(
    entropy: Tensor, sigma_low: float, sigma_high: float, border: Border, smoothing: Smoothing
) -> ThreeTapFilter:
    """The filter for one level's entropy (Z, Y, X) in [0, 1]; sigmas in voxels (VoxelOpt, section 3).

    Adaptive: sigma = low + log2(1 + entropy) (high - low) at each voxel, taps exp(-1 / (2 sigma^2)) beside 1,
    normalised. Isotropic: sigma_high everywhere, the paper's ablation. Released: see `Smoothing`.
    """
    if smoothing is Smoothing.ADAPTIVE:
        if (fast := fused("filtering.side_weights", entropy, sigma_low, sigma_high)) is not None:
            return ThreeTapFilter((fast, fast, fast), border)
        sigma = torch.log2(1.0 + entropy).mul_(sigma_high - sigma_low).add_(sigma_low)
    else:
        sigma = torch.full_like(entropy, sigma_high)
    tap = sigma.square_().reciprocal_().mul_(-0.5).exp_()
    if smoothing is Smoothing.RELEASED:
        return ThreeTapFilter((_side(tap), _side(torch.ones_like(tap)), _side(tap.square())), border)
    side = _side(tap)
    return ThreeTapFilter((side, side, side), border)


def _side(tap: Tensor) -> Tensor:
    """The outer ones of the taps (tap, 1, tap) divided by their sum."""
    return tap / (1.0 + 2.0 * tap)


def _centre_of(side: Tensor, axis: int, border: Border) -> Tensor:
    centre = 1.0 - 2.0 * side
    if border is Border.REPLICATE:
        for end in (0, -1):
            centre.select(axis, end).add_(side.select(axis, end))
    return centre
