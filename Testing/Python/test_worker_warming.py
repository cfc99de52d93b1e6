"""The registration process gets ready before it is needed, gives that up when it is, and gives memory back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import torch
from conftest import MODULE, command_environment
from VoxelOptRegistrationLib import devices
from VoxelOptRegistrationLib.devices import Device
from VoxelOptRegistrationLib.kernels import runtime
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.job import JobState
from VoxelOptRegistrationLib.worker.server import READY
from VoxelOptRegistrationLib.worker.warming import warm_up
from worker_stand_in import STAND_IN
from worker_support import request, stand_in_client, until


@contextmanager
def warm_worker(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The real process, told to get ready."""
    command = [sys.executable, "-m", "VoxelOptRegistrationLib.worker", "--folder", str(folder), "--token", "ab"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--parent", "0"], env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as worker:
        assert worker.stdin is not None and worker.stderr is not None
        worker.stdin.write('{"type":"warm"}\n')
        worker.stdin.flush()
        yield worker
        worker.stdin.close()
        assert worker.stderr.read() == ""
        assert worker.wait(30) == 0


@pytest.fixture
def read_only_library(tmp_path: Path) -> Path:
    """A folder with the library, into which numba can write no compiled loops, as in an installed extension."""
    folder = tmp_path / "extension"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(MODULE / "VoxelOptRegistrationLib", folder / "VoxelOptRegistrationLib", ignore=ignored)
    (folder / "VoxelOptRegistrationLib" / "kernels" / "loops" / "__pycache__").write_text("no folder")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="says where Linux keeps what programs can make again")
def test_it_keeps_its_loops_in_the_users_cache(read_only_library: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")
    kept = tmp_path / "cache" / "VoxelOptRegistration" / "compiled"
    environment = {**command_environment(read_only_library), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    with warm_worker(tmp_path, environment):
        until(lambda: any(kept.rglob("*.nbi")))


def test_a_registration_of_next_to_nothing_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    warm_up(lambda: False)
    assert "Warming up failed" not in caplog.text


def test_it_asks_for_every_file_of_fused_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without loops, as on a GPU; which files there are is seen by what they import."""
    monkeypatch.setenv(runtime.SWITCH, "torch")
    asked: set[str] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is runtime.fused.__code__:
            asked.add(frame.f_locals["operation"].partition(".")[0])

    sys.setprofile(watch)
    try:
        warm_up(lambda: False)
    finally:
        sys.setprofile(None)
    files = (MODULE / "VoxelOptRegistrationLib" / "kernels" / "gpu").glob("*.py")
    assert asked == {file.stem for file in files if "from .launching import" in file.read_text(encoding="utf-8")}


def test_loops_compile_where_nothing_can_be_kept(read_only_library: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="numba is not installed: plain torch serves alone")
    code = """
import torch
from VoxelOptRegistrationLib.fields.sampling import warp
from VoxelOptRegistrationLib.kernels.runtime import kernels_in_use
assert kernels_in_use().startswith("numba"), kernels_in_use()
volume = torch.rand(1, 6, 7, 8)
assert torch.allclose(warp(volume, torch.zeros(3, 6, 7, 8)), volume)
"""
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    environment = {**command_environment(read_only_library), "HOME": str(nowhere), "XDG_CACHE_HOME": str(nowhere)}
    environment.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)


def test_what_goes_wrong_is_left_to_the_first_job(tmp_path: Path) -> None:
    broken = tmp_path / "path" / "SimpleITK"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no such library')")
    with warm_worker(tmp_path, command_environment(broken.parent)) as worker:
        assert worker.stdout is not None
        said = [json.loads(worker.stdout.readline()) for _ in range(2)]
    assert said[0]["type"] == "hello" and said[1] == {"type": "log", "text": READY}


def test_no_error_of_getting_ready_ends_the_process(tmp_path: Path) -> None:
    entry = tmp_path / "entry.py"
    entry.write_text(
        f"""
import sys
sys.path.insert(0, {str(STAND_IN.parent)!r})
from worker_stand_in import compute
from VoxelOptRegistrationLib.worker.server import serve
def warm(wanted, device):
    raise ValueError("a library of an odd version")
sys.exit(serve(compute=compute, warm=warm))
"""
    )
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with WorkerClient(environment=command_environment(), folder=jobs, entry=[str(entry)]) as client:
        client.warm()
        until(lambda: client.poll(0.05) or client.pid is not None)
        pid = client.pid
        assert client.register(request()).wait(60) is JobState.DONE and client.pid == pid


def test_a_gpu_that_fails_is_logged_and_the_processor_gets_ready(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that torch names but this computer lacks: it is tried first, as by a job."""
    caplog.set_level("INFO")
    gpu = Device("cuda:99", "no such GPU", 2**30, 2**30)
    monkeypatch.setattr(devices, "_automatic", lambda torch: gpu)
    asked_after: list[int] = []

    def wanted() -> bool:
        failed = [record for record in caplog.records if record.getMessage().startswith("Warming up failed")]
        asked_after.append(len(failed))
        return asked_after.count(1) > 2

    warm_up(wanted)
    assert "no CUDA GPU" in caplog.text or "no device cuda:99" in caplog.text
    assert asked_after[0] == 0 and asked_after[-3:] == [1, 1, 1]  # it went on, and between steps was asked still


def test_a_gpu_that_the_user_does_not_want_is_left_asleep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(devices, "_automatic", lambda torch: pytest.fail("the GPU was looked for"))
    steps = iter([False] * 3 + [True])
    warm_up(lambda: next(steps), "cpu")
    assert next(steps, None) is None
    assert "Warming up failed" not in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")
def test_a_gpus_kernels_are_compiled_and_its_memory_is_given_back(tmp_path: Path) -> None:
    code = """
import torch
from VoxelOptRegistrationLib.kernels.runtime import kernels_in_use
from VoxelOptRegistrationLib.worker.server import _release_memory
from VoxelOptRegistrationLib.worker.warming import warm_up
warm_up(lambda: False)
assert torch.cuda.max_memory_allocated() > 0
_release_memory()
print(torch.cuda.memory_reserved(), kernels_in_use("cuda:0").split()[0])
"""
    environment = {**command_environment(), "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    reserved, kernels = done.stdout.split()
    assert int(reserved) == 0
    assert kernels == "torch" or len(list((tmp_path / "triton").rglob("*.cubin"))) >= 20


@pytest.mark.parametrize("patience", [0, 3])
def test_a_job_that_comes_ends_it_between_two_steps(patience: int) -> None:
    asked = 0

    def wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked > patience

    warm_up(wanted)
    assert asked == patience + 1


def test_a_running_process_is_not_warmed_again_and_a_late_poll_does_not_end_it(tmp_path: Path) -> None:
    with stand_in_client(tmp_path, start_timeout=1.0) as client:
        client.warm()
        child = client._child
        assert child is not None and not child.ended.wait(1.5)
        client.warm()
        assert client._child is child and client.pid is not None
        assert client.register(request()).wait(60) is JobState.DONE and client._child is child


def test_an_idle_process_holds_no_memory_of_a_graphics_card(tmp_path: Path) -> None:
    """torch keeps what was freed for its next tensors; a stand-in for it notes when it was told to let go."""
    told = tmp_path / "told.txt"
    package = tmp_path / "path" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"""
from types import SimpleNamespace
def note(card):
    with open({str(told)!r}, "a") as file:
        file.write(card)
class Tensor: pass
cuda = SimpleNamespace(is_initialized=lambda: True, empty_cache=lambda: note("c"))
mps = SimpleNamespace(empty_cache=lambda: note("m"))
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
"""
    )
    entry = tmp_path / "entry.py"
    entry.write_text(
        f"""
import sys
sys.path.insert(0, {str(STAND_IN.parent)!r})
from worker_stand_in import compute
from VoxelOptRegistrationLib.worker.server import serve
sys.exit(serve(compute=compute))
"""
    )
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with WorkerClient(environment=command_environment(package.parent), folder=jobs, entry=[str(entry)]) as client:
        client.warm()
        until(lambda: told.exists() and told.read_text() == "cm")
        assert client.register(request()).wait(60) is JobState.DONE
        until(lambda: told.read_text() == "cmcm")
