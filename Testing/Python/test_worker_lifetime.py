"""Ends of all kinds, with real processes: cancelled, crashed, killed, abandoned; nothing may be left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import command_environment
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.job import JobState
from VoxelOptRegistrationLib.worker.processes import ProcessIdentity
from worker_stand_in import STAND_IN
from worker_support import begin, empty, gone, request, stand_in_client, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals to end processes")

PARENT = """
import os, sys
from pathlib import Path
from worker_support import begin, stand_in_client
client = stand_in_client(Path(sys.argv[1]), python=sys.argv[2])
job, text = begin(client, sys.argv[3]) if sys.argv[3] else (None, "")
if job is None:
    client.warm()
    while client.pid is None:
        client.poll(0.1)
print(client.pid, text, flush=True)
while True:
    client.poll(1.0)
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[WorkerClient]:
    with stand_in_client(tmp_path) as client:
        yield client
    assert empty(tmp_path)


@pytest.fixture
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that runs the real Python as its child, as PythonSlicer does."""
    path = tmp_path_factory.mktemp("launcher") / "PythonSlicer"
    path.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    path.chmod(0o755)
    return str(path)


def test_cancel_between_two_steps_keeps_the_process(client: WorkerClient) -> None:
    job, _ = begin(client, "slow")
    pid = client.pid
    start = time.monotonic()
    job.cancel()
    assert time.monotonic() - start < 0.5 and job.state is JobState.CANCELLING
    assert job.wait(3) is JobState.CANCELLED and time.monotonic() - start < 1.5
    assert job.error is not None and job.error.kind == "cancelled" and not job.folder.exists()
    assert client.register(request()).wait(60) is JobState.DONE and client.pid == pid


def test_cancel_of_a_deaf_job_ends_the_whole_process_tree_within_3_s(client: WorkerClient) -> None:
    job, text = begin(client, "deaf")
    pids = [int(word) for word in text.split()]
    start = time.monotonic()
    job.cancel()
    job.cancel()
    assert job.wait(3) is JobState.CANCELLED
    assert time.monotonic() - start < 3
    until(lambda: all(map(gone, pids)), 1)
    assert not job.folder.exists()
    assert client.register(request()).wait(60) is JobState.DONE
    assert client.pid not in pids


def test_cancel_before_the_process_is_ready(client: WorkerClient) -> None:
    job = client.register(request("slow"))
    job.cancel()
    assert job.wait(3) is JobState.CANCELLED
    assert client.register(request()).wait(60) is JobState.DONE


def test_cancel_after_the_end_changes_nothing(client: WorkerClient) -> None:
    job = client.register(request())
    assert job.wait(60) is JobState.DONE
    job.cancel()
    assert job.state is JobState.DONE and job.result() is job.outcome


def test_cancel_is_enforced_even_if_nobody_polls(client: WorkerClient) -> None:
    job, text = begin(client, "deaf")
    job.cancel()
    until(lambda: all(gone(int(word)) for word in text.split()), 3)
    assert job.state is JobState.CANCELLING and job.wait(1) is JobState.CANCELLED


@pytest.mark.parametrize(
    ("behaviour", "words"), [("killed", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit code 5")]
)
def test_crash_gives_an_error_with_a_remedy_and_the_next_run_works(
    client: WorkerClient, tmp_path: Path, behaviour: str, words: str
) -> None:
    job = client.register(request(behaviour))
    assert job.wait(60) is JobState.FAILED
    assert job.error is not None and job.error.kind == "crash" and words in job.error.text
    assert "Run again" in job.error.remedy and empty(tmp_path)
    assert client.register(request()).wait(60) is JobState.DONE


def test_kill_from_outside_mid_run(client: WorkerClient, tmp_path: Path) -> None:
    job, text = begin(client, "deaf")
    worker, child = (int(word) for word in text.split())
    os.kill(worker, signal.SIGKILL)
    assert job.wait(5) is JobState.FAILED and job.error is not None
    assert job.error.kind == "crash" and job.error.remedy
    until(lambda: gone(child), 1)
    assert empty(tmp_path)
    assert client.register(request()).wait(60) is JobState.DONE


def test_kill_while_idle_is_not_noticed_by_the_next_job(client: WorkerClient) -> None:
    assert client.register(request()).wait(60) is JobState.DONE
    pid = client.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: client.poll() or client.pid is None)
    assert client.register(request()).wait(60) is JobState.DONE


def test_stopped_process_can_still_be_cancelled(client: WorkerClient) -> None:
    job, _ = begin(client, "slow")
    assert client.pid is not None
    os.kill(client.pid, signal.SIGSTOP)
    job.cancel()
    assert job.wait(3) is JobState.CANCELLED


def test_close_mid_run_leaves_nothing(tmp_path: Path) -> None:
    client = stand_in_client(tmp_path)
    job, text = begin(client, "deaf")
    client.close()
    assert job.state is JobState.CANCELLED and empty(tmp_path)
    assert gone(int(text.split()[0]))


@pytest.mark.parametrize(
    ("behaviour", "through_launcher"),
    [("slow", False), ("slow", True), ("deaf", False), ("torch", False), ("", False)],
)
def test_death_of_the_parent_leaves_no_process_and_no_files(
    tmp_path: Path, launcher: str, behaviour: str, through_launcher: bool
) -> None:
    python = launcher if through_launcher else sys.executable
    parent, worker = start_parent(tmp_path, python, behaviour)
    assert empty(tmp_path) == (behaviour == "")
    parent.kill()
    parent.wait()
    until(lambda: gone(worker), 3)
    assert empty(tmp_path)


def start_parent(folder: Path, python: str, behaviour: str) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", PARENT, str(folder), python, behaviour]
    environment = command_environment(Path(__file__).parent)
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        return parent, int(parent.stdout.readline().split()[0])


def test_what_two_dead_processes_left_is_swept_up_by_the_next_start(tmp_path: Path) -> None:
    parent, worker = start_parent(tmp_path, sys.executable, "slow")
    os.kill(worker, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    os.kill(worker, signal.SIGKILL)
    until(lambda: gone(worker), 3)
    assert not empty(tmp_path), "both died without a chance to clean up"
    with stand_in_client(tmp_path) as client:
        client.start()
        assert empty(tmp_path)


def test_launcher_and_real_python_end_together(tmp_path: Path, launcher: str) -> None:
    with stand_in_client(tmp_path, python=launcher) as client:
        job, text = begin(client, "deaf")
        pids = [int(word) for word in text.split()]
        assert client.pid == pids[0]
        job.cancel()
        assert job.wait(3) is JobState.CANCELLED
        until(lambda: all(map(gone, pids)), 1)
        assert client.register(request()).wait(60) is JobState.DONE
    assert empty(tmp_path)


def test_launcher_killed_alone_leaves_a_working_job_that_can_be_cancelled(tmp_path: Path, launcher: str) -> None:
    with stand_in_client(tmp_path, python=launcher) as client:
        job, text = begin(client, "deaf")
        worker = int(text.split()[0])
        os.kill(parent_of(worker), signal.SIGKILL)
        time.sleep(0.3)
        assert job.poll() is JobState.RUNNING
        job.cancel()
        assert job.wait(3) is JobState.CANCELLED
        until(lambda: gone(worker), 1)


def parent_of(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)], text=True))


def test_worker_ends_with_its_parent_though_stdin_stays_open(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    identity = ProcessIdentity.of(owner.pid)
    assert identity is not None
    command = [sys.executable, str(STAND_IN), "--folder", str(tmp_path), "--token", "ab"]
    command += ["--parent", str(owner.pid), "--parent-started", identity.started]
    folder = tmp_path / "voxelopt-job-ab-1"
    folder.mkdir()
    other = tmp_path / "voxelopt-job-cd-1"
    other.mkdir()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=command_environment(), stdin=pipe, stdout=pipe) as worker:
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline())["type"] == "hello"
        time.sleep(1.0)
        assert worker.poll() is None and folder.exists()
        owner.kill()
        owner.wait()
        assert worker.wait(3) == 0
    assert not folder.exists() and other.exists()
