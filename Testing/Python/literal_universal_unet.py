"""The CT network as its description reads, of torch's own layers, the whole volume at once; and its checkpoints."""

from __future__ import annotations

import zlib
from pathlib import Path

import torch
from torch import Tensor, nn


class Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn1(self.conv1(x)))


class Stage(nn.Module):
    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.ops = nn.Sequential(Convolution(inputs, middle), Convolution(middle, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.ops(x)


class Up(nn.Module):
    def __init__(self, coarse: int, skip: int) -> None:
        super().__init__()
        self.up_conv = nn.ConvTranspose3d(coarse, coarse, 2, stride=2)
        self.ops = nn.Sequential(Convolution(coarse + skip, skip), Convolution(skip, skip))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.ops(torch.cat([self.up_conv(x), skip], dim=1))


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down_tr64, self.down_tr128 = Stage(1, 32, 64), Stage(64, 64, 128)
        self.down_tr256, self.down_tr512 = Stage(128, 128, 256), Stage(256, 256, 512)
        self.up_tr256, self.up_tr128, self.up_tr64 = Up(512, 256), Up(256, 128), Up(128, 64)

    def forward(self, x: Tensor) -> Tensor:
        pool = nn.MaxPool3d(2)
        a = self.down_tr64(x)
        b = self.down_tr128(pool(a))
        c = self.down_tr256(pool(b))
        return self.up_tr64(self.up_tr128(self.up_tr256(self.down_tr512(pool(c)), c), b), a)


class LiteralUNet(nn.Module):
    """(1, 1, Z, Y, X) in [0, 1] to (1, 8, Z, Y, X); normalises by the input's own statistics in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.precls_conv = nn.Sequential(nn.GroupNorm(16, 64), nn.ReLU(), nn.Conv3d(64, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.precls_conv(self.backbone(x))


def seeded_network() -> LiteralUNet:
    """With parameters that follow from their names alone."""
    network = LiteralUNet()
    state = network.state_dict()
    for key, value in state.items():
        name = key.removeprefix("backbone.")
        if value.is_floating_point():
            random = torch.randn(value.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
            if name.endswith("running_var"):
                random = random.abs() + 0.5
            elif name.endswith("weight"):
                fan_in = value[0].numel()
                random = random / fan_in**0.5 if value.dim() > 1 else 1 + 0.1 * random
            else:
                random = 0.1 * random
            value.copy_(random)
    network.load_state_dict(state)
    return network.train()


def write_checkpoint(path: Path, network: LiteralUNet) -> Path:
    """As the authors' training script saves it: from a parallel wrapper, beside other entries."""
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"net": state, "epoch": 320}, path)
    return path
