"""Private folders of jobs: made for one job, removed with it, and swept up when both processes died."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from ..errors import ComputationError
from ..system_memory import free_memory
from .processes import ProcessIdentity

PREFIX = "voxelopt-job-"
_OWNER = "owner.json"
_REMOVED = "-removed"
_UNOWNED_SECONDS = 3600.0
_SHARED_MEMORY = Path("/dev/shm")
_MEMORY_SHARE = 0.25


def folder_prefix(token: str) -> str:
    """What the names of all folders of the client with this token begin with."""
    return f"{PREFIX}{token}-"


def shared_memory() -> Path | None:
    """The folder whose files stay in memory, where this system has one that can be written to."""
    if sys.platform == "linux" and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        return _SHARED_MEMORY
    return None


def has_room(folder: Path, size: int) -> bool:
    """Whether `size` bytes in memory, at `folder`, would leave room enough for everybody else."""
    try:
        free = min(shutil.disk_usage(folder).free, free_memory())
    except OSError:
        return False
    return size <= free * _MEMORY_SHARE


def create_job_folder(base: Path, token: str) -> Path:
    """A new folder in `base` that only this user can enter (mode 0700), marked with its owner.

    Raises `ComputationError` (kind "disk") where it cannot be made.
    """
    owner = ProcessIdentity.current()
    body = {"host": platform.node(), "pid": owner.pid, "started": owner.started}
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=folder_prefix(token), dir=base))
        (folder / _OWNER).write_text(json.dumps(body), encoding="utf-8")
    except OSError as error:
        if folder is not None:
            remove_folder(folder)
        failure = ComputationError(
            f"No folder can be made in the temporary folder {base}: {error.strerror or error}.",
            "Free some space there, or choose another temporary folder.",
        )
        failure.kind = "disk"
        raise failure from error
    return folder


def remove_folder(folder: Path, patience: float = 1.0) -> bool:
    """Remove `folder` with its content, trying again for `patience` seconds; True when it is gone.

    Another thread may just be writing into it: under another name, which a sweep knows too, it is out of that thread's
    reach. It gets that name once, whoever finds it: two who remove it wait for the same. Windows keeps files that a
    virus scanner looks at, and lets a folder with open files not be renamed.
    """
    deadline = time.monotonic() + patience
    doomed = folder.with_name(f"{folder.name.removesuffix(_REMOVED)}{_REMOVED}")
    while True:
        with suppress(OSError):
            folder.rename(doomed)
        for place in (folder, doomed):
            shutil.rmtree(place, ignore_errors=True)
        if not folder.exists() and not doomed.exists():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def remove_folders(base: Path, token: str) -> None:
    """Remove every folder of the client with this token."""
    for folder in base.glob(f"{folder_prefix(token)}*"):
        remove_folder(folder)


def sweep(base: Path) -> list[Path]:
    """Remove and return the job folders in `base` whose owner died without being able to.

    Only folders are touched that carry this module's prefix, belong to this user alone, and whose owner ran on this
    computer and runs no more; without a readable owner, those an hour old.
    """
    removed = []
    for folder in sorted(base.glob(f"{PREFIX}*")):
        try:
            stale = _is_private_folder(folder) and _is_abandoned(folder)
        except OSError:
            continue
        if stale and remove_folder(folder):
            removed.append(folder)
    return removed


def _is_private_folder(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    if sys.platform == "win32":
        return True
    return status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077 == 0


def _is_abandoned(folder: Path) -> bool:
    try:
        body = json.loads((folder / _OWNER).read_text(encoding="utf-8"))
        owner = ProcessIdentity(int(body["pid"]), str(body["started"]))
        host = str(body["host"])
    except (OSError, ValueError, TypeError, KeyError):
        return time.time() - folder.lstat().st_mtime > _UNOWNED_SECONDS
    return host == platform.node() and not owner.alive
