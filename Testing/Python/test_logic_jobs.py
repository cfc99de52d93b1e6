"""The logic with a real background process and real nodes; the answer is known (see `logic_stand_in`)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from logic_stand_in import LOGIC_STAND_IN, known_mapping
from slicer_scene import (
    FLIP,
    add_linear_transform,
    add_segmentation,
    add_volume,
    add_warp_transform,
    affine,
    centred,
    from_world,
    map_points,
    new_scene,
    node_counts,
)
from VoxelOptRegistrationLib.errors import Cancelled, ComputationError, InputError
from VoxelOptRegistrationLib.mrml.job import RegistrationJob
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic, RegistrationResult
from VoxelOptRegistrationLib.worker.child import ChildProcess
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.job import JobState
from VoxelOptRegistrationLib.worker.protocol import Message, Result

Start = Callable[..., AbstractContextManager[RegistrationLogic]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Opens a logic whose process behaves as told; nothing of it is left afterwards, neither process nor file."""

    @contextmanager
    def open_logic(behaviour: str = "known", scheduler: Callable | None = None) -> Iterator[RegistrationLogic]:
        environment = {**os.environ, "LOGIC_STAND_IN": behaviour, "OMP_NUM_THREADS": "1"}
        client = WorkerClient(folder=tmp_path, environment=environment, entry=[str(LOGIC_STAND_IN)])
        logic = RegistrationLogic(scheduler, client)
        try:
            yield logic
        finally:
            logic.close()
            assert client.pid is None
            assert not any(tmp_path.iterdir())

    return open_logic


def volumes() -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode]:
    random = np.random.default_rng(4)
    fixed_shape, moving_shape = (11, 16, 15), (20, 21, 22)
    fixed = centred(affine((2.0, 2.5, 3.0), angles=(10.0, 20.0, -15.0), flip=True), fixed_shape, (1.0, 0.0, -1.0))
    moving = centred(affine((2.0, 2.0, 2.0), angles=(0.0, -10.0, 5.0)), moving_shape, (0.0, 2.0, 0.0))
    return (
        add_volume(random.integers(-900, 900, fixed_shape).astype(np.int16), fixed, "CT"),
        add_volume(random.integers(0, 900, moving_shape).astype(np.uint8), moving, "MR"),
    )


def run_until(condition: Callable[[], bool], job: RegistrationJob, seconds: float = 30.0) -> float:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds
        job.poll()
        time.sleep(0.01)
    return time.monotonic() - begin


def under_way(job: RegistrationJob) -> None:
    """Wait until the process computes."""
    run_until(lambda: job.progress.stage == "solve", job)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a result has come from a process, read by nobody yet."""
    came = threading.Event()
    receive = WorkerClient._receive

    def watch(client: WorkerClient, child: ChildProcess, message: Message) -> None:
        receive(client, child, message)
        if isinstance(message, Result):
            came.set()

    monkeypatch.setattr(WorkerClient, "_receive", watch)
    return came


def check_known(result: RegistrationResult) -> None:
    points = np.random.default_rng(0).uniform(-8, 8, (30, 3))
    found = map_points(from_world(result.outputTransformNode), points * FLIP) * FLIP
    np.testing.assert_allclose(found, known_mapping(points), atol=0.05)


def test_everything_but_the_two_volumes_is_given_by_keyword() -> None:
    parameters = list(inspect.signature(RegistrationLogic.registerVolumes).parameters.values())
    assert [parameter.name for parameter in parameters[:3]] == ["self", "fixedVolumeNode", "movingVolumeNode"]
    assert {parameter.kind for parameter in parameters[3:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_run_with_everything(start: Start) -> None:
    """Volumes, masks, segmentations and the initial transform under parents of their own; all outputs chosen."""
    scene = new_scene()
    fixed, moving = volumes()
    turn = add_linear_transform(affine((1.0, 1.1, 0.9), (2.0, -1.0, 3.0), (0.0, 10.0, 6.0), shear=0.1), "turn")
    fixed.SetAndObserveTransformNodeID(turn.GetID())
    moving.SetAndObserveTransformNodeID(add_warp_transform("breathing").GetID())
    drawn = affine(origin=(-10.0, -10.0, -10.0))
    mask = add_segmentation({"body": np.ones((20, 20, 20), np.uint8)}, drawn, "body")
    organs = {"liver": np.ones((9, 9, 9), np.uint8), "aorta": np.ones((12, 3, 3), np.uint8)}
    drawn_fixed, drawn_moving = (add_segmentation(organs, affine(), name) for name in ("fixed organs", "moving organs"))
    initial = add_linear_transform(affine(origin=(-4.0, 5.0, 6.0)), "pose")
    chosen = {
        "outputTransformNode": scene.AddNewNodeByClass("vtkMRMLTransformNode", "T"),
        "outputVolumeNode": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "W"),
        "entropyVolumeNode": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "E"),
        "jacobianVolumeNode": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "J"),
        "expectedErrorVolumeNode": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "X"),
        "outputInverseTransformNode": scene.AddNewNodeByClass("vtkMRMLTransformNode", "I"),
    }
    with start() as logic:
        result = logic.registerVolumes(
            fixed,
            moving,
            preset="fast",
            fixedMaskNode=mask,
            movingMaskNode=mask,
            fixedSegmentationNode=drawn_fixed,
            movingSegmentationNode=drawn_moving,
            initialTransformNode=initial,
            device="cpu",
            options={"solver.levels": "2"},
            **chosen,
        )
    for name, node in chosen.items():
        assert getattr(result, name) is node
    check_known(result)
    points = np.random.default_rng(1).uniform(-8, 8, (20, 3))
    there = map_points(from_world(chosen["outputTransformNode"]), points)
    np.testing.assert_allclose(map_points(from_world(chosen["outputInverseTransformNode"]), there), points, atol=0.2)
    assert chosen["outputVolumeNode"].GetTransformNodeID() == turn.GetID()
    assert slicer.util.arrayFromVolume(chosen["outputVolumeNode"]).dtype == np.uint8
    report = result.report
    assert report["settings"]["solver"]["levels"] == 2
    assert (report["settings"]["preset"], report["settings"]["device"]) == ("fast", "cpu")
    names = {"fixed", "moving", "fixed_mask", "moving_mask", "fixed_labels", "moving_labels"}
    assert set(report["given"]) == names and all(report["given"][name] > 0 for name in names - {"fixed"})
    np.testing.assert_allclose(report["initial"], np.array([1.0, 2.0, 3.0]) - np.array([-4.0, 5.0, 6.0]) * FLIP)


def test_the_warped_volume_is_what_the_transform_does_to_moving(start: Start) -> None:
    """The worker resampled with SimpleITK, Slicer samples moving through the node: both must see the same tissue."""
    new_scene()
    fixed, moving = volumes()
    moving.SetAndObserveTransformNodeID(
        add_linear_transform(affine(origin=(2.0, 0.0, 1.0), angles=(0.0, 0.0, 8.0))).GetID()
    )
    k, j, i = np.meshgrid(np.arange(20), np.arange(21), np.arange(22), indexing="ij")
    slicer.util.updateVolumeFromArray(moving, (20 * i + 7 * j - 11 * k).astype(np.float32))
    with start() as logic:
        result = logic.registerVolumes(fixed, moving)
    warped = slicer.util.arrayFromVolume(result.outputVolumeNode)
    to_local = moving.GetParentTransformNode()
    matrix, checked = vtk.vtkMatrix4x4(), 0
    for index in np.random.default_rng(2).integers(0, warped.shape, (200, 3)):
        result.outputVolumeNode.GetIJKToRASMatrix(matrix)
        world = matrix.MultiplyPoint((*map(float, index[::-1]), 1.0))[:3]
        source = map_points(from_world(result.outputTransformNode), [world])[0]
        source = map_points(from_world(to_local), [source])[0]
        moving.GetRASToIJKMatrix(matrix)
        local = np.array(matrix.MultiplyPoint((*source, 1.0))[:3])
        if (local > 0.01).all() and (local < [20.99, 19.99, 18.99]).all():
            checked += 1
            assert warped[tuple(index)] == pytest.approx(local @ [20, 7, -11], abs=0.1)
    assert checked > 60


def test_a_fixed_volume_and_an_initial_transform_that_are_not_linear(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    fixed.SetAndObserveTransformNodeID(add_warp_transform("breathing").GetID())
    initial = add_warp_transform("initial", amplitude=3.0)
    before = slicer.util.arrayFromVolume(fixed).copy()
    with start() as logic:
        result = logic.registerVolumes(fixed, moving, initialTransformNode=initial)
    check_known(result)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(fixed), before)
    assert result.outputVolumeNode.GetParentTransformNode() is None
    found = np.array(result.report["initial"]) * FLIP
    expected = map_points(from_world(initial), [np.array([1.0, 2.0, 3.0]) * FLIP])[0]
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert set(result.report["given"]) == {"fixed", "moving", "fixed_mask"}


def test_nodes_are_created_only_when_the_run_succeeds(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    before = node_counts()
    with start() as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        assert isinstance(job, RegistrationJob) and not job.finished
        assert node_counts() == before
        assert job.wait() is JobState.DONE
    check_known(job.result)
    after = node_counts()
    assert after["vtkMRMLTransformNode"] == 1
    assert after["vtkMRMLScalarVolumeNode"] == before["vtkMRMLScalarVolumeNode"] + 4
    assert job.result.outputInverseTransformNode is None


def test_a_script_chooses_its_outputs_and_watches_without_qt(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    lines: list[str] = []
    above: list[str] = []
    with start("shown") as logic:
        job = logic.registerVolumes(
            fixed,
            moving,
            createOutputVolume=False,
            createInverseTransform=True,
            livePreview=True,
            logCallback=lines.append,
            waitForCompletion=False,
        )
        assert isinstance(job, RegistrationJob)
        while not job.poll().final:
            parent = moving.GetParentTransformNode()
            above.append(parent.GetName() if parent is not None else "")
            time.sleep(0.01)
    assert job.state is JobState.DONE and "A line for the log" in lines
    assert set(above) == {"", "Registration under way"} and moving.GetParentTransformNode() is None
    result = job.result
    check_known(result)
    assert result.outputVolumeNode is None and result.outputInverseTransformNode is not None
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == [
        *(fixed, moving, result.entropyVolumeNode, result.jacobianVolumeNode, result.expectedErrorVolumeNode)
    ]


def test_a_mask_of_some_segments_only(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    halves = {"left": np.zeros((20, 20, 20), np.uint8), "right": np.zeros((20, 20, 20), np.uint8)}
    halves["left"][..., :10], halves["right"][..., 10:] = 1, 1
    body = add_segmentation(halves, affine(origin=(-10.0, -10.0, -10.0)), "body")
    names = [body.GetSegmentation().GetNthSegmentID(index) for index in (0, 1)]
    with start() as logic:
        counted = [
            logic.registerVolumes(fixed, moving, fixedMaskNode=body, fixedMaskSegmentIDs=chosen).report["given"]
            for chosen in ((), names[:1], names[1:])
        ]
        with pytest.raises(InputError, match="has no segment 'gone' any more. Choose"):
            logic.registerVolumes(fixed, moving, fixedMaskNode=body, fixedMaskSegmentIDs=("gone",))
    both, left, right = (given["fixed_mask"] for given in counted)
    assert left > 0 and right > 0 and both == left + right


def test_without_waiting_the_scheduler_turns_the_crank(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    waiting: list[tuple[int, Callable[[], None]]] = []
    steps: list[float] = []
    ended: list[RegistrationJob] = []
    with start(scheduler=lambda milliseconds, call: waiting.append((milliseconds, call))) as logic:
        job = logic.registerVolumes(
            fixedVolumeNode=fixed,
            movingVolumeNode=moving,
            waitForCompletion=False,
            progressCallback=lambda progress: steps.append(progress.fraction),
            completedCallback=ended.append,
        )
        begin = time.monotonic()
        while waiting:
            assert len(waiting) == 1 and time.monotonic() - begin < 30
            milliseconds, call = waiting.pop()
            time.sleep(milliseconds / 1000)
            call()
    assert job.state is JobState.DONE and ended == [job]
    assert 0.25 in steps and steps == sorted(steps)
    check_known(job.result)


def test_cancelling_answers_soon_and_the_next_run_works(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    before = node_counts()
    ended: list[RegistrationJob] = []
    with start("slow") as logic:
        for _ in range(2):
            job = logic.registerVolumes(fixed, moving, waitForCompletion=False, completedCallback=ended.append)
            under_way(job)
            assert job.state is JobState.RUNNING
            job.cancel()
            assert job.state is JobState.CANCELLING
            assert run_until(lambda: job.finished, job) < 3.0  # noqa: B023
            assert job.state is JobState.CANCELLED and isinstance(job.error, Cancelled)
            assert job.result is None and node_counts() == before
    assert len(ended) == 2


@pytest.mark.parametrize("lost", ["fixed volume", "moving volume", "output transform"])
def test_a_node_deleted_during_the_run_ends_it(start: Start, lost: str) -> None:
    scene = new_scene()
    fixed, moving = volumes()
    output = scene.AddNewNodeByClass("vtkMRMLTransformNode", "T")
    with start("slow") as logic:
        job = logic.registerVolumes(fixed, moving, outputTransformNode=output, waitForCompletion=False)
        under_way(job)
        node = {"fixed volume": fixed, "moving volume": moving, "output transform": output}[lost]
        scene.RemoveNode(node)
        before = node_counts()
        assert run_until(lambda: job.finished, job) < 3.0
    assert job.state is JobState.CANCELLED and node_counts() == before
    assert lost in job.error.text and node.GetName() in job.error.text and "\n" not in str(job.error)


def test_closing_the_scene_ends_the_run(start: Start) -> None:
    scene = new_scene()
    fixed, moving = volumes()
    with start("slow") as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        under_way(job)
        scene.Clear()
        before = node_counts()
        assert run_until(lambda: job.finished, job) < 3.0
        assert job.state is JobState.CANCELLED and "scene was closed" in job.error.text
        assert node_counts() == before


def test_nodes_deleted_after_the_answer_came_but_before_it_was_read(start: Start, answered: threading.Event) -> None:
    scene = new_scene()
    fixed, moving = volumes()
    with start() as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        assert answered.wait(60)
        scene.RemoveNode(fixed)
        before = node_counts()
        run_until(lambda: job.finished, job)
    assert job.state is JobState.CANCELLED and "'CT' was removed" in job.error.text
    assert node_counts() == before


def test_cancelling_after_the_answer_came_writes_nothing(start: Start, answered: threading.Event) -> None:
    new_scene()
    fixed, moving = volumes()
    before = node_counts()
    with start() as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        assert answered.wait(60)
        job.cancel()
        assert job.state is JobState.CANCELLING
        assert job.wait() is JobState.CANCELLED and isinstance(job.error, Cancelled)
        assert node_counts() == before
        check_known(logic.registerVolumes(fixed, moving))


def test_closing_the_logic_ends_the_run(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    ended: list[RegistrationJob] = []
    with start("slow") as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False, completedCallback=ended.append)
        under_way(job)
        logic.close()
        assert job.state is JobState.CANCELLED and ended == [job]
        logic.close()


def test_what_the_process_refuses_is_raised(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    before = node_counts()
    with start("refuse") as logic:
        with pytest.raises(InputError, match="The fixed volume is constant. Choose another volume."):
            logic.registerVolumes(fixed, moving)
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        assert job.wait() is JobState.FAILED and isinstance(job.error, InputError)
    assert node_counts() == before


def test_a_process_that_dies_gives_an_error_with_a_remedy(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    before = node_counts()
    with start("die") as logic:
        for _ in range(2):
            with pytest.raises(ComputationError) as error:
                logic.registerVolumes(fixed, moving)
            assert error.value.remedy
    assert node_counts() == before


def test_one_run_at_a_time(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    with start("slow") as logic:
        job = logic.registerVolumes(fixed, moving, waitForCompletion=False)
        with pytest.raises(ComputationError, match="already running"):
            logic.registerVolumes(fixed, moving)
        under_way(job)
        job.cancel()
        job.wait()


def test_a_callback_that_fails_gives_the_process_free(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()

    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with start() as logic:
        with pytest.raises(KeyboardInterrupt):
            logic.registerVolumes(fixed, moving, progressCallback=interrupt)
        check_known(logic.registerVolumes(fixed, moving))


def test_a_repeated_run_with_the_result_applied_starts_from_where_moving_was(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    pose = add_linear_transform(affine(origin=(2.0, 0.0, 1.0)), "pose")
    moving.SetAndObserveTransformNodeID(pose.GetID())
    with start() as logic:
        first = logic.registerVolumes(fixed, moving)
        warped = slicer.util.arrayFromVolume(first.outputVolumeNode).copy()
        logic.applyTransform(first.outputTransformNode, moving, fixed)
        assert pose.GetTransformNodeID() == first.outputTransformNode.GetID()
        before = node_counts()
        second = logic.registerVolumes(
            fixed,
            moving,
            outputTransformNode=first.outputTransformNode,
            outputVolumeNode=first.outputVolumeNode,
            entropyVolumeNode=first.entropyVolumeNode,
            jacobianVolumeNode=first.jacobianVolumeNode,
            expectedErrorVolumeNode=first.expectedErrorVolumeNode,
        )
    assert node_counts() == before
    assert pose.GetTransformNodeID() == second.outputTransformNode.GetID()
    check_known(second)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(second.outputVolumeNode), warped)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"preset": "abdomen"}, "preset called 'abdomen'"),
        ({"options": {"solver.level": "3"}}, "option called 'solver.level'"),
        ({"options": {"solver.levels": "many"}}, "solver.levels"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(start: Start, arguments: dict, words: str) -> None:
    new_scene()
    fixed, moving = volumes()
    with start() as logic, pytest.raises(InputError) as error:
        logic.registerVolumes(fixed, moving, waitForCompletion=False, **arguments)
    assert words in str(error.value)


def test_one_segmentation_is_not_enough(start: Start) -> None:
    new_scene()
    fixed, moving = volumes()
    organs = add_segmentation({"liver": np.ones((9, 9, 9), np.uint8)}, affine(), "organs")
    with start() as logic, pytest.raises(InputError, match="Only one segmentation"):
        logic.registerVolumes(fixed, moving, fixedSegmentationNode=organs)


def test_missing_pytorch_is_said_before_anything_starts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    new_scene()
    fixed, moving = volumes()
    installed = importlib.metadata.version

    def without_torch(name: str) -> str:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.metadata, "version", without_torch)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "torch" else found(name, *more)
    )
    with start() as logic, pytest.raises(ComputationError, match="PyTorch is not installed.*PyTorch extension"):
        logic.registerVolumes(fixed, moving)
