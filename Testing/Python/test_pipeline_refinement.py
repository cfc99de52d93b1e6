"""The refinement on finer grids within whole registrations: a generated pair whose deformation is known exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib import solving
from VoxelOptRegistrationLib.images.displacement import displacement_transform
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.memory_plan import Budget, make_plan
from VoxelOptRegistrationLib.options import LARGEST_BUDGET, Alignment, DescentOptions, GridOptions, Settings
from VoxelOptRegistrationLib.phantom import FIXED_CENTRE, MOVING_CENTRE, Phantom, make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, Result, register
from VoxelOptRegistrationLib.presets import load_preset
from VoxelOptRegistrationLib.progress import Progress, Watcher

BUDGET = 12_000
START = sitk.TranslationTransform(3, (MOVING_CENTRE - FIXED_CENTRE).tolist())


def settings_of(refine: str) -> Settings:
    """Small, on two grids, from a given start: alignment is another matter."""
    return dataclasses.replace(
        load_preset("abdomen-ct"),
        refine=refine,
        align=Alignment.NONE,
        grid=GridOptions(max_voxels=BUDGET),
        descent=DescentOptions(scales=(1.0, 2.5), iterations=(5, 5)),
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """A registration, what it told on its way, and the mean error of the landmarks, mm."""

    result: Result
    progress: list[Progress]
    previews: list[sitk.Image]
    error: float


def run(phantom: Phantom, refine: str, turn: sitk.Transform | None = None) -> Run:
    """The phantom's pair; with `turn`, everything turned in the scanner and the arrays stored the other way round."""
    fixed, moving, start = phantom.fixed, phantom.moving, START
    points = [phantom.fixed_landmarks.points, phantom.moving_landmarks.points]
    if turn is not None:
        fixed, moving = (stored_otherwise(turned(image, turn)) for image in (fixed, moving))
        points = [np.array([turn.TransformPoint(p) for p in part.tolist()]) for part in points]
        start = sitk.CompositeTransform([turn, START, turn.GetInverse()])
    progress: list[Progress] = []
    previews: list[sitk.Image] = []
    inputs = Inputs(fixed, moving, initial_transform=start)
    result = register(inputs, settings_of(refine), Watcher(progress=progress.append, preview=previews.append))
    return Run(result, progress, previews, error_of(result.displacement, fixed, points))


def error_of(displacement: np.ndarray, fixed: sitk.Image, points: list[np.ndarray]) -> float:
    return error_through(displacement_transform(displacement, Grid.of(fixed)), points)


def error_through(mapping: sitk.Transform, points: list[np.ndarray]) -> float:
    moved = np.array([mapping.TransformPoint(p) for p in points[0].tolist()])
    return float(np.linalg.norm(moved - points[1], axis=1).mean())


def turned(image: sitk.Image, turn: sitk.Transform) -> sitk.Image:
    """The image where `turn`, a rotation and shift, brings it; its voxels are as they were."""
    image = sitk.Image(image)
    matrix = np.reshape(turn.GetMatrix(), (3, 3))
    image.SetOrigin(turn.TransformPoint(image.GetOrigin()))
    image.SetDirection((matrix @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    return image


def stored_otherwise(image: sitk.Image) -> sitk.Image:
    """The same scan with its axes in another order and two of them the other way: left-handed."""
    return sitk.Flip(sitk.PermuteAxes(image, [1, 0, 2]), [True, False, True])


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """Slices twice as thick as the pixels are wide."""
    return make_phantom((20, 36, 48))


@pytest.fixture(scope="module")
def unrefined(phantom: Phantom) -> Run:
    return run(phantom, "none")


@pytest.fixture(scope="module")
def by_correlation(phantom: Phantom) -> Run:
    return run(phantom, "local-ncc")


@pytest.fixture(scope="module")
def by_features(phantom: Phantom) -> Run:
    return run(phantom, "features")


@pytest.fixture(params=["by_correlation", "by_features"])
def refined(request: pytest.FixtureRequest) -> Run:
    return request.getfixturevalue(request.param)


def test_refinement_brings_landmarks_nearer(unrefined: Run, refined: Run) -> None:
    assert refined.error < unrefined.error


def test_nothing_folds_and_nothing_is_lost(phantom: Phantom, refined: Run) -> None:
    result = refined.result
    assert result.report["jacobian"]["folds"] == 0
    assert float(sitk.GetArrayViewFromImage(result.jacobian).min()) > 0
    assert result.report["inverse_consistency"]["mean_voxels"] < 0.1
    entropy = sitk.GetArrayViewFromImage(result.entropy)
    assert result.entropy.GetSize() == phantom.fixed.GetSize()
    assert 0.0 <= float(entropy.min()) < float(entropy.max()) <= 1.0


def test_the_finest_grid_of_the_refinement_is_reported(unrefined: Run, refined: Run) -> None:
    voxels = [int(np.prod(each.result.report["working_grid"]["size"])) for each in (unrefined, refined)]
    assert voxels[0] <= BUDGET < voxels[1] <= 2.5 * BUDGET


def test_progress_rises_through_both_grids_and_each_is_shown(phantom: Phantom, refined: Run) -> None:
    fractions = [step.fraction for step in refined.progress]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    steps = [step for step in refined.progress if step.stage == "refine"]
    assert len(steps) == 10
    assert all(solving.REFINING[0] < step.fraction <= solving.REFINING[1] + 1e-9 for step in steps)
    assert steps[-1].fraction == pytest.approx(solving.REFINING[1])
    assert [step.text.endswith("step 5 of 5.") for step in steps] == [False, False, False, False, True] * 2
    before = [step for step in refined.progress if step.stage == "solve"]
    assert before and all(step.fraction <= solving.SOLVING[1] + 1e-9 for step in before)
    points = [phantom.fixed_landmarks.points, phantom.moving_landmarks.points]
    errors = [error_through(sitk.DisplacementFieldTransform(sitk.Image(p)), points) for p in refined.previews]
    assert len(errors) >= 4
    assert errors[-1] < errors[0]
    last = sitk.GetArrayFromImage(refined.previews[-1])
    steps = [round(a / b) for a, b in zip(refined.previews[-1].GetSpacing(), phantom.fixed.GetSpacing(), strict=True)]
    x, y, z = (slice(None, None, step) for step in steps)
    np.testing.assert_allclose(last, refined.result.displacement[z, y, x], atol=1e-3)


def test_orientation_and_storage_do_not_matter(phantom: Phantom, by_correlation: Run) -> None:
    """Oblique, flipped and with other axes first: the error is the same to a tenth of a fine voxel."""
    turn = sitk.Euler3DTransform((10.0, -20.0, 30.0), 0.3, -0.5, 1.1, (50.0, -70.0, 20.0))
    other = run(phantom, "local-ncc", turn)
    voxel = max(by_correlation.result.report["working_grid"]["spacing_mm"])
    assert abs(other.error - by_correlation.error) < 0.1 * voxel


def test_the_largest_budget_can_be_multiplied(phantom: Phantom) -> None:
    most = GridOptions(max_voxels=LARGEST_BUDGET)
    settings = dataclasses.replace(settings_of("local-ncc"), grid=most)
    plan = make_plan(phantom.fixed, phantom.moving, 12, settings, Budget(2**40, None, None))
    (_, (finest, _)) = plan.stages
    assert max(finest.spacing) == pytest.approx(min(phantom.fixed.GetSpacing()), rel=0.1)


def test_what_lies_beyond_the_window_has_no_say() -> None:
    """Noise of air that the window cuts off neither attracts nor counts as something known about the field."""
    rng = np.random.default_rng(0)
    smooth = sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(rng.normal(0, 1, (20, 24, 24))), 2.0)
    body = np.clip(sitk.GetArrayFromImage(smooth) * 900, -150, 230)
    body[:, :, 15:] = -900

    def scan(array: np.ndarray, air_noise: float) -> sitk.Image:
        noise = rng.normal(0, air_noise, array.shape)
        return sitk.GetImageFromArray(np.where(array < -800, array + noise, array).astype(np.float32))

    chosen = dataclasses.replace(settings_of("local-ncc"), background=None, descent=DescentOptions())
    moved = np.roll(body, 1, axis=1)
    fields = [register(Inputs(scan(body, n), scan(moved, n)), chosen).displacement for n in (0.0, 100.0)]
    assert np.abs(fields[0]).max() > 0.5
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-4)
