"""Files with a network's weights: finding them, reading them safely, and telling them apart."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError

FOLDER_VARIABLE = "VOXELOPT_WEIGHTS"
CHECKPOINT_NAME = "unet.pth"
SOURCE = (
    "The CT network's checkpoint, unet.pth, comes from the authors of VoxelOpt (github.com/tinymilky/VoxelOpt); give"
    f" its path as features.weights (--weights), or name its folder in the environment variable {FOLDER_VARIABLE}."
)


def find_checkpoint(weights: str | None) -> Path:
    """The CT network's checkpoint: the file `weights`, ``unet.pth`` in the folder `weights`, or in the folder that the
    environment names. Raises `InputError` where there is none.
    """
    chosen = weights or os.environ.get(FOLDER_VARIABLE, "")
    if not chosen:
        raise InputError("The features ct-unet need the CT network's checkpoint file.", SOURCE)
    path = Path(chosen).expanduser()
    if path.is_dir():
        path = path / CHECKPOINT_NAME
    if not path.is_file():
        raise InputError(f"There is no network checkpoint {path}.", SOURCE)
    return path


def read_checkpoint(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The parameters of `shapes` from a checkpoint, float32 on the CPU; others in it are left out.

    The file is what torch.save made of {"net": state dictionary} or of the dictionary alone; the names may begin with
    ``module.`` and ``backbone.``. Only tensors and plain values are loaded: code in the file is refused, not run.
    Raises `InputError` saying what the file lacks.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than weights, or is no checkpoint at all; it was not loaded, for safety.", SOURCE
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"The checkpoint {path} cannot be read: {reason}", SOURCE) from error
    state = content.get("net", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path} holds no dictionary of weights.", SOURCE)
    named = {_plain(str(name)): value for name, value in state.items()}
    parameters = {}
    for name, shape in shapes.items():
        value = named.get(name)
        if not isinstance(value, Tensor):
            raise InputError(f"{path} is no checkpoint of the CT network: it has no {name}.", SOURCE)
        if tuple(value.shape) != shape:
            found = " x ".join(map(str, value.shape))
            wanted = " x ".join(map(str, shape))
            raise InputError(f"{path} is of another network: its {name} is {found} instead of {wanted}.", SOURCE)
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path} is damaged: its {name} is not finite.", SOURCE)
        parameters[name] = value.detach().to(torch.float32)
    return parameters


def file_digest(path: Path) -> str:
    """SHA-256 of the file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _plain(name: str) -> str:
    return name.removeprefix("module.").removeprefix("backbone.")
