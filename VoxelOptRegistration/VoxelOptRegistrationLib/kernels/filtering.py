"""All passes of a three-tap filter in one sweep; the twin of `solvers.message_passing`."""

from __future__ import annotations

import torch
from torch import Tensor

from ..options import Border
from .memory_reuse import empty
from .runtime import arrays, in_slabs

_FEW_CHANNELS = 3
"""More than these are shared out over threads one by one, and need no memory."""
_THINNEST_PART = 16
"""Slices: thinner parts would be filtered mostly for their neighbours' sake."""


def smooth(volume: Tensor, side: tuple[Tensor, Tensor, Tensor], border: Border, passes: int) -> Tensor:
    """volume (C, Z, Y, X) smoothed along axes 0, 1, 2 in turn, `passes` times, in its own memory or not.

    side: one weight volume (Z, Y, X) per axis, see `ThreeTapFilter`.
    """
    from .loops import filtering

    if passes == 0:
        return volume
    volume = volume.contiguous()
    channels, depth, height, width = volume.shape
    parts = 1 if channels > _FEW_CHANNELS else max(1, min(depth // _THINNEST_PART, torch.get_num_threads()))
    result = volume if parts == 1 else empty(volume.shape)
    flat = [array.reshape(*array.shape[:-2], -1) for array in arrays(volume, *side, result)]
    shape = (channels * parts, depth // parts, height * width)
    replicate = border is Border.REPLICATE
    in_slabs(filtering.filter_volumes, shape, *flat[:4], width, passes, replicate, parts, flat[4])
    return result
