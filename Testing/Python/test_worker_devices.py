"""The list of devices over the line: from the real process, from one without torch, and from one that dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from VoxelOptRegistrationLib.devices import list_devices
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.data import DeviceAnswer
from VoxelOptRegistrationLib.worker.failures import device_answer
from VoxelOptRegistrationLib.worker.protocol import AskDevices, DeviceList, ProtocolError, decode, encode
from worker_support import begin, request, stand_in_client, until


def ask(client: WorkerClient, seconds: float = 60.0) -> DeviceAnswer:
    answers: list[DeviceAnswer] = []
    client.ask_devices(answers.append)
    assert client.asked
    until(lambda: client.poll(0.05) or bool(answers), seconds)
    assert len(answers) == 1 and not client.asked
    return answers[0]


def test_the_process_finds_what_torch_finds_here(tmp_path: Path) -> None:
    expected = list_devices()
    with WorkerClient(folder=tmp_path) as client:
        answer = ask(client)
    assert answer.error is None
    assert [(device.name, device.title, device.total_bytes) for device in answer.devices] == [
        (device.name, device.title, device.total_bytes) for device in expected
    ]
    assert all(0 < device.free_bytes <= device.total_bytes for device in answer.devices)


@pytest.mark.parametrize("warmed", [False, True])
def test_without_torch_the_answer_is_why(tmp_path: Path, warmed: bool) -> None:
    """Also where getting ready finds it first, and the process is given up while it is asked."""
    hidden = tmp_path / "path"
    (hidden / "torch").mkdir(parents=True)
    (hidden / "torch" / "__init__.py").write_text("raise OSError('libtorch.so is missing')")
    entry = tmp_path / "entry.py"
    entry.write_text(
        f"import sys\nsys.path.insert(0, {str(hidden)!r})\n"
        "from VoxelOptRegistrationLib.worker.server import serve\nsys.exit(serve())\n"
    )
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with WorkerClient(folder=jobs, entry=[str(entry)]) as client:
        if warmed:
            client.warm()
        answer = ask(client)
    assert answer.devices == () and answer.error is not None and answer.error.kind == "dependency"
    assert "libtorch.so is missing" in answer.error.text and answer.error.remedy


def test_a_process_that_cannot_start_answers_too(tmp_path: Path) -> None:
    with WorkerClient(folder=tmp_path, entry=["-c", "raise SystemExit('no such thing')"]) as client:
        answer = ask(client)
    assert answer.devices == () and answer.error is not None and "no such thing" in answer.error.text


def test_closing_answers_what_was_still_asked(tmp_path: Path) -> None:
    answers: list[DeviceAnswer] = []
    client = stand_in_client(tmp_path)
    job, _ = begin(client, "slow")
    client.ask_devices(answers.append)
    client.close()
    assert job.finished and len(answers) == 1 and answers[0].error is not None and not client.asked


def test_a_question_during_a_job_is_answered_after_it_and_disturbs_nothing(tmp_path: Path) -> None:
    answers: list[DeviceAnswer] = []
    with stand_in_client(tmp_path) as client:
        job = client.register(request())
        client.ask_devices(answers.append)
        assert job.result().report["count"] == 3
        until(lambda: client.poll(0.05) or bool(answers), 60.0)
    assert answers[0].devices


def test_messages_survive_the_line() -> None:
    device = {"name": "cuda:0", "title": "GPU", "free_bytes": 1, "total_bytes": 2, "reason": ""}
    for message in (AskDevices(), DeviceList([device]), DeviceList([], "no torch", "install it")):
        assert decode(encode(message)) == message
    for line in (b'{"type":"device_list","devices":{}}', b'{"type":"device_list","devices":[3]}'):
        with pytest.raises(ProtocolError):
            decode(line)


def test_a_list_that_makes_no_sense_is_an_error() -> None:
    answer = device_answer(DeviceList([{"name": "cuda:0"}]))
    assert answer.devices == () and "cannot be read" in str(answer.error)
