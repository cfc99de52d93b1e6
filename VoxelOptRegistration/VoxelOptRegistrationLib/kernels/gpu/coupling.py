"""Each voxel's best candidate; the twin of `solvers.coupling.best_displacement`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...options import Ties
from .launching import blocks, launch
from .places import load_vector, own_places, store_vector

_BLOCK = 256


def best_displacement(scores: Tensor, candidates: Tensor, smooth: Tensor | None, coupling: float, ties: Ties) -> Tensor:
    """argmax over d of scores_d - coupling |smooth - d|^2: (3, Z, Y, X) float32, voxels. A score that is not a number
    never wins.

    scores (K, Z, Y, X), candidates (K, 3), smooth (3, Z, Y, X).
    """
    scores = scores.contiguous()
    smooth = None if smooth is None else smooth.contiguous()
    table = candidates.to(torch.float32).contiguous()
    result = scores.new_empty((3, *scores.shape[1:]), dtype=torch.float32)
    programs, block = blocks(scores, _BLOCK)
    launch(
        _best,
        (programs,),
        *(scores, table, result if smooth is None else smooth, result, len(table), float(coupling), scores[0].numel()),
        COUPLED=smooth is not None,
        SUM=ties is Ties.SUM,
        BLOCK=block,
    )
    return result


@triton.jit
def _best(
    scores: tl.tensor,
    table: tl.tensor,
    smooth: tl.tensor,
    result: tl.tensor,
    candidates: tl.tensor,
    coupling: tl.tensor,
    voxels: tl.tensor,
    COUPLED: tl.constexpr,
    SUM: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    place, inside = own_places(voxels, BLOCK)
    nothing = tl.zeros([BLOCK], tl.float32)
    uz, uy, ux = nothing, nothing, nothing
    if COUPLED:
        uz, uy, ux = load_vector(smooth, place, voxels, inside)
    best, vz, vy, vx = nothing - float("inf"), nothing, nothing, nothing
    for _ in range(candidates):
        dz, dy, dx = tl.load(table), tl.load(table + 1), tl.load(table + 2)
        energy = tl.load(scores + place, mask=inside, other=0.0).to(tl.float32)
        if COUPLED:
            energy += coupling * (2.0 * (uz * dz + uy * dy + ux * dx) - (dz * dz + dy * dy + dx * dx))
        better = energy > best
        if SUM:
            tied = energy == best
            vz, vy, vx = tl.where(tied, vz + dz, vz), tl.where(tied, vy + dy, vy), tl.where(tied, vx + dx, vx)
        vz, vy, vx = tl.where(better, dz, vz), tl.where(better, dy, vy), tl.where(better, dx, vx)
        best = tl.where(better, energy, best)
        scores += voxels
        table += 3
    store_vector(result, place, voxels, vz, vy, vx, inside)
