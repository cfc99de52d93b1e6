"""What several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from fused_support import InOtherProcess, call_on_gpu
from VoxelOptRegistrationLib.kernels.loop_cache import keep_loops
from VoxelOptRegistrationLib.kernels.runtime import SWITCH

if TYPE_CHECKING:
    from host import Host

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "VoxelOptRegistration"
keep_loops()  # One folder for every test and the processes that it starts, whatever home it gives them.


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of real scans beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the real scans (../shared/data) are not on this computer")
    return folder


class Command:
    """Runs the real command in a process of its own: ``voxelopt("register", fixed, moving, "-o", folder)``."""

    def __call__(
        self,
        *arguments: object,
        python_path: Path | None = None,
        environment: dict[str, str] | None = None,
        timeout: float = 300,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """`python_path` comes before the library on the import path, `environment` is added to the environment."""
        return subprocess.run(
            command(*arguments),
            env=command_environment(python_path) | (environment or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            preexec_fn=preexec_fn,
        )


@pytest.fixture(scope="session")
def voxelopt() -> Command:
    """The `voxelopt` command."""
    return Command()


@pytest.fixture(scope="session")
def interpreter() -> Iterator[InOtherProcess]:
    """Calls functions of the library where Triton's interpreter stands in for a GPU."""
    process = InOtherProcess({"TRITON_INTERPRET": "1", SWITCH: ""})
    yield process
    process.close()


@pytest.fixture(scope="session", params=["interpreter", "gpu"])
def run(request: pytest.FixtureRequest) -> Callable:
    """The same, and once more on the GPU where there is one."""
    if request.param == "interpreter":
        return request.getfixturevalue("interpreter")
    if not torch.cuda.is_available():
        pytest.skip("there is no NVIDIA GPU")
    return call_on_gpu


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InOtherProcess]:
    """Calls functions where Triton compiles for a GPU that need not be there."""
    cache = tmp_path_factory.mktemp("triton")
    process = InOtherProcess({"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(cache)})
    yield process
    process.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A running stand-in for the Slicer application; see `host`."""
    from host import start

    with start(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def phantom_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of a small generated pair with its truth, by the names of `Phantom`'s fields. Read only."""
    from VoxelOptRegistrationLib.phantom import make_phantom, write_phantom

    return write_phantom(make_phantom((28, 32, 40)), tmp_path_factory.mktemp("phantom"))


def command(*arguments: object) -> list[str]:
    """The command line that runs `voxelopt` from this checkout."""
    return [sys.executable, "-m", "VoxelOptRegistrationLib", *map(str, arguments)]


def command_environment(python_path: Path | None = None) -> dict[str, str]:
    """The environment for `command`: the library of this checkout, `python_path` before it, one thread."""
    folders = [str(folder) for folder in (python_path, MODULE) if folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
