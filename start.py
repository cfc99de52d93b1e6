#!/usr/bin/env python3
"""Sets everything up on the first call, then runs what was asked for. Needs Python 3.10 to 3.13 and nothing else.

    python3 start.py demo               register a generated pair of abdominal CT volumes
    python3 start.py test               format, lint, type check and all tests
    python3 start.py register --help    any other subcommand of voxelopt

Packages go to the folder .venv beside this file; nothing else on the computer changes. Delete .venv to start afresh.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed.txt"
SUPPORTED = ((3, 10), (3, 13))
TORCH = "torch>=2.4,<2.13" if sys.platform == "win32" else "torch>=2.4"
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest",),
)


def main(arguments: "list[str]") -> int:
    """Set up, run, and return the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    lowest, highest = SUPPORTED
    if not lowest <= sys.version_info[:2] <= highest:
        print(
            f"This is Python {sys.version.split()[0]}; Python {lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]} is"
            " needed. Install one of them (https://www.python.org) and run this command with it.",
            file=sys.stderr,
        )
        return 2
    testing = arguments[0] == "test"
    try:
        set_up(testing)
        return run_checks(arguments[1:]) if testing else run_command(arguments)
    except subprocess.CalledProcessError as error:
        print(f"The set-up failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        print("Read the lines above, then run the same command again.", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("Cancelled. Run the same command again to go on.", file=sys.stderr)
        return 130


def python() -> str:
    """The interpreter of the environment."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def set_up(testing: bool) -> None:
    """Create the environment and install the packages, unless a run before did."""
    recipe = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes() + sys.version.encode()
    done = STAMP.read_text().split() if STAMP.exists() else []
    state = hashlib.sha256(recipe).hexdigest()
    if done[:1] == [state] and (not testing or "test" in done):
        return
    print("Setting up (once, a few minutes, most of it downloads) ...", flush=True)
    if not Path(python()).exists() or done[:1] != [state]:
        create_environment()
        install(choose_torch())
    if testing:
        install_for_tests()
    else:
        install_for_use()
    STAMP.write_text(f"{state} {'test' if testing else ''}")


def create_environment() -> None:
    """An empty environment, in place of one that is broken or out of date."""
    if VENV.exists():
        shutil.rmtree(VENV)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    except subprocess.CalledProcessError:
        print("Python's venv module does not work here; on Debian or Ubuntu: sudo apt install python3-venv")
        raise


def pip(*arguments: str) -> "list[str]":
    """A pip command of the environment."""
    return [python(), "-m", "pip", "--disable-pip-version-check", *arguments]


def install(*requirements: str) -> None:
    """Install with pip; raises `CalledProcessError`."""
    subprocess.run(pip("install", "--quiet", *requirements), check=True)


def install_for_use() -> None:
    """The package, with numba where there is a build of it for this computer; it only makes the processor faster."""
    try:
        install("--only-binary", "numba,llvmlite", "-e", f"{ROOT}[kernels]")
    except subprocess.CalledProcessError:
        print("Going on without numba: everything works, somewhat slower on the processor.", flush=True)
        install("-e", str(ROOT))


def install_for_tests() -> None:
    """The tests' packages; what has no build for this computer, such as slicer-core, is left out with its tests."""
    for extras in ("test", "checks,kernels"):
        try:
            install("--only-binary", "numba,llvmlite", "-e", f"{ROOT}[{extras}]")
            return
        except subprocess.CalledProcessError:
            print("Trying with fewer packages: some tests will be skipped.", flush=True)
    install("-e", f"{ROOT}[checks]")


def choose_torch() -> str:
    """The newest CPU build of torch where one is on offer and there is no NVIDIA GPU, else any build that fits."""
    if has_nvidia_gpu():
        return TORCH
    versions = subprocess.run(pip("index", "versions", "torch"), capture_output=True, text=True).stdout
    builds = re.findall(r"\b(\d+)\.(\d+)\.(\d+)\+cpu\b", versions)
    ceiling = (2, 13) if sys.platform == "win32" else (99, 0)
    fitting = [build for build in (tuple(map(int, text)) for text in builds) if (2, 4) <= build[:2] < ceiling]
    return f"torch=={'.'.join(map(str, max(fitting)))}+cpu" if fitting else TORCH


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver answers."""
    program = shutil.which("nvidia-smi")
    return program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0


def run_command(arguments: "list[str]") -> int:
    """Run voxelopt, in place of this process where the system can, so that signals reach it."""
    command = [python(), "-m", "VoxelOptRegistrationLib", *arguments]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.run(command).returncode


def run_checks(pytest_arguments: "list[str]") -> int:
    """Run every check, pytest last so that its closing line is the last one; 1 if any failed."""
    failed = []
    for name, *options in CHECKS:
        print(f"== {name} {' '.join(options)}", flush=True)
        command = [python(), "-m", name, *options, *(pytest_arguments if name == "pytest" else [])]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
