"""Where what can be made again is kept between runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where this platform keeps what programs can make again, in a folder of ours."""
    home = Path(environment.get("USERPROFILE" if platform == "win32" else "HOME", "") or Path.home())
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "VoxelOptRegistration" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "VoxelOptRegistration"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "VoxelOptRegistration"
