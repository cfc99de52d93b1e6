"""Memory that a registration needs and has used, and errors of a device that ran out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .devices import Device
from .errors import ComputationError

USABLE_SHARE = 0.8
"""Share of a device's free memory that a registration plans with."""


def bytes_per_voxel(channels: int, search_radius: int) -> int:
    """Memory per working voxel that solving needs at its peak, bytes, float32.

    Features of both volumes, their pyramids, the warped ones and one padded copy; two score volumes; weights, fields
    and images.
    """
    candidates = (2 * search_radius + 1) ** 3
    return 4 * (5 * channels + 2 * candidates + 60)


@contextmanager
def memory_errors(device: Device, what: str) -> Iterator[None]:
    """Turn running out of memory inside the block into a `ComputationError` with a remedy."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(device, what) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise _out_of_memory(device, what) from error


def _out_of_memory(device: Device, what: str) -> ComputationError:
    return ComputationError(
        f"{device.title} ran out of memory ({device.free_bytes / 2**30:.1f} GiB were free) for {what}.",
        "Close other programs, lower grid.max_voxels, or choose another device.",
    )


def peak_memory_mib(device: Device) -> float | None:
    """Largest memory of this process so far (of the GPU where one computes), MiB; None where the system does not
    tell.
    """
    if device.name.startswith("cuda"):
        return float(torch.cuda.max_memory_allocated(device.name) / 2**20)
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux a process starts with the peak of the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None
