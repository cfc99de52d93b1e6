"""Jobs in a real registration process, with a computation that can be told how to behave."""

from __future__ import annotations

import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import command_environment
from VoxelOptRegistrationLib.errors import Cancelled, ComputationError, InputError
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.data import Callbacks, ImageData, RegistrationRequest
from VoxelOptRegistrationLib.worker.exchange import exchanged_bytes
from VoxelOptRegistrationLib.worker.folders import has_room
from VoxelOptRegistrationLib.worker.job import Job, JobState
from worker_stand_in import SHIFT
from worker_support import FIXED_MATRIX, MOVING_MATRIX, begin, empty, gone, request, stand_in_client, until


@pytest.fixture
def client(tmp_path: Path) -> Iterator[WorkerClient]:
    with stand_in_client(tmp_path) as client:
        yield client
    until(lambda: empty(tmp_path))


def test_job_returns_everything_and_leaves_nothing(client: WorkerClient, tmp_path: Path) -> None:
    steps, previews, lines, ended = [], [], [], []
    asked = request()
    job = client.register(asked, Callbacks(steps.append, previews.append, lines.append, ended.append))
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700
    outcome = job.result()

    assert job.state is JobState.DONE and ended == [job] and client.job is None
    assert outcome.displacement.shape == (5, 6, 7, 3) and outcome.displacement.dtype == np.float32
    assert np.array_equal(outcome.displacement[4, 5, 6], np.float32(SHIFT))
    assert np.array_equal(outcome.inverse_displacement[5, 3, 7], -np.float32(SHIFT))
    assert outcome.inverse_displacement.shape == (6, 4, 8, 3)
    assert outcome.inverse_valid is not None and outcome.inverse_valid.dtype == bool
    assert np.array_equal(outcome.inverse_valid, asked.moving.array > 0.5)
    assert outcome.warped.dtype == np.float32 and outcome.warped.shape == (5, 6, 7)
    assert outcome.entropy.dtype == outcome.jacobian.dtype == np.float32
    assert np.all(outcome.entropy == 0.25) and np.all(outcome.jacobian == 1) and np.all(outcome.expected_error == 2)
    sums = {"fixed": asked.fixed.array.sum(), "moving": asked.moving.array.sum(dtype=np.float64)}
    assert outcome.report["sums"] == pytest.approx(sums, rel=1e-6)
    assert outcome.report["origin"] == MOVING_MATRIX[:3, 3].tolist()
    assert outcome.report["undefined"] is None and outcome.report["count"] == 3
    outcome.displacement[:] = 0

    assert [step.stage for step in steps] == ["start", "solve", "done"]
    assert [step.fraction for step in steps] == [0.0, 0.5, 1.0] and job.progress == steps[-1]
    assert [float(image.array[0, 0, 0, 2]) for image in previews] == [SHIFT[2] * 0.25, SHIFT[2] * 0.75]
    assert all(np.allclose(image.index_to_world, FIXED_MATRIX) for image in previews)
    assert "a line for the log" in lines
    assert empty(tmp_path)


def test_one_process_serves_job_after_job(client: WorkerClient, tmp_path: Path) -> None:
    assert client.register(request()).wait() is JobState.DONE
    pid = client.pid
    assert pid is not None and not gone(pid)
    for behaviour in ("input", "computation", "full disk" if sys.platform == "linux" else "input"):
        assert client.register(request(behaviour)).wait() is JobState.FAILED
        assert empty(tmp_path)
    assert client.pid == pid
    client.close()
    assert gone(pid) and client.pid is None
    assert client.register(request()).wait() is JobState.DONE, "a closed client starts again when asked"
    assert client.pid != pid


def test_masks_labels_and_initial_transforms_arrive(client: WorkerClient) -> None:
    matrix = np.array([[0, -1.0, 0, 1], [1.0, 0, 0, 2], [0, 0, 1.0, 3], [0, 0, 0, 1]])
    mask = ImageData(np.ones((5, 6, 7), dtype=bool), FIXED_MATRIX)
    labels = ImageData(np.full((6, 4, 8), 9, dtype=np.int64)[:, ::-1], MOVING_MATRIX)
    names = {"fixed_name": "Größe 1", "moving_name": "a\nb"}
    more = {"fixed_mask": mask, "moving_labels": labels, "initial": matrix}
    report = client.register(request(**more, **names)).result().report
    assert report["names"] == names
    assert report["images"] == ["fixed", "fixed_mask", "moving", "moving_labels"]
    assert report["sums"]["fixed_mask"] == 5 * 6 * 7 and report["sums"]["moving_labels"] == 9 * 6 * 4 * 8
    assert report["initial"] == pytest.approx([1 - 20, 2 + 10, 3 + 30])

    grid = np.diag([20.0, 20, 20, 1])
    field = ImageData(np.broadcast_to(np.array([1.0, 2, 3], dtype=np.float32), (4, 4, 4, 3)), grid)
    report = client.register(request(initial=field)).result().report
    assert report["initial"] == pytest.approx([11, 22, 33])


def test_second_request_is_refused_while_one_runs(client: WorkerClient) -> None:
    job, _ = begin(client, "slow")
    with pytest.raises(ComputationError, match="already running.*cancel it first"):
        client.register(request())
    assert job.state is JobState.RUNNING
    job.cancel()
    assert job.wait(5) is JobState.CANCELLED
    with pytest.raises(Cancelled):
        job.result()


@pytest.mark.skipif(sys.platform == "win32", reason="calls the C library by its POSIX name")
def test_what_libraries_print_does_not_disturb(client: WorkerClient) -> None:
    lines: list[str] = []
    job = client.register(request("noisy"), Callbacks(log=lines.append))
    assert job.wait(60) is JobState.DONE, job.error
    for line in ("printed by Python", "written to descriptor 1", "printed by C"):
        assert line in lines
    assert max(map(len, lines)) <= 2000


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ("input", "input", "The fixed volume is empty. Choose another."),
        ("computation", "computation", "The grid does not fit. Use a smaller one."),
        ("bug", "internal", "KeyError: 'no such thing'"),
        ("memory", "memory", "not enough memory"),
        ("full disk", "disk", "could not be written to the temporary folder"),
    ],
)
def test_failure_says_what_and_how_to_mend_it(
    client: WorkerClient, tmp_path: Path, behaviour: str, kind: str, words: str
) -> None:
    if behaviour == "full disk" and sys.platform == "win32":
        pytest.skip("file size limits are a POSIX matter")
    lines: list[str] = []
    job = client.register(request(behaviour), Callbacks(log=lines.append))
    assert job.wait(60) is JobState.FAILED and job.error is not None
    assert job.error.kind == kind and words in str(job.error) and job.error.remedy
    assert "\n" not in str(job.error)
    assert isinstance(job.error, InputError) == (kind == "input")
    assert any("Traceback" in line for line in lines) == (behaviour in ("bug", "memory"))
    assert empty(tmp_path)
    assert client.register(request()).wait(60) is JobState.DONE


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_full_disk_at_the_start_raises_and_leaves_nothing(client: WorkerClient, tmp_path: Path) -> None:
    client.start()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(ComputationError, match="could not be written.*Free some space"):
            client.register(request())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert empty(tmp_path) and client.job is None
    assert client.register(request()).wait(60) is JobState.DONE


def test_missing_temporary_folder(tmp_path: Path) -> None:
    with stand_in_client(tmp_path / "absent") as client, pytest.raises(ComputationError, match="another temporary"):
        client.register(request())


@pytest.mark.parametrize("settings", [{"a": float("nan")}, {"a": {1, 2}}, {"a": object()}])
def test_settings_that_are_not_json_are_refused(client: WorkerClient, tmp_path: Path, settings: dict) -> None:
    asked = request()
    with pytest.raises(InputError, match="settings cannot be sent"):
        client.register(RegistrationRequest(asked.fixed, asked.moving, settings=settings))
    assert empty(tmp_path)


def test_callbacks_come_only_from_poll_and_may_start_the_next_job(client: WorkerClient) -> None:
    seen: list[str] = []
    later: list[Job] = []

    def again(job: Job) -> None:
        seen.append(job.state.value)
        later.append(client.register(request()))

    job = client.register(request(), Callbacks(finished=again))
    time.sleep(1.0)
    assert seen == [] and job.state is JobState.PENDING
    while not seen:
        job.poll()
    assert job.state is JobState.DONE and later[0].wait(60) is JobState.DONE


@pytest.mark.parametrize(("behaviour", "end"), [("quick", JobState.DONE), ("bug", JobState.FAILED)])
def test_error_in_a_callback_reaches_the_caller_and_loses_nothing(
    client: WorkerClient, behaviour: str, end: JobState
) -> None:
    def fail(_: object) -> None:
        raise LookupError("the caller's own trouble")

    job = client.register(request(behaviour), Callbacks(fail, fail, fail, fail))
    errors = 0
    while not job.finished:
        try:
            job.wait(60)
        except LookupError:
            errors += 1
    assert job.state is end and errors >= 3


def test_client_needs_neither_torch_nor_simpleitk(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from worker_support import stand_in_client, request\n"
        "client = stand_in_client(Path(sys.argv[1]))\n"
        "client.register(request()).result(); client.close()\n"
        "print(sorted({'torch', 'SimpleITK', 'vtk', 'slicer', 'qt'} & set(sys.modules)))\n"
    )
    environment = command_environment(Path(__file__).parent)
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    assert empty(tmp_path)


def test_volumes_go_through_memory_where_there_is_room(tmp_path: Path) -> None:
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    with stand_in_client(disk, memory=memory) as client:
        job, _ = begin(client, "slow")
        assert job.folder.parent == memory and empty(disk)
        job.cancel()
        assert job.wait(3) is JobState.CANCELLED and empty(memory)
        job, text = begin(client, "deaf")
    assert gone(int(text.split()[0])) and empty(memory) and empty(disk)


def test_volumes_go_through_the_disk_where_memory_is_short(tmp_path: Path) -> None:
    """A petabyte, by its shape alone: one voxel seen many times."""
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    vast = ImageData(np.broadcast_to(np.int16(1), (10**5, 10**5, 10**5)), np.eye(4))
    assert exchanged_bytes(RegistrationRequest(vast, vast)) > 2**50
    assert not has_room(memory, exchanged_bytes(RegistrationRequest(vast, vast)))
    assert has_room(memory, exchanged_bytes(request())) and not has_room(tmp_path / "absent", 1)
    with stand_in_client(disk, memory=tmp_path / "absent") as client:
        job = client.register(request())
        assert job.folder.parent == disk and job.wait(60) is JobState.DONE
    assert empty(disk)


def test_an_inverse_that_nobody_asked_for_is_not_sent(client: WorkerClient) -> None:
    with_inverse, without = request(), request(inverse=False)
    outcome = client.register(without).result()
    assert outcome.inverse_displacement is None and outcome.inverse_valid is None
    assert np.array_equal(outcome.displacement[4, 5, 6], np.float32(SHIFT))
    saved = exchanged_bytes(with_inverse) - exchanged_bytes(without)
    assert saved == without.moving.array.size * (3 * 4 + 1)


def test_what_is_exchanged_fits_into_its_estimate(client: WorkerClient) -> None:
    asked = request(fixed_mask=ImageData(np.ones((5, 6, 7), np.uint8), FIXED_MATRIX))
    job = client.register(asked)
    written = sum(file.stat().st_size for file in job.folder.iterdir() if file.suffix != ".json")
    results = [value for value in vars(job.result()).values() if isinstance(value, np.ndarray)]
    assert len(results) == 7
    assert written < written + sum(array.nbytes for array in results) <= exchanged_bytes(asked)
