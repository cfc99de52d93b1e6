"""Segmentations as features: how many labels share a few channels, and how much each counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = 16
"""Channels that any number of labels fit into, so that 117 cost no more memory than 16."""
_EXPONENT = -0.3
_FARTHEST = 8


def label_weights(counts: Tensor) -> Tensor:
    """What each label counts, (L,) float32, mean 1: its voxels `counts` (L,) to the power -0.3 (nnU-Net variant of
    ConvexAdam, Siebert et al., IEEE TMI 2024), so that small structures are not lost beside large ones.
    """
    weights = counts.clamp_min(1).float() ** _EXPONENT
    return weights / weights.mean()


def coarse_presence(labels: Tensor, count: int, cells: int = 24) -> Tensor:
    """Which coarse cells each label touches, bool (count, z, y, x), at most about `cells` a side.

    labels: (Z, Y, X), integers; 0 is background, label i is number i + 1.
    """
    shape = labels.shape
    block = max(1, -(-max(shape) // cells))
    z, y, x = (-(-n // block) for n in shape)
    rows = [torch.arange(n, device=labels.device) // block for n in shape]
    cell = (rows[0][:, None, None] * y + rows[1][:, None]) * x + rows[2]
    present = torch.zeros((count + 1) * z * y * x, dtype=torch.bool, device=labels.device)
    present[labels.long() * (z * y * x) + cell] = True
    return present.view(count + 1, z, y, x)[1:]


def share_channels(presence: Tensor, channels: int = CHANNELS) -> list[int]:
    """A channel 0 to `channels` - 1 for each label, so that labels of one channel stand far apart.

    presence: bool (L, z, y, x) of `coarse_presence`, both volumes together. Up to `channels` labels have one each.
    Beyond, each label joins, largest first, the channel whose labels stand farthest from it. Labels of different
    channels differ exactly as one-hot vectors do; those that share one are confused only by a search that reaches from
    one to the other.
    """
    count = len(presence)
    if count <= channels:
        return list(range(count))
    distance = _separations(presence)
    nearest = torch.full((count, channels), _FARTHEST + 1)
    chosen = [0] * count
    order = torch.argsort(presence.flatten(1).sum(dim=1), descending=True, stable=True).tolist()
    members = torch.zeros(channels)
    for label in order:
        free = nearest[label] + 1.0 / (1.0 + members)
        channel = int(free.argmax())
        chosen[label] = channel
        members[channel] += 1
        nearest[:, channel] = torch.minimum(nearest[:, channel], distance[:, label])
    return chosen


def _separations(presence: Tensor) -> Tensor:
    """Cells between any two labels, (L, L), at most `_FARTHEST`."""
    flat = presence.flatten(1).float().cpu()
    distance = torch.full((len(flat), len(flat)), _FARTHEST)
    grown = presence[None].float().cpu()
    for step in range(_FARTHEST):
        touching = (grown[0].flatten(1) @ flat.T) > 0
        distance = torch.where(touching & (distance == _FARTHEST), step, distance)
        grown = F.max_pool3d(grown, 3, stride=1, padding=1)
    return torch.minimum(distance, distance.T)


def combined(features: Tensor | None, labels: Tensor, label_weight: float) -> Tensor:
    """Image features (C, Z, Y, X), if any, and weighted label channels (L, Z, Y, X) as one map, (C + L, Z, Y, X).

    Scaled so that the mean over all channels of absolute differences, which is what solvers compare, is that of the
    image features plus `label_weight` times the sum over the label channels.
    """
    count = len(labels)
    if features is None:
        return labels * (count * label_weight)
    total = len(features) + count
    result = torch.empty((total, *labels.shape[1:]), dtype=features.dtype, device=features.device)
    torch.mul(features, total / len(features), out=result[: len(features)])
    torch.mul(labels, total * label_weight, out=result[len(features) :])
    return result
