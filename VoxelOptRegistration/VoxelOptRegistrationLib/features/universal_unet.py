"""The CT segmentation network whose features VoxelOpt was published with: the 3-D U-Net of the "Universal model".

Encoder of 64, 128, 256 and 512 channels, two convolutions with batch normalisation and ReLU a stage and three poolings;
decoder of transposed convolutions with skips; group normalisation of 16 groups, ReLU and a 1 x 1 x 1 convolution to 8
channels, which are the features (VoxelOpt, arXiv 2506.19975, its released evaluation). Batch normalisation takes the
statistics of what it is given, as there, never the running ones of the training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ComputationError
from ..options import Statistics
from .extractor import NetworkInput, nothing
from .streaming import Rows, convolved, group_normalised, reader, upsampled_reader
from .tiling import tiled
from .weight_files import file_digest, read_checkpoint

CHANNELS = 8
WINDOW = (-500.0, 800.0)
"""HU mapped to [0, 1] and clipped."""
SPACING = 2.0
AXES = "RAS"
"""The released evaluation reads NIfTI arrays as they are stored: first axis x."""
TILE = 128
OVERLAP = 32
SIDES = 8
"""Three poolings: sides must be divisible by this; volumes are continued to the next such size."""

_ENCODER = (("down_tr64", 1, 32, 64), ("down_tr128", 64, 64, 128), ("down_tr256", 128, 128, 256))
_BOTTOM = ("down_tr512", 256, 256, 512)
_DECODER = (("up_tr256", 512, 256, 256), ("up_tr128", 256, 128, 128), ("up_tr64", 128, 64, 64))
_STORED_CHANNELS = 160
"""Feature channels of full resolution kept at the peak: skip, output of the decoder's first convolution, the coarser
levels."""
_WORKSPACE = 640 << 20
"""Bytes for the rows at work and torch's own, whatever the volume's size."""


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every parameter that the features depend on, by its name without ``module.`` and ``backbone.``."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.conv1.weight"] = (outputs, inputs, 3, 3, 3)
        for entry in ("conv1.bias", "bn1.weight", "bn1.bias"):
            shapes[f"{name}.{entry}"] = (outputs,)

    for name, inputs, middle, outputs in (*_ENCODER, _BOTTOM):
        convolution(f"{name}.ops.0", inputs, middle)
        convolution(f"{name}.ops.1", middle, outputs)
    for name, coarse, skip, outputs in _DECODER:
        shapes[f"{name}.up_conv.weight"] = (coarse, coarse, 2, 2, 2)
        shapes[f"{name}.up_conv.bias"] = (coarse,)
        convolution(f"{name}.ops.0", coarse + skip, outputs)
        convolution(f"{name}.ops.1", outputs, outputs)
    last = _DECODER[-1][-1]
    shapes["precls_conv.0.weight"] = shapes["precls_conv.0.bias"] = (last,)
    shapes["precls_conv.2.weight"] = (CHANNELS, last, 1, 1, 1)
    shapes["precls_conv.2.bias"] = (CHANNELS,)
    return shapes


@dataclass(frozen=True)
class UniversalUNet:
    """CT in HU (Z, Y, X), its axes and spacing as `input` says, to 8 feature channels of no particular scale.

    parameters: by the names of `parameter_shapes`. statistics: `VOLUME` normalises over the whole volume, as released;
    `TILE` over tiles of 128 voxels a side, blended over 32, in memory that does not grow with the volume, but a tile's
    features then depend on where it lies. available_bytes: memory that may be planned with.
    """

    parameters: dict[str, Tensor] = field(repr=False)
    statistics: Statistics
    identity: str
    available_bytes: int | None = None
    channels: int = CHANNELS
    input: NetworkInput = NetworkInput(SPACING, AXES)

    @classmethod
    def read(cls, path: Path, statistics: Statistics, available_bytes: int | None = None) -> UniversalUNet:
        """The network of a checkpoint file; raises `InputError` for one that is not of this network."""
        parameters = read_checkpoint(path, parameter_shapes())
        identity = f"ct-unet 1 {statistics.value} {file_digest(path)}"
        return cls(parameters, statistics, identity, available_bytes)

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing) -> Tensor:
        low, high = WINDOW
        scaled = ((image - low) / (high - low)).clamp(0.0, 1.0)
        parameters = {name: value.to(image.device) for name, value in self.parameters.items()}
        with torch.inference_mode():
            if self.statistics is Statistics.VOLUME:
                return unet_features(scaled, parameters, self._precision(scaled), checkpoint).clone()
            tile = (TILE, TILE, TILE)
            return tiled(lambda part: unet_features(part, parameters, torch.float32, checkpoint), scaled, tile, OVERLAP)

    def _precision(self, image: Tensor) -> torch.dtype:
        """In which feature maps are kept: single where memory allows, else half."""
        single = 4 * _STORED_CHANNELS * image.numel()
        half = single // 2 + _WORKSPACE
        if self.available_bytes is None or single + _WORKSPACE <= self.available_bytes:
            return torch.float32
        if half <= self.available_bytes:
            return torch.float16
        raise ComputationError(
            f"The CT network needs {half / 2**30:.1f} GiB for {image.numel() / 1e6:.1f} million voxels of"
            f" {self.input.spacing:g} mm, {self.available_bytes / 2**30:.1f} GiB are free.",
            "Set features.statistics=tile, crop the volumes, or choose another device.",
        )


def unet_features(
    image: Tensor, parameters: dict[str, Tensor], store: torch.dtype, checkpoint: Callable[[], None] = nothing
) -> Tensor:
    """Features (8, Z, Y, X) of an image (Z, Y, X) in [0, 1], float32; feature maps are kept in `store` precision.

    Sides that are not divisible by 8 are continued with the nearest voxel and cut again.
    """
    shape = image.shape
    pad = [extra for n in reversed(shape) for extra in (0, -n % SIDES)]
    volume = F.pad(image[None, None], pad, mode="replicate")[0].to(store)

    def layer(name: str, read: Rows, size: torch.Size) -> Tensor:
        norm = (parameters[f"{name}.bn1.weight"], parameters[f"{name}.bn1.bias"])
        weight, bias = parameters[f"{name}.conv1.weight"], parameters[f"{name}.conv1.bias"]
        return convolved(read, size, weight, bias, norm, store, checkpoint)

    skips: list[Tensor] = []
    for name, *_ in (*_ENCODER, _BOTTOM):
        volume = layer(f"{name}.ops.0", reader(volume), volume.shape[1:])
        volume = layer(f"{name}.ops.1", reader(volume), volume.shape[1:])
        if name != _BOTTOM[0]:
            skips.append(volume)
            volume = F.max_pool3d(volume[None], 2)[0]
    for name, *_ in _DECODER:
        size = skips[-1].shape[1:]
        up_conv = (parameters[f"{name}.up_conv.weight"], parameters[f"{name}.up_conv.bias"])
        up = upsampled_reader(volume, *up_conv, skips.pop())
        volume = layer(f"{name}.ops.0", up, size)
        del up  # and with it the skip
        volume = layer(f"{name}.ops.1", reader(volume), size)

    def head(rows: Tensor) -> Tensor:
        return F.conv3d(rows.relu_(), parameters["precls_conv.2.weight"], parameters["precls_conv.2.bias"])

    norm = (parameters["precls_conv.0.weight"], parameters["precls_conv.0.bias"])
    features = group_normalised(volume, 16, norm, head)
    return features[:, : shape[0], : shape[1], : shape[2]]
