"""Choosing a device on computers of every kind, and torch that is missing or broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import command_environment
from VoxelOptRegistrationLib import devices, system_memory
from VoxelOptRegistrationLib.devices import choose_device, list_devices
from VoxelOptRegistrationLib.errors import ComputationError, InputError

GIB = 2**30


def computer(*, gpus: int = 0, broken: bool = False, apple: bool = False) -> Any:
    """A torch with only what is asked of it here, on a computer with `gpus` NVIDIA GPUs of 8 GiB or an Apple GPU."""

    def ones(count: int, device: str) -> Any:
        if broken:
            raise RuntimeError("CUDA error: no kernel image is available\nCompile with TORCH_USE_CUDA_DSA")
        return SimpleNamespace(sum=lambda: SimpleNamespace(item=lambda: float(count)))

    cuda = SimpleNamespace(
        is_available=lambda: gpus > 0,
        device_count=lambda: gpus,
        mem_get_info=lambda index: (6 * GIB, 8 * GIB),
        get_device_name=lambda index: f"GPU number {index}",
    )
    mps = SimpleNamespace(is_available=lambda: apple)
    version = SimpleNamespace(cuda="12.8" if gpus else None)
    return SimpleNamespace(
        __version__="2.9", Tensor=object, version=version, cuda=cuda, backends=SimpleNamespace(mps=mps), ones=ones
    )


@pytest.mark.parametrize(
    ("torch", "asked", "chosen"),
    [
        (computer(), "auto", "cpu"),
        (computer(), "cpu", "cpu"),
        (computer(gpus=2), "auto", "cuda:0"),
        (computer(gpus=2), "cuda", "cuda:0"),
        (computer(gpus=2), "cuda:1", "cuda:1"),
        (computer(gpus=2), "cpu", "cpu"),
        (computer(gpus=1, broken=True), "auto", "cpu"),
        (computer(apple=True), "auto", "mps"),
        (computer(apple=True), "mps", "mps"),
        (computer(apple=True, broken=True), "auto", "cpu"),
    ],
)
def test_device_that_is_taken(monkeypatch: pytest.MonkeyPatch, torch: Any, asked: str, chosen: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    device = choose_device(asked)
    assert device.name == chosen
    assert device.reason
    assert 0 < device.free_bytes <= device.total_bytes


@pytest.mark.parametrize(
    ("torch", "asked", "said"),
    [
        (computer(), "cuda", "finds no CUDA GPU"),
        (computer(), "mps", "no Apple GPU"),
        (computer(gpus=2), "cuda:2", "cuda:0, cuda:1"),
        (computer(gpus=1, broken=True), "cuda", "no kernel image"),
        (computer(), "gpu", "'gpu'"),
        (computer(), "cuda:x", "'cuda:x'"),
        (computer(), "", "''"),
    ],
)
def test_device_that_cannot_be_taken(monkeypatch: pytest.MonkeyPatch, torch: Any, asked: str, said: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(InputError) as caught:
        choose_device(asked)
    assert said in str(caught.value) and caught.value.remedy and "\n" not in str(caught.value)


def test_auto_says_why_a_gpu_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", computer(gpus=1, broken=True))
    assert "no kernel image" in choose_device("auto").reason


def test_list_begins_with_the_automatic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", computer(gpus=2))
    assert [device.name for device in list_devices()] == ["cuda:0", "cpu", "cuda:1"]
    monkeypatch.setitem(sys.modules, "torch", computer(gpus=1, broken=True))
    assert [device.name for device in list_devices()] == ["cpu"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "not installed"),
        ("ModuleNotFoundError(\"No module named 'sympy'\", name='sympy')", "cannot be loaded: No module named 'sympy'"),
        ("ImportError('libc10.so: undefined symbol')", "cannot be loaded: libc10.so: undefined symbol"),
        ("OSError('[WinError 126] Error loading fbgemm.dll')", "fbgemm.dll"),
        ("None", "incomplete"),
    ],
)
def test_torch_missing_or_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: str, said: str) -> None:
    text = "" if error == "None" else f"raise {error}"
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(ComputationError) as caught:
        devices.load_torch()
    assert said in str(caught.value) and "install" in caught.value.remedy
    sys.modules.pop("torch", None)


@pytest.mark.skipif(os.name == "nt", reason="these signals are POSIX's")
@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_wait_until_torch_is_loaded(tmp_path: Path, number: signal.Signals, end: int) -> None:
    torch = "import os, time\nos.kill(os.getpid(), NUMBER)\ntime.sleep(0.05)\nprint('loaded', flush=True)\nTensor = 1\n"
    (tmp_path / "torch.py").write_text(torch.replace("NUMBER", str(int(number))))
    script = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
signal.signal(signal.SIGTERM, signal.SIG_DFL)
sys.path.insert(0, {str(tmp_path)!r})
from VoxelOptRegistrationLib.devices import load_torch
try:
    load_torch()
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", script], env=command_environment(), capture_output=True, text=True)
    said = ["loaded", "stopped"] if number == signal.SIGINT else ["loaded"]
    assert (done.returncode, done.stdout.split(), done.stderr) == (end, said, "")


def test_total_memory_is_what_the_system_has() -> None:
    if sys.platform == "win32":
        pytest.skip("os.sysconf, which this compares with, is not on Windows")
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < system_memory.total_memory() <= installed
    assert 0 < system_memory.free_memory() <= system_memory.total_memory()


@pytest.mark.parametrize("version", [1, 2])
def test_container_limit_counts_cache_as_free(tmp_path: Path, version: int) -> None:
    names = ("memory.max", "memory.current", "inactive_file")
    folder = tmp_path
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        folder = tmp_path / "memory"
        folder.mkdir()
    (folder / names[0]).write_text(f"{4 * GIB}\n")
    (folder / names[1]).write_text(f"{3 * GIB}\n")
    (folder / "memory.stat").write_text(f"anon 17\n{names[2]} {GIB}\n")
    assert system_memory._container_limit(tmp_path) == (4 * GIB, 2 * GIB)


def test_container_without_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.stat").write_text("anon 17\n")
    assert system_memory._container_limit(tmp_path) is None


def test_mac_counts_pages_that_can_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:        100.\nPages active:      900.\n"
        "Pages inactive:     20.\nPages speculative:   3.\nPages wired down:   50.\n"
    )
    monkeypatch.setattr(system_memory, "_output", lambda *command: text)
    assert system_memory._mac_free_memory() == 123 * 16384
