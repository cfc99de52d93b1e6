"""`python -m VoxelOptRegistrationLib` is the `voxelopt` command; PythonSlicer runs it so."""

import sys


def run() -> int:
    """The command of this process; a Ctrl+C while it still loads ends it as quietly as a later one."""
    try:
        from .cli import main

        return main()
    except KeyboardInterrupt:
        print("voxelopt: Cancelled.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
