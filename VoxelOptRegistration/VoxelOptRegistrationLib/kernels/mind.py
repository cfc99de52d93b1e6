"""MIND-SSC with all its averages in one go; the twin of `features.mind.mind_ssc`."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .memory_reuse import empty
from .runtime import arrays, in_slabs

_CHUNK_VOXELS = 1 << 13


def mind_ssc(image: Tensor, offsets: np.ndarray, radius: int, dilation: int, floor: float) -> Tensor:
    """Descriptor (12, Z, Y, X) of an image (Z, Y, X); see the twin.

    offsets: (12, 2, 3), integers, of the two voxels whose difference each channel takes, in voxels along z, y and x.
    """
    from .loops import mind

    padded = F.pad(image[None, None], (dilation,) * 6, mode="replicate")[0, 0]
    descriptor = empty((len(offsets), *image.shape))
    variance = empty(descriptor[0].shape)
    in_slabs(mind.distances, image.shape, *arrays(padded), offsets + dilation, radius, *arrays(descriptor, variance))
    average = variance.mean()
    variance = variance.clamp_(min=average * floor, max=average * 1000).clamp_min_(torch.finfo(image.dtype).tiny)
    variance.reciprocal_().neg_()
    thickness = max(1, _CHUNK_VOXELS // variance[0].numel())
    for start in range(0, len(variance), thickness):
        part = slice(start, start + thickness)
        descriptor[:, part].mul_(variance[part]).exp_()
    return descriptor
