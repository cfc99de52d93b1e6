"""Where a registration computes: choosing a device, and loading torch with errors that a user can act on."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .errors import ComputationError, InputError
from .interruption import signals_wait
from .system_memory import free_memory, total_memory

THREAD_WAITING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""Rounds (GNU) and milliseconds (Intel, LLVM) that a waiting thread spins before it sleeps."""


@dataclass(frozen=True)
class Device:
    """A device of torch: `name` as torch knows it, `title` for people, memory in bytes, and why it was chosen."""

    name: str
    title: str
    free_bytes: int
    total_bytes: int
    reason: str = ""


def load_torch() -> Any:
    """The torch module; raises `ComputationError` with a remedy where it is missing or broken.

    Threads that wait for each other give their core away soon: on a computer that is busy with anything else, ones that
    spin for long cost several times the work itself. torch's thread library reads this once, when it loads.
    """
    for name, value in THREAD_WAITING.items():
        os.environ.setdefault(name, value)
    try:
        with signals_wait():  # torch aborts where one interrupts those of its modules that its libraries import
            torch: ModuleType = importlib.import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise _broken_torch(error) from error
        remedy = "In Slicer, install it with the PyTorch extension; elsewhere with: pip install torch"
        raise ComputationError("PyTorch (torch) is not installed.", remedy) from error
    except (ImportError, OSError, AttributeError, TypeError, RuntimeError) as error:
        raise _broken_torch(error) from error
    if not hasattr(torch, "Tensor"):
        raise _broken_torch(ImportError("the torch folder is incomplete"))
    return torch


def _broken_torch(error: Exception) -> ComputationError:
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    remedy = "Uninstall it and install it again (in Slicer with the PyTorch extension)."
    return ComputationError(f"PyTorch (torch) is installed but cannot be loaded: {cause}.", remedy)


def choose_device(name: str) -> Device:
    """The device called `name`: auto, cuda, cuda:N, mps or cpu. `auto` takes a CUDA GPU that works, else mps, else cpu.

    Raises `InputError` for an unknown name or a device that this computer lacks, `ComputationError` without torch.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise InputError(f"There is no device called {name!r}.", "Choose auto, cuda, cuda:1 (and so on), mps or cpu.")
    torch = load_torch()
    if name == "cpu":
        return _cpu("asked for")
    if name == "mps":
        return _mps(torch, "asked for")
    if name.startswith("cuda"):
        return _cuda(torch, int(name.partition(":")[2] or 0), "asked for")
    return _automatic(torch)


def list_devices() -> list[Device]:
    """Every device that works here, the one that `auto` takes first."""
    torch = load_torch()
    best = _automatic(torch)
    found = [_cpu("works everywhere")]
    for index in range(torch.cuda.device_count()):
        try:
            found.append(_cuda(torch, index, "NVIDIA GPU"))
        except InputError:
            continue
    if best.name == "mps":
        found.append(best)
    return [best, *(device for device in found if device.name != best.name)]


def _automatic(torch: Any) -> Device:
    try:
        return _cuda(torch, 0, "a CUDA GPU is present and works")
    except InputError as error:
        cuda_error = error.text
    try:
        return _mps(torch, "an Apple GPU is present and works")
    except InputError:
        return _cpu(cuda_error.rstrip(".") if torch.cuda.is_available() else "PyTorch finds no GPU")


def _cuda(torch: Any, index: int, reason: str) -> Device:
    remedy = "Use --device auto or --device cpu, or install a CUDA build of PyTorch that suits the graphics driver."
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise InputError(f"PyTorch {torch.__version__} (built for {built}) finds no CUDA GPU here.", remedy)
    if index >= count:
        present = ", ".join(f"cuda:{i}" for i in range(count))
        raise InputError(f"There is no device cuda:{index}.", f"This computer has {present}.")
    name = f"cuda:{index}"
    try:
        torch.ones(8, device=name).sum().item()
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"The GPU {name} cannot be used: {cause}.", remedy) from error
    return Device(name, torch.cuda.get_device_name(index), free, total, reason)


def _mps(torch: Any, reason: str) -> Device:
    remedy = "Use --device auto or --device cpu."
    if not torch.backends.mps.is_available():
        raise InputError("There is no Apple GPU (mps) that PyTorch can use here.", remedy)
    try:
        torch.ones(8, device="mps").sum().item()
    except RuntimeError as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"The Apple GPU (mps) cannot be used: {cause}.", remedy) from error
    return Device("mps", "Apple GPU", free_memory(), total_memory(), reason)


def _cpu(reason: str) -> Device:
    return Device("cpu", "CPU", free_memory(), total_memory(), reason)
