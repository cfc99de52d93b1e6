"""Cost volume and its entropy in one pass; the twins of `solvers.candidates` and `solvers.entropy`."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...options import Border
from .launching import blocks, kernel, launch
from .places import coordinates, held, own_places

_TILE = 2048
"""Scores that one program holds; of twice as many the compiler spills registers (sm_90, with trusts)."""


def scores(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    border: Border,
    squared: bool,
) -> Tensor:
    """Scores (K, Z, Y, X) of `similarity_scores`, or of `squared_difference_scores` where `squared`."""
    return _matched(fixed, moving, candidates, fixed_trust, moving_trust, border, squared, torch.float32, 1.0)[0]


def scores_and_entropy(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    border: Border,
    sharpness: float,
    half: bool,
) -> tuple[Tensor, Tensor]:
    """Scores (K, Z, Y, X) of `similarity_scores`, float16 where `half`, and the entropy (Z, Y, X) float32, in nats, of
    the softmax of `sharpness` times them."""
    dtype = torch.float16 if half else torch.float32
    return _matched(fixed, moving, candidates, fixed_trust, moving_trust, border, False, dtype, sharpness)


def _matched(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    border: Border,
    squared: bool,
    dtype: torch.dtype,
    sharpness: float,
) -> tuple[Tensor, Tensor]:
    fixed, moving = fixed.contiguous(), moving.contiguous()
    channels, *sides = fixed.shape
    count = len(candidates)
    padded = max(2, 2 ** math.ceil(math.log2(count)))
    programs, block = blocks(fixed, max(8, min(128, _TILE // padded)))
    voxels = fixed[0].numel()
    result = fixed.new_empty((count, *sides), dtype=dtype)
    entropy = fixed.new_empty(sides, dtype=torch.float32)
    trusts = [entropy if t is None else t.contiguous().view(torch.uint8) for t in (fixed_trust, moving_trust)]
    launch(
        _match,
        (programs,),
        *(fixed, moving, candidates.to(torch.int32).contiguous(), *trusts, result, entropy, channels, *sides, voxels),
        *(count, 1.0 if squared else 1.0 / channels, float(sharpness)),
        REPLICATE=border is Border.REPLICATE,
        SQUARED=squared,
        FIXED_TRUST=fixed_trust is not None,
        MOVING_TRUST=moving_trust is not None,
        CANDIDATES=padded,
        BLOCK=block,
    )
    return result, entropy


@triton.jit
def _entropy(scores: tl.tensor, real: tl.tensor, sharpness: tl.tensor) -> tl.tensor:
    logits = tl.where(real, scores * sharpness, float("-inf"))
    share = tl.exp(logits - tl.max(logits, axis=0)[None, :])
    share = share / tl.sum(share, axis=0)[None, :]
    share = tl.where(real, tl.maximum(share, 1e-6), 0.0)
    share = share / tl.sum(share, axis=0)[None, :]
    return -tl.sum(tl.where(real, share * tl.log(tl.maximum(share, 1e-12)), 0.0), axis=0)


@kernel
def _match(
    fixed: tl.tensor,
    moving: tl.tensor,
    table: tl.tensor,
    fixed_trust: tl.tensor,
    moving_trust: tl.tensor,
    scores: tl.tensor,
    entropy: tl.tensor,
    channels: tl.tensor,
    depth: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    voxels: tl.tensor,
    count: tl.tensor,
    weight: tl.tensor,
    sharpness: tl.tensor,
    REPLICATE: tl.constexpr,
    SQUARED: tl.constexpr,
    FIXED_TRUST: tl.constexpr,
    MOVING_TRUST: tl.constexpr,
    CANDIDATES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """A program holds all scores of its voxels, (candidates, voxels)."""
    candidate = tl.arange(0, CANDIDATES)
    place, inside = own_places(voxels, BLOCK)
    named = candidate < count
    real = named[:, None] & inside[None, :]
    z, y, x = coordinates(place, height, width)
    z = z[None, :] + tl.load(table + candidate * 3, mask=named, other=0)[:, None]
    y = y[None, :] + tl.load(table + candidate * 3 + 1, mask=named, other=0)[:, None]
    x = x[None, :] + tl.load(table + candidate * 3 + 2, mask=named, other=0)[:, None]
    fits = real & (z >= 0) & (z < depth) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    there = (held(z, depth) * height + held(y, height)) * width + held(x, width)
    drawn = real & (fits | REPLICATE)
    total = tl.zeros([CANDIDATES, BLOCK], tl.float32)
    for _ in range(channels):
        f = tl.load(fixed + place, mask=inside, other=0.0).to(tl.float32)
        difference = tl.load(moving + there, mask=drawn, other=0.0).to(tl.float32) - f[None, :]
        if SQUARED:
            total += difference * difference
        else:
            total += tl.abs(difference)
        fixed += voxels
        moving += voxels
    score = -weight * total
    known = inside
    if FIXED_TRUST:
        known = known & (tl.load(fixed_trust + place, mask=inside, other=0) != 0)
    if MOVING_TRUST:
        known = known & (tl.load(moving_trust + place, mask=inside, other=0) != 0)
        comparable = tl.load(moving_trust + there, mask=fits, other=0) != 0
        mean = tl.sum(tl.where(comparable, score, 0.0), axis=0)
        mean = mean / tl.maximum(tl.sum(comparable.to(tl.float32), axis=0), 1.0)
        score = tl.where(comparable, score, mean[None, :])
    if FIXED_TRUST or MOVING_TRUST:
        score = tl.where(known[None, :], score, 0.0)
    channel = scores + candidate.to(tl.int64) * voxels
    tl.store(channel[:, None] + place[None, :], score, mask=real)
    tl.store(entropy + place, _entropy(score, named[:, None], sharpness), mask=inside)
