"""Where compiled loops are kept: a folder of the user's for each state of their source.

numba looks whether the file of a loop has changed, not those of the loops that it calls.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..caching import cache_folder

VARIABLE = "NUMBA_CACHE_DIR"
"""numba's environment variable for the folder; read when it is imported."""


def keep_loops() -> None:
    """Have numba keep loops in the user's cache folder, unless the user names another or has none: then numba chooses.

    Beside the loops, numba's own choice, others may not write or the next version may be installed.
    """
    if VARIABLE in os.environ:
        return
    try:
        folder = cache_folder()
    except RuntimeError:  # There is no home folder.
        return
    os.environ[VARIABLE] = str(folder / "compiled" / source_digest(Path(__file__).with_name("loops")))


def source_digest(folder: Path) -> str:
    """16 hexadecimal digits that change with any Python file of `folder`."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]
