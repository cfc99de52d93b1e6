"""The start of the registration process: what it says, what it ignores, and what can be wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command_environment
from VoxelOptRegistrationLib import __version__
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.data import Callbacks
from VoxelOptRegistrationLib.worker.job import JobState
from VoxelOptRegistrationLib.worker.protocol import PROTOCOL
from worker_support import empty, gone, request, stand_in_client, until


def converse(folder: Path, *lines: str, python_path: Path | None = None) -> list[dict]:
    """What the real worker answers to these lines, the last of which tells it to end."""
    command = [sys.executable, "-m", "VoxelOptRegistrationLib.worker", "--folder", str(folder), "--token", "ab"]
    command += ["--parent", "0"]
    pipe = subprocess.PIPE
    environment = command_environment(python_path)
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as worker:
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write("".join(f"{line}\n" for line in lines))
        worker.stdin.flush()
        answers = [json.loads(line) for line in worker.stdout]
        assert worker.wait(10) == 0
    return answers


def fake_torch(folder: Path, code: str) -> Path:
    """A folder that shadows torch with a package of this code."""
    package = folder / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    return folder


def test_hello_comes_first_and_without_torch(tmp_path: Path) -> None:
    path = fake_torch(tmp_path / "fake", "import os; os._exit(9)")
    hello, *rest = converse(tmp_path, '{"type":"shutdown"}', python_path=path)
    assert hello["type"] == "hello" and hello["protocol"] == PROTOCOL and hello["version"] == __version__
    assert hello["pid"] > 0 and rest == []


def test_lines_that_are_no_messages_are_answered_with_log_lines(tmp_path: Path) -> None:
    answers = converse(tmp_path, "", "nonsense", '{"type":"explode"}', '{"type":"shutdown"}')
    assert [answer["type"] for answer in answers] == ["hello", "log", "log", "log"]


def test_folder_outside_the_clients_own_is_refused(tmp_path: Path) -> None:
    for folder in ("../etc", "voxelopt-job-cd-1", "voxelopt-job-ab-1/../../x"):
        message = {"type": "register", "job": 1, "folder": folder, "images": {}, "settings": {}}
        answers = converse(tmp_path, json.dumps(message), '{"type":"shutdown"}')
        assert answers[-1]["type"] == "error" and "not a folder of this client" in answers[-1]["text"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "not installed"),
        ("raise OSError('[WinError 126] c10.dll')", "cannot be loaded"),
        ("raise ImportError('libtorch.so: undefined symbol')", "cannot be loaded"),
        ("", "cannot be loaded"),
        ("import sys; sys.tries = getattr(sys, 'tries', 0) + 1; raise OSError(f'try {sys.tries}')", "try 1"),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_torch_missing_or_broken(tmp_path: Path, code: str, words: str, warm: bool) -> None:
    path = fake_torch(tmp_path / "fake", code)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with WorkerClient(environment=command_environment(path), folder=temporary) as client:
        if warm:
            client.warm()
        job = client.register(request())
        assert job.wait(60) is JobState.FAILED and job.error is not None
        assert job.error.kind == "dependency" and words in job.error.text and "PyTorch" in str(job.error)
        assert job.error.remedy and empty(temporary)


def test_torch_repaired_is_found_by_the_next_run(tmp_path: Path) -> None:
    path = fake_torch(tmp_path / "fake", "raise OSError('broken')")
    with WorkerClient(environment=command_environment(path), folder=tmp_path) as client:
        assert client.register(request()).wait(60) is JobState.FAILED
        (path / "torch" / "__init__.py").write_text("Tensor = 1\nraise SystemError('other')")
        job = client.register(request())
        job.wait(60)
        assert "other" in str(job.error)


def test_python_that_does_not_exist(tmp_path: Path) -> None:
    client = stand_in_client(tmp_path, python=tmp_path / "no python")
    with pytest.raises(ComputationError, match="cannot be started.*Check the path") as caught:
        client.register(request())
    assert caught.value.kind == "start" and empty(tmp_path)


def test_python_that_is_no_program(tmp_path: Path) -> None:
    program = tmp_path / "readme.txt"
    program.write_text("not a program")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    client = stand_in_client(temporary, python=program)
    with pytest.raises(ComputationError, match="cannot be started"):
        client.start()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as a program")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'No module named numpy' >&2; exit 1", "did not start (exit code 1). No module named numpy"),
        ('echo \'{"type":"hello","version":"9","python":"3","pid":1,"protocol":99}\'; sleep 20', "protocol 99"),
        ("sleep 20", "did not start (SIGKILL)"),
    ],
)
def test_program_that_is_no_worker(tmp_path: Path, script: str, words: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with stand_in_client(temporary, python=program, start_timeout=1.0) as client:
        job = client.register(request())
        assert job.wait(10) is JobState.FAILED and job.error is not None
        assert job.error.kind == "start" and words in job.error.text and job.error.remedy
        assert empty(temporary)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as a program")
def test_launcher_that_prints_does_not_disturb(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho Welcome\necho Loading >&2\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    lines: list[str] = []
    with stand_in_client(tmp_path, python=program) as client:
        job = client.register(request(), Callbacks(log=lines.append))
        assert job.wait(60) is JobState.DONE
    assert {"Welcome", "Loading"} <= set(lines)


def test_program_folder_with_spaces_and_accents(tmp_path: Path) -> None:
    folder = tmp_path / "Größe and späces"
    folder.mkdir()
    with stand_in_client(folder) as client:
        assert client.register(request()).wait(60) is JobState.DONE
    assert empty(folder)


def test_close_before_start_and_twice(tmp_path: Path) -> None:
    client = stand_in_client(tmp_path)
    client.close()
    client.start()
    until(lambda: client.poll() or client.pid is not None)
    pid = client.pid
    assert pid is not None
    client.close()
    client.close()
    assert gone(pid)
