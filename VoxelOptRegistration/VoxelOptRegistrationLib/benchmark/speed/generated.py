"""Generated features and fields: texture at every scale, so that matches are hardly ever tied."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...fields.sampling import warp


def textured(channels: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """(C, Z, Y, X) float32 in about [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((channels, *shape))
    for scale in (1, 2, 4):
        size = [max(2, -(-n // scale)) for n in shape]
        noise = torch.randn((1, channels, *size), generator=generator)
        total += scale * F.interpolate(noise, size=shape, mode="trilinear", align_corners=True)[0]
    return torch.sigmoid(0.5 * total)


def smooth_field(shape: tuple[int, int, int], amplitude: float, seed: int) -> Tensor:
    """A smooth random displacement (3, Z, Y, X), voxels, at most `amplitude` per component, fading to zero at the
    border.
    """
    generator = torch.Generator().manual_seed(seed)
    axes = [(torch.arange(n, dtype=torch.float32) + 0.5) / n for n in shape]
    positions = torch.meshgrid(*axes, indexing="ij")
    fade = torch.stack([torch.sin(torch.pi * p) for p in positions]).prod(dim=0)
    field = torch.empty(3, *shape)
    for component in field:
        phases = torch.rand(3, generator=generator) * 2 * torch.pi
        waves = [torch.cos(torch.pi * p + phase) for p, phase in zip(positions, phases, strict=True)]
        component.copy_(amplitude * fade * torch.stack(waves).mean(dim=0))
    return field


def feature_pair(channels: int, shape: tuple[int, int, int], device: str) -> tuple[Tensor, Tensor]:
    """Fixed and moving features (C, Z, Y, X) on `device`, deformed by up to 8 voxels."""
    moving = textured(channels, shape, 0)
    return warp(moving, smooth_field(shape, 8.0, 1)).to(device), moving.to(device)
