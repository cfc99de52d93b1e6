"""`python -m VoxelOptRegistrationLib.worker`: the registration process."""

from __future__ import annotations

import sys

from .server import serve

if __name__ == "__main__":
    sys.exit(serve())
