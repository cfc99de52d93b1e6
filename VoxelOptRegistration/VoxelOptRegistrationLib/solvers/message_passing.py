"""Message passing: separable three-tap smoothing whose strength may differ from voxel to voxel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..options import Border, Smoothing


@dataclass(frozen=True)
class ThreeTapFilter:
    """One pass smooths along the axes 0, 1 and 2 in turn with taps (side, centre, side) at the voxel written.

    centre, side: one weight volume (Z, Y, X) per axis. With replicate borders the tap that falls outside is taken
    from the border voxel itself, so that the weights always sum to one.
    """

    centre: tuple[Tensor, Tensor, Tensor]
    side: tuple[Tensor, Tensor, Tensor]

    def smooth_(self, volume: Tensor, passes: int) -> Tensor:
        """Smooth volume (C, Z, Y, X) in place, channel by channel; returns it."""
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

    def _along(self, axis: int, source: Tensor, target: Tensor) -> None:
        inner = source.shape[axis] - 1
        side = self.side[axis]
        torch.mul(source, self.centre[axis], out=target)
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
        sigma = sigma_low + torch.log2(1.0 + entropy) * (sigma_high - sigma_low)
    else:
        sigma = torch.full_like(entropy, sigma_high)
    tap = torch.exp(-0.5 / sigma.square())
    if smoothing is Smoothing.RELEASED:
        taps = [_normalised(t) for t in (tap, torch.ones_like(tap), tap.square())]
    else:
        taps = [_normalised(tap)] * 3
    centre, side = [c for c, _ in taps], [s for _, s in taps]
    if border is Border.REPLICATE:
        centre = [_bordered(c, s, axis) for axis, (c, s) in enumerate(zip(centre, side, strict=True))]
    return ThreeTapFilter((centre[0], centre[1], centre[2]), (side[0], side[1], side[2]))


def _normalised(tap: Tensor) -> tuple[Tensor, Tensor]:
    """(centre, side) of the taps (tap, 1, tap) divided by their sum."""
    centre = 1.0 / (1.0 + 2.0 * tap)
    return centre, tap * centre


def _bordered(centre: Tensor, side: Tensor, axis: int) -> Tensor:
    bordered = centre.clone()
    for end in (0, -1):
        bordered.select(axis, end).add_(side.select(axis, end))
    return bordered
