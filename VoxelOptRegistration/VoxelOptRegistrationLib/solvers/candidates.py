"""The candidate displacements of a voxel, and their scores: the cost volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import scoring
from ..kernels.runtime import compiles, fused
from ..options import Border

Offsets = Sequence[Sequence[int]]

_SCORED_VOXELS = 1 << 18
"""Voxels of a slab while scoring, which passes over it many times: enough to pay for waking the threads."""


def candidate_displacements(radius: int, device: torch.device | str = "cpu") -> Tensor:
    """All integer displacements within `radius` per axis, (K, 3) float32, voxels, shortest first.

    The order makes the first of several equal scores the one nearest the centre; the null displacement stands at 0.
    """
    return torch.tensor(candidate_offsets(radius), dtype=torch.float32, device=device)


@cache
def candidate_offsets(radius: int) -> Offsets:
    """The same as numbers of the host."""
    everything = product(range(-radius, radius + 1), repeat=3)
    return tuple(sorted(everything, key=lambda offset: sum(o * o for o in offset)))


def similarity_scores(
    fixed: Tensor,
    moving: Tensor,
    candidates: Tensor,
    border: Border,
    fixed_trust: Tensor | None = None,
    moving_trust: Tensor | None = None,
    offsets: Offsets | None = None,
) -> Tensor:
    """Scores (K, Z, Y, X): minus the mean over channels of |moving(x + d) - fixed(x)| (VoxelOpt, section 3).

    fixed, moving: features (C, Z, Y, X) on one grid; candidates (K, 3) voxels. The trusts (Z, Y, X), bool, say where
    a side can be compared at all: a candidate that cannot gets the mean of the voxel's other scores, so that it
    neither attracts nor repels; a voxel that cannot even stay where it is gets zeros.
    offsets: the candidates as numbers of the host, where known; plain torch reads them off the device otherwise.
    """
    arguments = (fixed, moving, candidates, fixed_trust, moving_trust, border)
    if (scores := fused("matching.scores", *arguments, False)) is not None:
        return scores

    def add(total: Tensor, difference: Tensor) -> None:
        total.add_(difference.abs_())

    return _scores(fixed, moving, candidates, border, fixed_trust, moving_trust, add, 1.0 / len(fixed), False, offsets)


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
    arguments = (fixed, moving, candidates, fixed_trust, moving_trust, border)
    if (scores := fused("matching.scores", *arguments, True)) is not None:
        return scores

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
    offsets: Offsets | None = None,
) -> Tensor:
    """Minus `weight` times what `add` adds up of the channels' differences, which it may overwrite."""
    if compiles(fixed, moving):
        scores = scoring.score_candidates(fixed, moving, candidates, border, weight, squared)
        _neutralise(scores, candidates, fixed_trust, moving_trust, offsets)
        return scores
    offsets = _read(candidates) if offsets is None else offsets
    radius, corners = _corners(offsets)
    shape = fixed.shape[1:]
    scores = torch.empty((len(candidates), *shape), dtype=fixed.dtype, device=fixed.device)
    for start, stop in slabs(shape[0], shape[1] * shape[2], fixed.device, _SCORED_VOXELS):
        padded = _padded_slab(moving, start, stop, radius, border)
        difference = torch.empty((stop - start, *shape[1:]), dtype=fixed.dtype, device=fixed.device)
        for score, corner in zip(scores, corners, strict=True):
            total = score[start:stop].zero_()
            for f, m in zip(fixed, padded, strict=True):
                torch.sub(_window(m, corner, difference.shape), f[start:stop], out=difference)
                add(total, difference)
    scores.mul_(-weight)
    _neutralise(scores, candidates, fixed_trust, moving_trust, offsets)
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


def _read(candidates: Tensor) -> Offsets:
    offsets: list[list[int]] = candidates.long().tolist()
    return offsets


def _corners(offsets: Offsets) -> tuple[int, list[list[int]]]:
    """How far offsets reach, and where each one's window begins in a volume with as many voxels around."""
    radius = max(abs(o) for offset in offsets for o in offset)
    return radius, [[radius + o for o in offset] for offset in offsets]


def _window(padded: Tensor, corner: list[int], shape: torch.Size) -> Tensor:
    z, y, x = corner
    return padded[z : z + shape[0], y : y + shape[1], x : x + shape[2]]


def _neutralise(
    scores: Tensor,
    candidates: Tensor,
    fixed_trust: Tensor | None,
    moving_trust: Tensor | None,
    offsets: Offsets | None,
) -> None:
    if fixed_trust is None and moving_trust is None:
        return
    known = torch.ones_like(scores[0]) if fixed_trust is None else fixed_trust.to(scores.dtype)
    if moving_trust is not None:
        trust = moving_trust.to(scores.dtype)
        known = known * trust
        if compiles(scores):
            scoring.neutralise(scores, candidates, known, trust)
            return
        radius, corners = _corners(_read(candidates) if offsets is None else offsets)
        padded = _padded_slab(trust[None], 0, len(trust), radius, Border.ZERO)[0]
        total = torch.zeros_like(trust)
        count = torch.zeros_like(trust)
        for score, corner in zip(scores, corners, strict=True):
            there = _window(padded, corner, trust.shape)
            total.addcmul_(score, there)
            count.add_(there)
        mean = total.div_(count.clamp_min_(1.0))
        for score, corner in zip(scores, corners, strict=True):
            score.sub_(mean).mul_(_window(padded, corner, trust.shape)).add_(mean)
    scores.mul_(known)
