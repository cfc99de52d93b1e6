"""One registration by one peer: ``python -m VoxelOptRegistrationLib.benchmark.peers NAME FIXED MOVING DIR THREADS``.

Writes the field into DIR, and result.json: {"seconds", "version"}, or {"missing": the package that is not installed}.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main(name: str, fixed: str, moving: str, folder: str, threads: str) -> None:
    """Run the peer called `name`."""
    peer = importlib.import_module(f"{__package__}.{name}")
    result: dict[str, object]
    try:
        seconds, version = peer.register(Path(fixed), Path(moving), Path(folder) / peer.FIELD, int(threads))
        result = {"seconds": seconds, "version": version}
    except ModuleNotFoundError as error:
        result = {"missing": error.name}
    (Path(folder) / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
