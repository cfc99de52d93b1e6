"""Gaussian smoothing, one pass for each axis; the twin of `fields.smoothing`."""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from .launching import blocks, kernel, launch
from .places import own_places

_BLOCK = 256
_LEAST_SIGMA = 0.05
"""Below it no weight but the first differs from 0."""


def gaussian(volume: Tensor, sigma: float, weights: list[float]) -> Tensor:
    """volume (C, Z, Y, X) convolved along every axis with a Gaussian of `sigma` voxels whose `weights` at 0, 1, 2, ...
    voxels are these, replicate borders.

    Each is found from the first, so that no table has to be brought to the GPU and kept there.
    """
    source = volume.contiguous()
    channels, depth, height, width = volume.shape
    voxels = depth * height * width
    programs, block = blocks(source, _BLOCK)
    numbers = (voxels, len(weights), weights[0], -0.5 / max(sigma, _LEAST_SIGMA) ** 2)
    for size, step in ((depth, height * width), (height, width), (width, 1)):
        result = torch.empty_like(source)
        launch(_convolve, (programs, channels), source, result, size, step, *numbers, BLOCK=block)
        source = result
    return source


@kernel
def _convolve(
    source: tl.tensor,
    result: tl.tensor,
    size: tl.tensor,
    step: tl.tensor,
    voxels: tl.tensor,
    count: tl.tensor,
    first: tl.tensor,
    rate: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Programs over blocks of voxels, and channels; along the axis of `size` voxels that are `step` apart."""
    place, inside = own_places(voxels, BLOCK)
    channel = tl.program_id(1).to(tl.int64) * voxels
    source += channel
    result += channel
    index = place // step % size
    start = place - index * step
    total = first * tl.load(source + place, mask=inside, other=0.0).to(tl.float32)
    for i in range(1, count):
        low, high = tl.maximum(index - i, 0), tl.minimum(index + i, size - 1)
        pair = tl.load(source + start + low * step, inside, 0.0).to(tl.float32)
        pair += tl.load(source + start + high * step, inside, 0.0)
        total += first * tl.exp(rate * (i * i)) * pair
    tl.store(result + place, total, mask=inside)
