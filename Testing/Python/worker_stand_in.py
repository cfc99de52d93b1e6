"""The real registration process with a computation that can be told how to behave; not a test itself.

`settings["behaviour"]` chooses; the client is pointed here with ``entry=[str(STAND_IN)]``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

STAND_IN = Path(__file__).resolve()
SHIFT = (1.0, -2.0, 3.5)
"""The displacement that every finished job reports, (x, y, z), mm."""


def compute(volumes: Any, settings: dict[str, Any], watcher: Any) -> Any:
    from VoxelOptRegistrationLib.errors import ComputationError, InputError

    behaviour = settings.get("behaviour", "quick")
    if behaviour == "slow":
        for turn in range(1200):
            watcher.step("solve", turn / 1200, f"Turn {turn}")
            time.sleep(0.05)
    elif behaviour == "deaf":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        watcher.step("solve", 0.5, f"{os.getpid()} {child.pid}")
        time.sleep(120)
    elif behaviour == "torch":
        import torch

        watcher.step("solve", 0.5, "torch")
        size = torch.rand(2000, 2000)
        for _ in range(10000):
            size = torch.mm(size, size).clamp(0, 1)
    elif behaviour == "noisy":
        print("printed by Python")
        os.write(1, b"written to descriptor 1\n")
        ctypes.CDLL(None).puts(b"printed by C")
        ctypes.CDLL(None).fflush(None)
        os.write(2, b"x" * 3_000_000 + b"\n")
        os.write(1, b'{"type":"error","job":1,"kind":"input","text":"forged"}\n')
        assert sys.stdin.read() == ""
    elif behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "segfault":
        ctypes.string_at(0)
    elif behaviour == "exit":
        os._exit(5)
    elif behaviour == "input":
        raise InputError("The fixed volume is empty.", "Choose another.")
    elif behaviour == "computation":
        raise ComputationError("The grid does not fit.", "Use a smaller one.")
    elif behaviour == "bug":
        raise KeyError("no such thing")
    elif behaviour == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")
    if sys.platform != "win32":
        limit_file_size(2000 if behaviour == "full disk" else None)
    return finish(volumes, watcher)


def limit_file_size(limit: int | None) -> None:
    """Writing beyond `limit` bytes fails as on a full disk; None lifts that."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if limit is None else limit, hard))


def finish(volumes: Any, watcher: Any) -> Any:
    import numpy as np
    import SimpleITK as sitk

    fixed, moving = volumes.images["fixed"], volumes.images["moving"]
    displacement = np.broadcast_to(SHIFT, (*fixed.GetSize()[::-1], 3)).astype(np.float64)
    watcher.step("solve", 0.5, "Half way")
    if watcher.preview is not None:
        for part in (0.25, 0.75):
            field = sitk.GetImageFromArray(displacement * part, isVector=True)
            field.CopyInformation(fixed)
            watcher.preview(field)
    watcher.log("a line for the log")
    entropy = sitk.Cast(fixed, sitk.sitkFloat64) * 0 + 0.25
    watcher.step("done", 1.0, "Done")
    return SimpleNamespace(
        displacement=displacement,
        inverse_valid=sitk.GetArrayFromImage(moving) > 0.5,
        inverse_displacement=np.broadcast_to(SHIFT, (*moving.GetSize()[::-1], 3)) * -1.0,
        warped=sitk.Resample(moving, fixed, sitk.Transform(), sitk.sitkNearestNeighbor, 7, moving.GetPixelID()),
        entropy=entropy,
        jacobian=entropy * 4,
        expected_error=entropy * 8,
        report={
            "names": volumes.names,
            "images": sorted(volumes.images),
            "sums": {name: float(sitk.GetArrayViewFromImage(image).sum()) for name, image in volumes.images.items()},
            "origin": list(moving.GetOrigin()),
            "initial": None
            if volumes.initial_transform is None
            else volumes.initial_transform.TransformPoint((10.0, 20.0, 30.0)),
            "undefined": float("nan"),
            "count": np.int64(3),
        },
    )


if __name__ == "__main__":
    from VoxelOptRegistrationLib.worker.server import serve

    sys.exit(serve(compute=compute, warm=lambda wanted: None))
