"""A field on another grid over the same field of view. Conventions: see the package."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_displacement(displacement: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The displacement (3, Z, Y, X) on the grid of `shape` voxels from edge to edge of the same box, in its voxels.

    Trilinear between voxel centres, constant beyond the outermost. Onto a coarser grid it is sampled, not averaged.
    """
    if tuple(displacement.shape[1:]) == shape:
        return displacement
    resized = F.interpolate(displacement[None], size=shape, mode="trilinear", align_corners=False)[0]
    ratios = [new / old for new, old in zip(shape, displacement.shape[1:], strict=True)]
    return resized.mul_(torch.tensor(ratios, dtype=resized.dtype, device=resized.device).view(3, 1, 1, 1))
