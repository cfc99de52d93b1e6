"""A numba that is absent, broken or switched off is no numba: in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command_environment

BROKEN = {
    "for another numpy": "raise ImportError('Numba needs NumPy 2.3 or less. Got NumPy 9.9.')",
    "without its library": "raise OSError('Could not find/load shared object file libllvmlite.so')",
    "for another numpy's C interface": "raise SystemError('initialization of _internal failed without an exception')",
    "for another Python": "raise RuntimeError('Cannot install on Python version 3.99')",
    "half removed": "",
    "without what is needed": "__version__ = '0.1'",
    "of another kind": "__version__ = '9'\ndef njit(**options): raise TypeError('unexpected keyword')",
    "without a compiler": """
__version__ = '0.61'
class Dispatcher:
    _cache = None
    def __call__(self, *given): raise RuntimeError('no target for this processor')
def njit(*given, **options): return Dispatcher() if given else njit.__wrapped__
njit.__wrapped__ = lambda loop: Dispatcher()
""",
}
CODE = """
import sys
import torch
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.kernels import runtime

volume = torch.rand(1, 6, 7, 8)
for folder in sys.argv[1:]:
    sys.path.insert(0, folder)
    for name in [name for name in sys.modules if name.startswith(("numba", runtime.__package__ + ".loops"))]:
        del sys.modules[name]
    runtime._numba_version.cache_clear()
    assert runtime.kernels_in_use() == "torch", (folder, runtime.kernels_in_use())
    assert not runtime.compiles(volume)
    assert torch.allclose(warp(volume, torch.zeros(3, 6, 7, 8)), volume, atol=1e-5)
    sys.path.remove(folder)
"""


def test_a_numba_that_is_broken_leaves_plain_torch(tmp_path: Path) -> None:
    folders = []
    for number, code in enumerate(BROKEN.values()):
        package = tmp_path / str(number) / "numba"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        folders.append(str(package.parent))
    subprocess.run([sys.executable, "-c", CODE, *folders], env=command_environment(), check=True)


WITHOUT = """
import torch
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.kernels import runtime

volume = torch.rand(1, 6, 7, 8)
assert runtime.kernels_in_use() == "torch", runtime.kernels_in_use()
assert torch.allclose(warp(volume, torch.zeros(3, 6, 7, 8)), volume, atol=1e-5)
"""


def test_a_python_without_numba_is_served_by_plain_torch() -> None:
    code = "import sys; sys.modules['numba'] = None" + WITHOUT
    subprocess.run([sys.executable, "-c", code], env=command_environment(), check=True)


def test_loops_that_may_not_be_compiled_leave_plain_torch() -> None:
    pytest.importorskip("numba", reason="numba is not installed: there is nothing to switch off")
    environment = {**command_environment(), "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-c", WITHOUT], env=environment, check=True)
