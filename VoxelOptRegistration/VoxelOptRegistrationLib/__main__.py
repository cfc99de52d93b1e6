"""`python -m VoxelOptRegistrationLib` is the `voxelopt` command; PythonSlicer runs it so."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
