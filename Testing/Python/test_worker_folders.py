"""Private folders: only abandoned ones of our own are swept up."""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.worker.folders import PREFIX, create_job_folder, remove_folder, remove_folders, sweep
from VoxelOptRegistrationLib.worker.processes import ProcessIdentity


@pytest.fixture(scope="module")
def dead() -> ProcessIdentity:
    """A process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = ProcessIdentity.of(process.pid)
        assert identity is not None and identity.alive
    assert not identity.alive
    return identity


def mark(folder: Path, pid: int, started: str, host: str | None = None) -> Path:
    body = {"host": host or platform.node(), "pid": pid, "started": started}
    (folder / "owner.json").write_text(json.dumps(body))
    return folder


def test_folder_is_private_and_names_its_owner(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path, "ab12")
    assert folder.parent == tmp_path and folder.name.startswith("voxelopt-job-ab12-")
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    owner = json.loads((folder / "owner.json").read_text())
    assert owner["pid"] == os.getpid()
    assert sweep(tmp_path) == [] and folder.exists()


def test_folder_of_a_dead_owner_is_swept_with_its_content(tmp_path: Path, dead: ProcessIdentity) -> None:
    folder = mark(create_job_folder(tmp_path, "ab"), dead.pid, dead.started)
    (folder / "fixed").write_bytes(b"voxels")
    assert sweep(tmp_path) == [folder] and not folder.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times are known only where /proc is")
def test_reused_process_id_does_not_keep_a_folder(tmp_path: Path) -> None:
    folder = mark(create_job_folder(tmp_path, "ab"), os.getpid(), "1")
    assert sweep(tmp_path) == [folder]


def test_owner_on_another_computer_is_left_alone(tmp_path: Path, dead: ProcessIdentity) -> None:
    folder = mark(create_job_folder(tmp_path, "ab"), dead.pid, dead.started, host="elsewhere")
    assert sweep(tmp_path) == [] and folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes and links")
def test_what_is_not_our_private_folder_is_left_alone(tmp_path: Path, dead: ProcessIdentity) -> None:
    target = mark(create_job_folder(tmp_path, "ab").rename(tmp_path / "precious"), dead.pid, dead.started)
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(target)
    shared = mark(create_job_folder(tmp_path, "cd"), dead.pid, dead.started)
    shared.chmod(0o755)
    file = tmp_path / f"{PREFIX}file"
    file.write_text("text")
    assert sweep(tmp_path) == []
    assert target.exists() and link.is_symlink() and shared.exists() and file.exists()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"pid":"x"}', '{"host":1,"pid":null,"started":""}'])
def test_folder_without_a_readable_owner_is_swept_after_an_hour(tmp_path: Path, content: str | None) -> None:
    folder = create_job_folder(tmp_path, "ab")
    (folder / "owner.json").unlink()
    if content is not None:
        (folder / "owner.json").write_text(content)
    assert sweep(tmp_path) == []
    hour_ago = time.time() - 3601
    os.utime(folder, (hour_ago, hour_ago))
    assert sweep(tmp_path) == [folder]


def test_folders_of_one_token_are_removed(tmp_path: Path) -> None:
    mine = [create_job_folder(tmp_path, "ab") for _ in range(2)]
    other = create_job_folder(tmp_path, "abc")
    remove_folders(tmp_path, "ab")
    assert not any(folder.exists() for folder in mine) and other.exists()


def test_folder_is_removed_while_another_thread_writes(tmp_path: Path) -> None:
    folder = create_job_folder(tmp_path, "ab")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                (folder / str(number)).write_text("x")
            except OSError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    gone = remove_folder(folder, 10)
    stop.set()
    thread.join()
    assert gone and not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ComputationError, match="No folder can be made.*another temporary folder") as caught:
        create_job_folder(tmp_path / "absent", "ab")
    assert caught.value.kind == "disk"


def test_identity_of_a_process_is_its_own() -> None:
    me = ProcessIdentity.current()
    assert me.pid == os.getpid() and me.alive and ProcessIdentity.of(me.pid) == me
    assert ProcessIdentity.of(2**22 + 1) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    deadline = time.monotonic() + 10
    while ProcessIdentity.of(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ProcessIdentity.of(process.pid) is None
    process.wait()
