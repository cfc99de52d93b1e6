"""MIND-SSC, the modality-independent neighbourhood descriptor with self-similarity context."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import mind as compiled_mind
from ..kernels.runtime import compiles, fused

_NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
_FUSED_RADIUS = 2
"""At most: a fused kernel reads every voxel's window anew, plain torch averages axis by axis."""
_PAIRS = ((1, 2), (0, 3), (0, 2), (1, 3), (2, 4), (3, 5), (0, 4), (1, 5), (3, 4), (2, 5), (1, 4), (0, 5))


def mind_ssc(image: Tensor, radius: int = 2, dilation: int = 2, floor: float = 0.001) -> Tensor:
    """Descriptor (12, Z, Y, X) in (0, 1] of an image (Z, Y, X), any intensity unit.

    For each of the 12 pairs of axis neighbours at distance `dilation` that are sqrt(2) apart: the mean squared
    difference over a cube of side 2 radius + 1, replicate borders; minus the smallest of the 12; divided by their
    mean, held within `floor` to 1000 times its average over the volume; exp of its negative (Heinrich et al., MICCAI
    2013). A constant image gives 1.
    """
    if radius <= _FUSED_RADIUS and (fast := fused("mind.mind_ssc", image, radius, dilation, floor)) is not None:
        return fast
    if compiles(image):
        return compiled_mind.mind_ssc(
            image, np.array(_NEIGHBOURS)[np.array(_PAIRS)] * dilation, radius, dilation, floor
        )
    shape = image.shape
    descriptor = torch.empty((12, *shape), dtype=image.dtype, device=image.device)
    padded = F.pad(image[None, None], (dilation,) * 6, mode="replicate")[0, 0]

    def shifted(offset: tuple[int, int, int]) -> Tensor:
        z, y, x = (dilation * (1 + o) for o in offset)
        return padded[z : z + shape[0], y : y + shape[1], x : x + shape[2]]

    for channel, (a, b) in enumerate(_PAIRS):
        difference = shifted(_NEIGHBOURS[a]) - shifted(_NEIGHBOURS[b])
        descriptor[channel] = box_mean(difference.square_(), radius)
    descriptor -= descriptor.amin(dim=0)
    variance = descriptor.mean(dim=0)
    average = variance.mean()
    variance = variance.clamp(min=average * floor, max=average * 1000).clamp_min(torch.finfo(image.dtype).tiny)
    return descriptor.div_(variance).neg_().exp_()


def box_mean(volume: Tensor, radius: int) -> Tensor:
    """Mean over a cube of side 2 radius + 1 of a volume (Z, Y, X), replicate borders."""
    for axis in range(3):
        size = volume.shape[axis]
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        padded = F.pad(volume[None, None], pad, mode="replicate")[0, 0]
        total = padded.narrow(axis, 0, size).clone()
        for shift in range(1, 2 * radius + 1):
            total += padded.narrow(axis, shift, size)
        volume = total.div_(2 * radius + 1)
    return volume
