"""`python -m VoxelOptRegistrationLib` is the `voxelopt` command; PythonSlicer runs it so."""

import io
import sys


def run() -> int:
    """The command of this process; a Ctrl+C while it still loads ends it as quietly as a later one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    try:
        from .cli import main

        return main()
    except KeyboardInterrupt:
        print("voxelopt: Cancelled.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
