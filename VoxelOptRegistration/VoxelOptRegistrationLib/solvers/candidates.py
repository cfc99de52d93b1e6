"""The candidate displacements of a voxel, and their scores: the cost volume."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import scoring
from ..kernels.runtime import compiles
from ..options import Border

_SCORED_VOXELS = 1 << 18
"""Voxels of a slab while scoring, which passes over it many times: enough to pay for waking the threads."""


def candidate_displacements(radius: int, device: torch.device | str = "cpu") -> Tensor:
    """All integer displacements within `radius` per axis, (K, 3) float32, voxels, shortest first.

    The order makes the first of several equal scores the one nearest the centre; the null displacement stands at 0.
    """
    axis = torch.arange(-radius, radius + 1)
    everything = torch.cartesian_prod(axis, axis, axis)
    order = torch.argsort(everything.square().sum(dim=1), stable=True)
    return everything[order].to(device=device, dtype=torch.float32)


def similarity_scores(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    border: Border,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
) -> Tensor:
    """Scores (K, Z, Y, X): minus the mean over channels of |moving(x + d) - fixed(x)| (VoxelOpt, section 3).

    fixed, moving: features (C, Z, Y, X) on one grid; candidates (K, 3) voxels. The trusts (Z, Y, X), bool, say where
    a side can be compared at all: a candidate that cannot gets the mean of the voxel's other scores, so that it
    neither attracts nor repels; a voxel that cannot even stay where it is gets zeros.
    """

    def add(total: Tensor, difference: Tensor) -> None:
        total.add_(difference.abs_())

    return _scores(fixed, moving, candidates, border, fixed_trust, moving_trust, add, 1.0 / len(fixed), False)


def squared_difference_scores(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    border: Border,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
) -> Tensor:
    """Scores (K, Z, Y, X): minus the sum over channels of (moving(x + d) - fixed(x))^2 (ConvexAdam, section II).

    The arguments are those of `similarity_scores`.
    """

    def add(total: Tensor, difference: Tensor) -> None:
        total.addcmul_(difference, difference)

    return _scores(fixed, moving, candidates, border, fixed_trust, moving_trust, add, 1.0, True)


def _scores(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    border: Border,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    add: Callable[[Tensor, Tensor], None],
    weight: float,
    squared: bool,
) -> Tensor:
    """Minus `weight` times what `add` adds up of the channels' differences, which it may overwrite."""
    if compiles(fixed, moving):
        scores = scoring.score_candidates(fixed, moving, candidates, border, weight, squared)
        _neutralise(scores, candidates, fixed_trust, moving_trust)
        return scores
    radius = int(candidates.abs().max())
    shape = fixed.shape[1:]
    scores = torch.empty((len(candidates), *shape), dtype=fixed.dtype, device=fixed.device)
    offsets = _offsets(candidates, radius)
    for start, stop in slabs(shape[0], shape[1] * shape[2], fixed.device, _SCORED_VOXELS):
        padded = _padded_slab(moving, start, stop, radius, border)
        difference = torch.empty((stop - start, *shape[1:]), dtype=fixed.dtype, device=fixed.device)
        for score, offset in zip(scores, offsets, strict=True):
            total = score[start:stop].zero_()
            for f, m in zip(fixed, padded, strict=True):
                torch.sub(_window(m, offset, difference.shape), f[start:stop], out=difference)
                add(total, difference)
    scores.mul_(-weight)
    _neutralise(scores, candidates, fixed_trust, moving_trust)
    return scores


def slabs(depth: int, plane: int, device: torch.device, voxels: int = 1 << 17) -> list[tuple[int, int]]:
    """Slabs of the first axis that keep a pass inside a CPU's cache; one slab elsewhere."""
    step = max(1, voxels // plane) if device.type == "cpu" else depth
    return [(start, min(start + step, depth)) for start in range(0, depth, step)]


def _padded_slab(volume: Tensor, start: int, stop: int, radius: int, border: Border) -> Tensor:
    """Slices start - radius to stop + radius of volume (C, Z, Y, X), with `radius` voxels around."""
    low, high = max(0, start - radius), min(volume.shape[1], stop + radius)
    pad = (radius, radius, radius, radius, radius - (start - low), radius - (high - stop))
    return F.pad(volume[None, :, low:high], pad, mode="replicate" if border is Border.REPLICATE else "constant")[0]


def _offsets(candidates: Tensor, radius: int) -> list[list[int]]:
    return [[radius + o for o in d] for d in candidates.long().tolist()]


def _window(padded: Tensor, offset: list[int], shape: torch.Size) -> Tensor:
    z, y, x = offset
    return padded[z : z + shape[0], y : y + shape[1], x : x + shape[2]]


def _neutralise(scores: Tensor, candidates: Tensor, fixed_trust: Tensor | None, moving_trust: Tensor | None) -> None:
    if fixed_trust is None and moving_trust is None:
        return
    known = torch.ones_like(scores[0]) if fixed_trust is None else fixed_trust.to(scores.dtype)
    if moving_trust is not None:
        trust = moving_trust.to(scores.dtype)
        known = known * trust
        if compiles(scores):
            scoring.neutralise(scores, candidates, known, trust)
            return
        radius = int(candidates.abs().max())
        offsets = _offsets(candidates, radius)
        padded = _padded_slab(trust[None], 0, len(trust), radius, Border.ZERO)[0]
        total = torch.zeros_like(trust)
        count = torch.zeros_like(trust)
        for score, offset in zip(scores, offsets, strict=True):
            there = _window(padded, offset, trust.shape)
            total.addcmul_(score, there)
            count.add_(there)
        mean = total.div_(count.clamp_min_(1.0))
        for score, offset in zip(scores, offsets, strict=True):
            score.sub_(mean).mul_(_window(padded, offset, trust.shape)).add_(mean)
    scores.mul_(known)
