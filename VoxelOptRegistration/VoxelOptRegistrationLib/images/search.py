"""Places and orientations from which two coarse volumes may be brought together: an exhaustive search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .coarse import CoarseVolume, describe, inner
from .grid import Grid
from .optimisation import rotation

_STEP = math.radians(22)
_FARTHEST = math.radians(32)
_SMALLEST_SHARE = 0.25
"""Share of the smaller region that must overlap."""
_RIM = 1


def orientations() -> list[np.ndarray]:
    """Rotation vectors, radians, the identity first: none within 32 degrees is further than 13 degrees from the next.

    A body-centred cubic lattice of rotation vectors.
    """
    cubic = [np.array(n, float) for n in itertools.product((-2, -1, 0, 1, 2), repeat=3)]
    lattice = [_STEP * n for n in cubic] + [_STEP * (n + 0.5) for n in cubic]
    return sorted((v for v in lattice if np.linalg.norm(v) <= _FARTHEST), key=lambda v: float(np.linalg.norm(v)))


def placements(
    fixed: CoarseVolume, moving: CoarseVolume, turns: list[np.ndarray], check: Callable[[], None]
) -> list[tuple[float, np.ndarray]]:
    """For every turn the best translation of all: (cost, 4 x 4 fixed point -> moving point, LPS mm), best first.

    cost: mean squared difference of the descriptors over the overlap, that of unrelated places beyond it.
    """
    search = _Correlation(fixed, moving)
    found = []
    for turn in turns:
        check()
        placement = search.best(turn)
        if placement is not None:
            found.append(placement)
    return sorted(found, key=lambda placement: placement[0])


class _Correlation:
    """Descriptors of the fixed volume, ready to be correlated with turned versions of the moving one."""

    def __init__(self, fixed: CoarseVolume, moving: CoarseVolume) -> None:
        self.fixed, self.moving = fixed, moving
        weight = inner(fixed.region, _RIM)
        chosen = fixed.descriptors[:, weight]
        self.mean = chosen.mean(dim=1)[:, None, None, None] if chosen.numel() else torch.zeros(12, 1, 1, 1)
        self.maps, self.count = self._maps(fixed.descriptors, weight), float(weight.sum())
        self.spectra: dict[tuple[int, ...], Tensor] = {}

    def best(self, turn: np.ndarray) -> tuple[float, np.ndarray] | None:
        grid, matrix = self._turned_grid(turn)
        values, region = self.moving.sampled(grid, matrix)
        weight = inner(region, _RIM)
        count = float(weight.sum())
        smaller = min(self.count, count)
        if smaller == 0:
            return None
        maps = self._maps(describe(values), weight)
        shape = tuple(_fast(a + b - 1) for a, b in zip(self.maps.shape[1:], maps.shape[1:], strict=True))
        if shape not in self.spectra:
            self.spectra[shape] = torch.fft.rfftn(self.maps, s=shape, dim=(1, 2, 3)).conj()
        f, m = self.spectra[shape], torch.fft.rfftn(maps, s=shape, dim=(1, 2, 3))
        # Channels: 12 descriptors, their squared length, the weight itself.
        both = torch.stack((f[13] * m[13], f[12] * m[13] + f[13] * m[12] - 2 * (f[:12] * m[:12]).sum(dim=0)))
        overlap, squares = torch.fft.irfftn(both, s=shape, dim=(1, 2, 3))
        chance = (self.maps[12].sum() / self.count + maps[12].sum() / count) / 12
        chance -= 2 * (self.maps[:12].sum(dim=(1, 2, 3)) / self.count * maps[:12].sum(dim=(1, 2, 3)) / count).sum() / 12
        share = (overlap / smaller).clamp(0, 1)
        mean = (squares / overlap.clamp_min(0.5) / 12).clamp(min=0)
        cost = torch.minimum(mean, chance) * share + chance * (1 - share)
        cost[share < _SMALLEST_SHARE] = float("inf")
        place = int(cost.argmin())
        lowest = float(cost.flatten()[place] / chance)
        if not math.isfinite(lowest):
            return None
        index = np.unravel_index(place, shape)
        shift = [int(i) if i < b else int(i) - n for i, b, n in zip(index, maps.shape[1:], shape, strict=True)]
        # Fixed voxel j lies on voxel j + shift of the turned grid.
        moved = np.eye(4)
        moved[:3, 3] = shift[::-1]
        return lowest, matrix @ grid.index_to_world @ moved @ self.fixed.grid.world_to_index

    def _maps(self, descriptors: Tensor, weight: Tensor) -> Tensor:
        shifted = (descriptors - self.mean) * weight
        return torch.cat((shifted, shifted.square().sum(dim=0, keepdim=True), weight[None].to(torch.float32)))

    def _turned_grid(self, turn: np.ndarray) -> tuple[Grid, np.ndarray]:
        """A grid with fixed's axes and voxels about all of the moving volume turned back, and the 4 x 4 turn."""
        matrix = rotation(turn, self.moving.centre)
        ends = [(-0.5, n - 0.5) for n in self.moving.grid.size_xyz]
        corners = np.array([(*corner, 1.0) for corner in itertools.product(*ends)])
        to_index = self.fixed.grid.world_to_index @ np.linalg.inv(matrix) @ self.moving.grid.index_to_world
        indices = (corners @ to_index.T)[:, :3]
        low, high = np.ceil(indices.min(axis=0)), np.floor(indices.max(axis=0))
        x, y, z = (max(1, int(n)) for n in high - low + 1)
        origin = np.eye(4)
        origin[:3, 3] = low
        return Grid((z, y, x), self.fixed.grid.index_to_world @ origin), matrix


def _fast(size: int) -> int:
    """The smallest length from `size` on with no prime factor above 5."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
