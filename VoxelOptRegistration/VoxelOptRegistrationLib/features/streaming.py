"""Layers of a network over volumes too large for it: a few rows at a time, exactly as if all were done at once.

A volume (C, Z, Y, X) is kept once per layer, in `store` precision; arithmetic is float32. Batch statistics are those of
the whole volume, because they are gathered over all rows before any is normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

Rows = Callable[[int, int], Tensor]
"""(start, stop) -> rows start to stop along the first spatial axis of a layer's input, (C, stop - start, Y, X)."""

_ROW_VOXELS = 1 << 17
"""Voxels that are computed at once."""
_EPSILON = 1e-5


class Moments:
    """Mean and variance per channel over all rows seen (Chan, Golub and LeVeque, 1983), float64."""

    def __init__(self, channels: int, device: torch.device) -> None:
        self._count = 0
        self._mean = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)
        self._device = device

    def add(self, rows: Tensor) -> None:
        """Take `rows` (C, z, y, x) in."""
        variance, mean = (m.double().cpu() for m in torch.var_mean(rows.flatten(1), dim=1, correction=0))
        count = rows[0].numel()
        total = self._count + count
        shift = mean - self._mean
        self._mean += shift * (count / total)
        self._squares += variance * count + shift.square() * (self._count * count / total)
        self._count = total

    def scale_and_shift(self, weight: Tensor, bias: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """What turns values into normalised ones, per channel, over `groups` of neighbouring channels together."""
        mean = self._mean.view(groups, -1)
        variance = (self._squares / self._count).view(groups, -1) + mean.square()
        mean = mean.mean(dim=1, keepdim=True).expand_as(mean)
        variance = variance.mean(dim=1, keepdim=True) - mean.square()
        scale = weight.double().cpu() * (variance.clamp_min(0) + _EPSILON).rsqrt().reshape(-1)
        shift = bias.double().cpu() - mean.reshape(-1) * scale
        scale, shift = (v.float().to(self._device).view(-1, 1, 1, 1) for v in (scale, shift))
        return scale, shift


def chunks(shape: torch.Size) -> Iterator[tuple[int, int]]:
    """Row ranges (start, stop) of a volume (Z, Y, X), even starts, of about `_ROW_VOXELS` voxels."""
    rows = max(2, _ROW_VOXELS // (shape[1] * shape[2]) // 2 * 2)
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])


def convolved(
    read: Rows,
    shape: torch.Size,
    weight: Tensor,
    bias: Tensor,
    norm: tuple[Tensor, Tensor],
    store: torch.dtype,
    checkpoint: Callable[[], None],
) -> Tensor:
    """3 x 3 x 3 convolution with zero padding, batch normalisation by the volume's own statistics, ReLU.

    shape: (Z, Y, X). norm: weight and bias of the normalisation. Returns (C, Z, Y, X) in `store` precision.
    """
    output = torch.empty((weight.shape[0], *shape), dtype=store, device=weight.device)
    moments = Moments(weight.shape[0], weight.device)
    for start, stop in chunks(shape):
        checkpoint()
        low, high = max(start - 1, 0), min(stop + 1, shape[0])
        rows = F.pad(read(low, high).float(), (0, 0, 0, 0, low - start + 1, stop + 1 - high))
        result = F.conv3d(rows[None], weight, bias, padding=(0, 1, 1))[0]
        moments.add(result)
        output[:, start:stop] = result
    scale, shift = moments.scale_and_shift(*norm, groups=weight.shape[0])
    for start, stop in chunks(shape):
        output[:, start:stop] = (output[:, start:stop].float() * scale).add_(shift).relu_()
    return output


def group_normalised(
    volume: Tensor, groups: int, norm: tuple[Tensor, Tensor], finish: Callable[[Tensor], Tensor]
) -> Tensor:
    """`finish`, which works voxel by voxel on (1, C, z, y, x), of the group-normalised volume (C, Z, Y, X), float32."""
    shape = volume.shape[1:]
    moments = Moments(volume.shape[0], volume.device)
    for start, stop in chunks(shape):
        moments.add(volume[:, start:stop].float())
    scale, shift = moments.scale_and_shift(*norm, groups=groups)
    parts = [finish((volume[:, a:b].float() * scale + shift)[None])[0] for a, b in chunks(shape)]
    return torch.cat(parts, dim=1)


def reader(volume: Tensor) -> Rows:
    """Rows of a stored volume."""
    return lambda start, stop: volume[:, start:stop]


def upsampled_reader(coarse: Tensor, weight: Tensor, bias: Tensor, beside: Tensor) -> Rows:
    """Rows of `coarse` brought to twice its size by a 2 x 2 x 2 transposed convolution, then those of `beside`."""

    def read(start: int, stop: int) -> Tensor:
        first = start // 2
        part = coarse[:, first : (stop + 1) // 2].float()
        fine = F.conv_transpose3d(part[None], weight, bias, stride=2)[0]
        return torch.cat([fine[:, start - 2 * first : stop - 2 * first], beside[:, start:stop].float()])

    return read
