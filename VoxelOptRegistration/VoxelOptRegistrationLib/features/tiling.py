"""A function of volumes applied tile by tile, its overlapping results blended: memory does not grow with the volume."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, int, int]


def tiled(
    function: Callable[[Tensor], Tensor], image: Tensor, tile: Shape, overlap: int, exact: bool = False
) -> Tensor:
    """`function` of an image (Z, Y, X), which makes (C, z, y, x) of a tile (z, y, x): (C, Z, Y, X) float32.

    Tiles overlap by at least `overlap` voxels where more than one is needed, and are weighted by tents that fade
    across that many. A function that is the same everywhere gives the same as without tiles away from tile borders.
    exact: tiles have the size `tile` also where the image is smaller, which is continued with its nearest voxels.
    """
    pad = [
        extra for n, side in zip(reversed(image.shape), reversed(tile), strict=True) for extra in (0, max(0, side - n))
    ]
    whole = F.pad(image[None, None], pad, mode="replicate")[0, 0] if exact and any(pad) else image
    sides = tuple(min(side, n) for side, n in zip(tile, whole.shape, strict=True))
    starts = [_starts(n, side, overlap) for n, side in zip(whole.shape, sides, strict=True)]
    total: Tensor | None = None
    weight = torch.zeros(whole.shape, device=image.device)
    window = _window(sides, overlap, image.device)
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                place = (slice(z, z + sides[0]), slice(y, y + sides[1]), slice(x, x + sides[2]))
                result = function(whole[place].contiguous()).float()
                if total is None:
                    total = torch.zeros((result.shape[0], *whole.shape), device=image.device)
                total[(slice(None), *place)] += result * window
                weight[place] += window
    assert total is not None
    total /= weight
    return total[:, : image.shape[0], : image.shape[1], : image.shape[2]].contiguous()


def _starts(size: int, side: int, overlap: int) -> list[int]:
    """First voxels of tiles that cover `size` evenly."""
    step = max(1, side - min(overlap, side // 2))
    count = 1 + -(-(size - side) // step)
    return [round(i * (size - side) / max(1, count - 1)) for i in range(count)]


def _window(sides: tuple[int, ...], overlap: int, device: torch.device) -> Tensor:
    """Weights (z, y, x) of a tile: 1 inside, falling towards its faces, never 0."""
    ramps = []
    for side in sides:
        distance = torch.arange(side, device=device) + 0.5
        distance = torch.minimum(distance, side - distance)
        ramps.append((distance / max(1.0, min(overlap, side // 2))).clamp_max(1.0))
    return ramps[0][:, None, None] * ramps[1][:, None] * ramps[2]
