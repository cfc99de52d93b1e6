"""How uncertain the match of each voxel is: the entropy of its candidate displacements."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..kernels import entropy as loops
from ..kernels.runtime import compiles
from ..options import EntropyScale
from .candidates import slabs


def displacement_entropy(scores: Tensor, sharpness: float, scale: EntropyScale) -> Tensor:
    """Entropy (Z, Y, X) of softmax(sharpness * scores (K, Z, Y, X)) over the K candidates (VoxelOpt, section 3).

    `CANDIDATES` divides by ln K: 1 means that all candidates match alike. `VOLUME` stretches the volume's own
    extremes to [0, 1], as released; there a constant volume has no extremes and gives 1 everywhere.
    """
    entropy = loops.entropies(scores, sharpness) if compiles(scores) else _entropies(scores, sharpness)
    return scaled_entropy(entropy, len(scores), scale)


def scaled_entropy(entropy: Tensor, count: int, scale: EntropyScale) -> Tensor:
    """Entropy (Z, Y, X) over `count` candidates, in nats, to `scale`; may be written over."""
    if scale is EntropyScale.CANDIDATES:
        return entropy.div_(math.log(count)).clamp_(0.0, 1.0)
    low, high = entropy.amin(), entropy.amax()
    return ((entropy - low) / (high - low)).masked_fill_(high <= low, 1.0)


def _entropies(scores: Tensor, sharpness: float) -> Tensor:
    """Entropy (Z, Y, X), nats, of the softmax whose shares below 1e-6 are raised to it and normalised again."""
    _, *shape = scores.shape
    entropy = torch.empty(shape, dtype=scores.dtype, device=scores.device)
    for start, stop in slabs(shape[0], shape[1] * shape[2], scores.device):
        p = torch.softmax(scores[:, start:stop] * sharpness, dim=0).clamp_min_(1e-6)
        p /= p.sum(dim=0)
        entropy[start:stop] = torch.special.entr(p).sum(dim=0)
    return entropy
