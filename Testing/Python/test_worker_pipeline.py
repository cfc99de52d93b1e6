"""The real pipeline in the real process, on a generated abdomen."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.options import Alignment, GridOptions, Settings
from VoxelOptRegistrationLib.phantom import Phantom, make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, register
from VoxelOptRegistrationLib.presets import settings_to_dict
from VoxelOptRegistrationLib.solving import PREVIEW_POINTS
from VoxelOptRegistrationLib.worker.client import WorkerClient
from VoxelOptRegistrationLib.worker.data import Callbacks, ImageData, RegistrationRequest
from VoxelOptRegistrationLib.worker.job import JobState
from worker_support import empty, gone, until

QUICK = Settings(device="cpu", grid=GridOptions(max_voxels=20_000))
PLAIN = replace(QUICK, align=Alignment.NONE)
LONG = replace(PLAIN, grid=GridOptions(max_voxels=250_000))


def image_data(image: sitk.Image) -> ImageData:
    """The image as a program without SimpleITK would hand it over."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return ImageData(sitk.GetArrayFromImage(image), matrix)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((36, 42, 54))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    folder = tmp_path_factory.mktemp("private")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with WorkerClient(environment=environment, folder=folder) as client:
        yield client
    assert empty(folder)


def asked(phantom: Phantom, settings: Settings, **more: Any) -> RegistrationRequest:
    fixed, moving = image_data(phantom.fixed), image_data(phantom.moving)
    return RegistrationRequest(fixed, moving, settings=settings_to_dict(settings), **more)


def test_worker_gives_what_the_pipeline_gives(client: WorkerClient, phantom: Phantom) -> None:
    mask = phantom.fixed_labels > 0
    offset = (8.0, -11.0, -14.0)
    initial = np.eye(4)
    initial[:3, 3] = offset
    previews: list[ImageData] = []
    fractions: list[float] = []
    callbacks = Callbacks(progress=lambda step: fractions.append(step.fraction), preview=previews.append)
    points = {
        "fixed_landmarks": phantom.fixed_landmarks.points[:5],
        "moving_landmarks": phantom.moving_landmarks.points[:5],
    }
    request = asked(
        phantom, QUICK, fixed_mask=image_data(mask), initial=initial, fixed_name="Liver, arterial", **points
    )
    outcome = client.register(request, callbacks).result()
    transform = sitk.AffineTransform(initial[:3, :3].ravel().tolist(), offset)
    inputs = Inputs(phantom.fixed, phantom.moving, fixed_mask=mask, initial_transform=transform, **points)
    here = register(inputs, QUICK)

    assert np.allclose(outcome.displacement, here.displacement, atol=1e-3)
    # Geometry is float32 on one way: where an iteration stops may differ at a voxel, and beyond the fixed volume.
    assert np.mean(outcome.inverse_valid == here.inverse_valid) > 0.999
    apart = np.abs(outcome.inverse_displacement - here.inverse_displacement)[here.inverse_valid]
    assert np.quantile(apart, 0.999) < 1e-3
    assert np.allclose(outcome.jacobian, sitk.GetArrayFromImage(here.jacobian), atol=1e-4)
    assert np.allclose(outcome.entropy, sitk.GetArrayFromImage(here.entropy), atol=1e-4)
    assert np.allclose(outcome.expected_error, sitk.GetArrayFromImage(here.expected_error), atol=1e-3)
    assert outcome.expected_error.dtype == np.float32 and outcome.expected_error.max() > 0
    rounded = outcome.warped.astype(np.int32) - sitk.GetArrayFromImage(here.warped)
    assert np.abs(rounded).max() <= 1 and np.mean(rounded != 0) < 0.01 and outcome.warped.dtype == np.int16
    assert outcome.jacobian.min() > 0
    assert set(outcome.report) == set(here.report)
    assert outcome.report["constraints"]["after"]["n"] == 5
    assert "Liver, arterial" in json.dumps(outcome.report)
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1

    assert len(previews) >= 2
    shown = Grid(request.fixed.array.shape, request.fixed.index_to_world).thinned(PREVIEW_POINTS)
    assert all(preview.array.shape == (*shown.size_zyx, 3) for preview in previews)
    assert all(np.allclose(preview.index_to_world, shown.index_to_world) for preview in previews)
    field = sitk.GetImageFromArray(outcome.displacement.astype(np.float64), isVector=True)
    field.CopyInformation(phantom.fixed)
    assert landmark_error(phantom, sitk.DisplacementFieldTransform(field)) < landmark_error(phantom, transform)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((0, 3)), np.zeros((4, 2)), np.full((2, 3), np.nan)])
def test_landmarks_that_are_no_points_are_refused_at_once(phantom: Phantom, wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="fixed landmarks are not points"):
        asked(phantom, QUICK, fixed_landmarks=wrong, moving_landmarks=np.zeros((2, 3)))


def landmark_error(phantom: Phantom, transform: sitk.Transform) -> float:
    """Mean distance from where the transform sends the landmarks to where they are, mm."""
    found = [transform.TransformPoint(point.tolist()) for point in phantom.fixed_landmarks.points]
    return float(np.linalg.norm(found - phantom.moving_landmarks.points, axis=1).mean())


def test_cancel_mid_run_answers_within_3_s_and_the_next_run_works(client: WorkerClient, phantom: Phantom) -> None:
    stages: list[str] = []
    job = client.register(asked(phantom, LONG), Callbacks(progress=lambda step: stages.append(step.stage)))
    until(lambda: job.poll().final or stages.count("solve") >= 3, 120)
    assert job.state is JobState.RUNNING, job.error
    start = time.monotonic()
    job.cancel()
    assert job.wait(3) is JobState.CANCELLED
    assert time.monotonic() - start < 3 and not job.folder.exists()
    assert client.register(asked(phantom, PLAIN)).wait(120) is JobState.DONE


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals to end processes")
def test_kill_mid_run_gives_an_error_with_a_remedy_and_the_next_run_works(
    client: WorkerClient, phantom: Phantom
) -> None:
    stages: list[str] = []
    job = client.register(asked(phantom, LONG), Callbacks(progress=lambda step: stages.append(step.stage)))
    until(lambda: job.poll().final or stages.count("solve") >= 3, 120)
    pid = client.pid
    assert pid is not None and job.state is JobState.RUNNING, job.error
    os.kill(pid, signal.SIGKILL)
    assert job.wait(5) is JobState.FAILED and job.error is not None
    assert job.error.kind == "crash" and "Run again" in job.error.remedy
    assert gone(pid) and not job.folder.exists()
    assert client.register(asked(phantom, PLAIN)).wait(120) is JobState.DONE
    assert client.pid != pid


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("nan", "NaN|not finite|infinite"),
        ("constant", "constant|same value|single value"),
        ("mask", "mask"),
        ("setting", "settings?|option|unknown"),
    ],
)
def test_bad_input_is_told_in_one_line(client: WorkerClient, phantom: Phantom, spoil: str, words: str) -> None:
    good = asked(phantom, QUICK)
    moving = ImageData(good.moving.array.astype(np.float32), good.moving.index_to_world)
    more: dict[str, ImageData] = {}
    settings = dict(good.settings)
    if spoil == "nan":
        moving.array[3, 4, 5] = np.nan
    elif spoil == "constant":
        moving.array[:] = 5
    elif spoil == "mask":
        more["fixed_mask"] = ImageData(np.zeros(good.fixed.array.shape, np.uint8), good.fixed.index_to_world)
    else:
        settings["no such option"] = 1
    job = client.register(RegistrationRequest(good.fixed, moving, settings=settings, **more))
    assert job.wait(60) is JobState.FAILED and job.error is not None
    assert job.error.kind == "input" and "\n" not in str(job.error)
    with pytest.raises(type(job.error), match=f"(?i){words}"):
        job.result()
