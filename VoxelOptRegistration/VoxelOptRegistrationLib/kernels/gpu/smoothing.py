"""Gaussian smoothing, one pass for each axis; the twin of `fields.smoothing`."""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launching import blocks, launch

_BLOCK = 256


def convolve(volume: Tensor, weights: list[float]) -> Tensor:
    """volume (C, Z, Y, X) convolved along every axis with `weights` at 0, 1, 2, ... voxels, replicate borders."""
    source = volume.contiguous()
    channels, depth, height, width = volume.shape
    voxels = depth * height * width
    programs, block = blocks(source, _BLOCK)
    table = _on_device(tuple(weights), volume.device)
    for size, step in ((depth, height * width), (height, width), (width, 1)):
        result = torch.empty_like(source)
        sizes = (size, step, voxels, len(weights))
        launch(_convolve, (programs, channels), source, table, result, *sizes, BLOCK=block)
        source = result
    return source


@lru_cache(maxsize=16)
def _on_device(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Kept: a descent smooths with the same few Gaussians in every step."""
    return torch.tensor(weights, dtype=torch.float32, device=device)


@triton.jit
def _convolve(
    source: tl.tensor,
    weights: tl.tensor,
    result: tl.tensor,
    size: tl.tensor,
    step: tl.tensor,
    voxels: tl.tensor,
    count: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Programs over blocks of voxels, and channels; along the axis of `size` voxels that are `step` apart."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.program_id(1).to(tl.int64) * voxels
    source += channel
    result += channel
    inside = place < voxels
    index = place // step % size
    start = place - index * step
    total = tl.load(weights) * tl.load(source + place, mask=inside, other=0.0).to(tl.float32)
    for i in range(1, count):
        low, high = tl.maximum(index - i, 0), tl.minimum(index + i, size - 1)
        pair = tl.load(source + start + low * step, inside, 0.0).to(tl.float32)
        pair += tl.load(source + start + high * step, inside, 0.0)
        total += tl.load(weights + i) * pair
    tl.store(result + place, total, mask=inside)
