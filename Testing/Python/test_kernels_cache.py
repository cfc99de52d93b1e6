"""Compiled loops on disk: damage and lack of space cost time and nothing else; a change of source is seen."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command_environment
from VoxelOptRegistrationLib.kernels import loop_cache
from VoxelOptRegistrationLib.kernels.loop_cache import keep_loops, source_digest

pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")
resource = pytest.importorskip("resource", reason="file size limits, which stand for a full disk, are POSIX")

CODE = """
import torch
from VoxelOptRegistrationLib.kernels.runtime import kernels_in_use
assert kernels_in_use().startswith("numba"), kernels_in_use()
from VoxelOptRegistrationLib.kernels.vectors import longest
field = torch.zeros(3, 4, 5, 6)
field[:, 2, 3, 4] = torch.tensor([2.0, 3.0, 6.0])
print(float(longest(field)))
"""


def run_in(cache: Path, largest_file: int | None = None) -> str:
    """What the library prints that keeps its loops in `cache`."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    environment = {**command_environment(), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process kept. Read only."""
    folder = tmp_path_factory.mktemp("kept")
    assert run_in(folder) == "7.0\n"
    return folder


@pytest.fixture
def kept_before(compiled_once: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(compiled_once, tmp_path / "kept"))


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_written_anew(kept_before: Path, kind: str) -> None:
    kept = sorted(kept_before.rglob(f"*.{kind}"))
    whole = [file.stat().st_size for file in kept]
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert run_in(kept_before) == "7.0\n"
    assert [file.stat().st_size for file in kept] == pytest.approx(whole, rel=0.01)


def test_what_another_numba_kept_is_compiled_anew(kept_before: Path) -> None:
    import numba

    kept = sorted(kept_before.rglob("*.nbi"))
    whole = [file.read_bytes() for file in kept]
    assert kept
    for file, content in zip(kept, whole, strict=True):
        with file.open("rb") as opened:
            assert pickle.load(opened) == numba.__version__
            file.write_bytes(pickle.dumps("0.1") + content[opened.tell() :])
    assert run_in(kept_before) == "7.0\n"
    assert all(pickle.loads(file.read_bytes()) == numba.__version__ for file in kept)


def test_a_loop_kept_for_other_arguments_is_not_taken(tmp_path: Path) -> None:
    """As two processes may leave it that write the first loops of one file at the same time."""
    code = """
import sys
import numpy as np
from VoxelOptRegistrationLib.kernels.runtime import numba_serves
assert numba_serves()
from VoxelOptRegistrationLib.kernels.loops.rows import clear
for kind in sys.argv[1:]:
    row = np.ones(4, kind)
    clear(row)
    assert not row.any()
"""
    environment = {**command_environment(), "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, "float32", "float64"], env=environment, check=True)
    first, second = sorted(tmp_path.rglob("rows.clear*.nbc"))
    first.write_bytes(second.read_bytes())
    subprocess.run([sys.executable, "-c", code, "float32"], env=environment, check=True)


def test_two_processes_may_compile_at_once(tmp_path: Path) -> None:
    environment = {**command_environment(), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CODE]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in both] == ["7.0\n"] * 2
    assert run_in(tmp_path) == "7.0\n"


def test_a_full_disk_keeps_nothing(tmp_path: Path) -> None:
    assert run_in(tmp_path, largest_file=100) == "7.0\n"
    assert not list(tmp_path.rglob("*.nb*"))


def test_every_state_of_the_source_has_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = tmp_path / "loops"
    shutil.copytree(Path(loop_cache.__file__).with_name("loops"), loops, ignore=shutil.ignore_patterns("__pycache__"))
    before = source_digest(loops)
    assert before == source_digest(Path(loop_cache.__file__).with_name("loops"))
    rows = loops / "rows.py"
    rows.write_text(rows.read_text() + "\n")
    assert source_digest(loops) != before
    monkeypatch.setattr(loop_cache, "cache_folder", lambda: tmp_path)
    monkeypatch.delenv(loop_cache.VARIABLE)
    keep_loops()
    assert os.environ[loop_cache.VARIABLE] == str(tmp_path / "compiled" / before)


def test_the_users_folder_stays_and_without_a_home_numba_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(loop_cache, "cache_folder", homeless)
    monkeypatch.setenv(loop_cache.VARIABLE, "/fast")
    keep_loops()
    assert os.environ[loop_cache.VARIABLE] == "/fast"
    monkeypatch.delenv(loop_cache.VARIABLE)
    keep_loops()
    assert loop_cache.VARIABLE not in os.environ
