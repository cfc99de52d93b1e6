"""Any feature network: a TorchScript or torch.export file, and a JSON file that declares what it expects and gives.

    {"file": "net.pt2", "channels": 16, "spacing_mm": 1.5, "window": [-500, 800], "axes": "RAS", "tile": [96, 96, 96]}

file: TorchScript, or torch.export where the name ends in .pt2; relative to the JSON file. channels: feature maps that
it gives. spacing_mm: voxel side of its input. window: intensities mapped to [0, 1] and clipped. axes: where each array
axis of the input points, slowest first, three of R L A P S I; "" for the volume's own axes; default "RAS". tile: voxels
that it is given at a time, always exactly these; default 96 a side. It is called with (1, 1, *tile), float32, and
answers (1, channels, z, y, x) of the same field of view, possibly on a coarser grid.

Such a file is a program: load only what comes from somebody you trust.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ComputationError, InputError
from .extractor import NetworkInput, nothing
from .tiling import Shape, tiled
from .weight_files import file_digest

AXES = "RAS"
TILE = (96, 96, 96)
_OPPOSITES = ("RL", "AP", "SI")
_REMEDY = 'It needs "file", "channels", "spacing_mm" and "window", and may have "axes" and "tile".'
_LOADING_ERRORS = (RuntimeError, OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Declaration:
    """What the JSON file says; see the module."""

    file: Path
    channels: int
    spacing: float
    window: tuple[float, float]
    axes: str
    tile: Shape

    @classmethod
    def read(cls, path: Path) -> Declaration:
        """Raises `InputError` naming the file and the entry at fault."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"There is no network declaration {path}.", "Give the path of its JSON file.") from error
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is no JSON file that declares a network.", f"Give that, not the network itself. {_REMEDY}"
            ) from error
        entries = content if isinstance(content, dict) else {}
        known = ("file", "channels", "spacing_mm", "window", "axes", "tile")
        for name in (*known[:4], *entries):
            if name not in entries or name not in known:
                fault = "does not say" if name not in entries else "has an unknown entry"
                raise InputError(f"{path} {fault} {name!r}.", _REMEDY)

        def checked(name: str, good: bool, remedy: str) -> None:
            if not good:
                raise InputError(f"In {path}, {name} cannot be {entries[name]!r}.", remedy)

        file, channels, spacing = entries["file"], entries["channels"], entries["spacing_mm"]
        window, axes, tile = entries["window"], entries.setdefault("axes", AXES), entries.setdefault("tile", list(TILE))
        checked("file", isinstance(file, str) and bool(file), "Give the name of the network's file.")
        checked("channels", _whole(channels, 1, 512), "Use 1 to 512.")
        checked("spacing_mm", _real(spacing) and 0.05 <= spacing <= 100, "Use 0.05 to 100 mm.")
        good = isinstance(window, list) and len(window) == 2 and all(map(_real, window)) and window[0] < window[1]
        checked("window", good, "Give two numbers, the lower one first.")
        named = [next((i for i, pair in enumerate(_OPPOSITES) if c in pair), -1) for c in str(axes)]
        checked("axes", axes == "" or sorted(named) == [0, 1, 2], 'Give one each of R or L, A or P, S or I: "RAS".')
        good = isinstance(tile, list) and len(tile) == 3 and all(_whole(n, 8, 1024) for n in tile)
        checked("tile", good, "Give three sizes of 8 to 1024 voxels.")
        sides = (tile[0], tile[1], tile[2])
        return cls(path.parent / file, channels, float(spacing), (float(window[0]), float(window[1])), axes, sides)


@dataclass(frozen=True)
class DeclaredNetwork:
    """An image (Z, Y, X) with the spacing and axes of `input` to the network's channels, tile by tile."""

    declaration: Declaration
    identity: str
    network: Callable[[Tensor, torch.device], Tensor] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> DeclaredNetwork:
        """The network that the JSON file `path` declares; raises `InputError` where a file is missing or wrong."""
        declaration = Declaration.read(path)
        if not declaration.file.is_file():
            raise InputError(f"{path} names the network {declaration.file}, which does not exist.", "Mend its 'file'.")
        network = _load(declaration.file)
        return cls(declaration, f"network 1 {declaration} {file_digest(declaration.file)}", network)

    @property
    def channels(self) -> int:
        return self.declaration.channels

    @property
    def input(self) -> NetworkInput:
        return NetworkInput(self.declaration.spacing, self.declaration.axes)

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing) -> Tensor:
        low, high = self.declaration.window
        scaled = ((image - low) / (high - low)).clamp(0.0, 1.0)

        def features(tile: Tensor) -> Tensor:
            checkpoint()
            result = self._checked(self._run(tile[None, None]))
            return F.interpolate(result, size=tile.shape, mode="trilinear", align_corners=False)[0]

        with torch.inference_mode():
            overlap = min(self.declaration.tile) // 4
            return tiled(features, scaled, self.declaration.tile, overlap, exact=True).clone()

    def _run(self, tile: Tensor) -> Any:
        try:
            return self.network(tile, tile.device)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, TypeError, ValueError) as error:
            size = " x ".join(str(n) for n in tile.shape)
            reason = str(error).strip().rpartition("\n")[2]
            raise InputError(
                f"The network {self.declaration.file} cannot compute an input of {size}: {reason}",
                "Check 'tile' in its JSON file, and that it takes one volume.",
            ) from error

    def _checked(self, result: Any) -> Tensor:
        name, channels = self.declaration.file, self.declaration.channels
        if not isinstance(result, Tensor) or result.dim() != 5 or tuple(result.shape[:2]) != (1, channels):
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise InputError(
                f"The network {name} gave {shape} instead of (1, {channels}, z, y, x).",
                "Mend 'channels' in its JSON file, or wrap the network so that it gives its feature maps alone.",
            )
        if not bool(torch.isfinite(result).all()):
            raise ComputationError(f"The network {name} gave numbers that are not finite.", "Check 'window'.")
        return result.float()


def _load(path: Path) -> Callable[[Tensor, torch.device], Tensor]:
    """A function of a tile and the device that it lies on."""
    try:
        with _quiet():
            if path.suffix == ".pt2":
                program = torch.export.load(path)
                return _Exported(program)
            script = torch.jit.load(str(path), map_location="cpu").eval()
    except _LOADING_ERRORS as error:
        kind = "a torch.export" if path.suffix == ".pt2" else "a TorchScript"
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{path} cannot be loaded as {kind} file: {reason}",
            "Save the network with torch.jit.save, or with torch.export.save as .pt2, in a torch no newer than this.",
        ) from error
    return lambda tile, device: script.to(device)(tile)


class _Exported:
    """An exported program on whatever device its input lies."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._program = program
        self._modules = {"cpu": program.module()}

    def __call__(self, tile: Tensor, device: torch.device) -> Tensor:
        name = str(device)
        if name not in self._modules:
            from torch.export.passes import move_to_device_pass

            self._modules[name] = move_to_device_pass(self._program, name).module()
        result: Tensor = self._modules[name](tile)
        return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes to developers about formats."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
