"""The registration process gives way to the program that started it, and nobody else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command_environment
from VoxelOptRegistrationLib.worker.priority import NICENESS
from worker_stand_in import STAND_IN
from worker_support import begin, stand_in_client

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads priorities from /proc")


def niceness(pid: int) -> set[int]:
    """Of all threads of a process."""
    texts = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return {int(text.rpartition(")")[2].split()[16]) for text in texts}


def session_niceness(pid: int) -> int | None:
    """None: the kernel keeps no group for this session (it may for others), and says so with an empty file."""
    try:
        text = Path(f"/proc/{pid}/autogroup").read_text()
    except OSError:
        return None
    return int(text.split()[-1]) if text.strip() else None


@pytest.mark.parametrize("through_launcher", [False, True])
def test_every_thread_gives_way(tmp_path: Path, through_launcher: bool) -> None:
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    with stand_in_client(jobs, python=launcher if through_launcher else sys.executable) as client:
        begin(client, "slow")
        assert client.pid is not None
        assert niceness(client.pid) == {max(NICENESS, mine)}
        assert session_niceness(client.pid) in (None, max(NICENESS, mine))
        client.close()
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine


def test_a_session_shared_with_the_starter_is_left_alone(tmp_path: Path) -> None:
    before = session_niceness(os.getpid())
    command = [sys.executable, str(STAND_IN), "--folder", str(tmp_path), "--token", "ab", "--parent", str(os.getpid())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=command_environment(), stdin=pipe, stdout=pipe) as worker:
        assert worker.stdout is not None and worker.stdout.readline()
        own = niceness(worker.pid)
        worker.communicate()
    assert max(own) >= NICENESS and session_niceness(os.getpid()) == before
    assert niceness(os.getpid()) == {os.getpriority(os.PRIO_PROCESS, 0)}
