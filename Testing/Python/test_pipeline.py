"""One registration from images to results, measured against truth that the library did not make."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import Cancelled, ComputationError, InputError
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.reading import read_volume
from VoxelOptRegistrationLib.inspection.landmarks import read_landmarks, target_registration_error
from VoxelOptRegistrationLib.options import Alignment, GridOptions, Settings
from VoxelOptRegistrationLib.phantom import Phantom, make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, Result, register
from VoxelOptRegistrationLib.presets import load_preset
from VoxelOptRegistrationLib.progress import Progress, Watcher
from VoxelOptRegistrationLib.solving import PREVIEW_POINTS

SMALL = dataclasses.replace(load_preset("abdomen-ct"), grid=GridOptions(max_voxels=60_000))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((36, 42, 54))


@pytest.fixture(scope="module")
def result(phantom: Phantom) -> Result:
    return register(Inputs(phantom.fixed, phantom.moving), SMALL)


def transform_of(result: Result, fixed: sitk.Image) -> sitk.Transform:
    image = sitk.GetImageFromArray(result.displacement.astype(np.float64), isVector=True)
    image.CopyInformation(fixed)
    return sitk.DisplacementFieldTransform(image)


def mean_error(mapping: sitk.Transform, phantom: Phantom) -> float:
    pairs = zip(phantom.fixed_landmarks.points, phantom.moving_landmarks.points, strict=True)
    return float(np.mean([np.linalg.norm(np.subtract(mapping.TransformPoint(p.tolist()), q)) for p, q in pairs]))


def test_the_known_deformation_of_an_oblique_pair_is_found(phantom: Phantom, result: Result) -> None:
    before = mean_error(sitk.Transform(3, sitk.sitkIdentity), phantom)
    after = mean_error(transform_of(result, phantom.fixed), phantom)
    assert before > 10
    assert after < 0.25 * before
    assert float(sitk.GetArrayViewFromImage(result.jacobian).min()) > 0


def test_results_lie_on_the_fixed_grid_in_the_promised_types(phantom: Phantom, result: Result) -> None:
    for image, kind in (
        (result.warped, phantom.moving.GetPixelID()),
        (result.entropy, sitk.sitkFloat32),
        (result.jacobian, sitk.sitkFloat32),
    ):
        assert image.GetPixelID() == kind
        assert image.GetSize() == phantom.fixed.GetSize()
        np.testing.assert_allclose(image.GetOrigin(), phantom.fixed.GetOrigin())
        np.testing.assert_allclose(image.GetDirection(), phantom.fixed.GetDirection(), atol=1e-12)
    entropy = sitk.GetArrayViewFromImage(result.entropy)
    assert 0.0 <= entropy.min() < entropy.max() <= 1.0
    assert result.report["jacobian"]["folds"] == 0


def test_warped_is_moving_resampled_through_the_displacement(phantom: Phantom, result: Result) -> None:
    mapping = transform_of(result, phantom.fixed)
    expected = sitk.Resample(phantom.moving, phantom.fixed, mapping, sitk.sitkLinear, -1024.0, sitk.sitkFloat64)
    inside = sitk.GetArrayFromImage(expected) > -1000
    difference = sitk.GetArrayFromImage(result.warped) - sitk.GetArrayFromImage(expected)
    # Rounded from float32, whose neighbours are 6e-5 apart at 1000 HU.
    assert np.abs(difference[inside]).max() <= 0.5 + 1e-4


def test_the_inverse_leads_back(phantom: Phantom, result: Result) -> None:
    assert result.report["inverse_consistency"]["mean_voxels"] < 0.1
    assert result.inverse_displacement.shape == (*phantom.moving.GetSize()[::-1], 3)
    assert result.inverse_valid.mean() > 0.5


def test_registering_a_volume_to_itself_is_exactly_the_identity(phantom: Phantom) -> None:
    same = register(Inputs(phantom.fixed, phantom.fixed), SMALL)
    assert np.abs(same.displacement).max() == 0.0
    np.testing.assert_array_equal(sitk.GetArrayFromImage(same.warped), sitk.GetArrayFromImage(phantom.fixed))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(same.jacobian), 1.0)


def test_the_same_twice(phantom: Phantom, result: Result) -> None:
    again = register(Inputs(phantom.fixed, phantom.moving), SMALL)
    np.testing.assert_array_equal(again.displacement, result.displacement)


def test_an_initial_transform_is_composed(phantom: Phantom) -> None:
    """Moving's header is shifted by 150 mm; the initial transform tells, and alignment is off."""
    moving = sitk.Image(phantom.moving)
    offset = np.array([150.0, -60.0, 90.0])
    moving.SetOrigin((np.array(moving.GetOrigin()) + offset).tolist())
    initial = sitk.TranslationTransform(3, offset.tolist())
    settings = dataclasses.replace(SMALL, align=Alignment.NONE)
    plain = register(Inputs(phantom.fixed, phantom.moving), settings)
    shifted = register(Inputs(phantom.fixed, moving, initial_transform=initial), settings)
    np.testing.assert_allclose(shifted.displacement, plain.displacement + offset, atol=1e-3)


def test_previews_and_progress_come_in_order(phantom: Phantom) -> None:
    seen: list[Progress] = []
    previews: list[sitk.Image] = []
    register(Inputs(phantom.fixed, phantom.moving), SMALL, Watcher(progress=seen.append, preview=previews.append))
    fractions = [step.fraction for step in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
    assert len(previews) >= 3
    errors = []
    for preview in previews:
        assert Grid.of(preview).same_as(Grid.of(phantom.fixed).thinned(PREVIEW_POINTS))
        errors.append(mean_error(sitk.DisplacementFieldTransform(sitk.Image(preview)), phantom))
    assert errors[-1] < errors[0]


def test_cancelling_stops_between_steps(phantom: Phantom) -> None:
    steps: list[str] = []

    def progress(step: Progress) -> None:
        steps.append(step.stage)

    with pytest.raises(Cancelled):
        register(
            Inputs(phantom.fixed, phantom.moving),
            SMALL,
            Watcher(progress=progress, cancelled=lambda: "solve" in steps),
        )
    assert steps.count("solve") == 1


def test_masks_decide_what_is_compared(phantom: Phantom) -> None:
    """A metal block in moving, masked out, leaves the landmarks as they were; unmasked it does not."""
    moving = sitk.GetArrayFromImage(phantom.moving)
    z, y, x = (n // 2 for n in moving.shape)
    block = (slice(z - 5, z + 5), slice(y - 7, y + 7), slice(x - 7, x + 7))
    moving[block] = 3000
    spoilt = sitk.GetImageFromArray(moving)
    spoilt.CopyInformation(phantom.moving)
    keep = np.ones(moving.shape, np.uint8)
    keep[block] = 0
    mask = sitk.GetImageFromArray(keep)
    mask.CopyInformation(phantom.moving)
    masked = register(Inputs(phantom.fixed, spoilt, moving_mask=mask), SMALL)
    unmasked = register(Inputs(phantom.fixed, spoilt), SMALL)
    careful = mean_error(transform_of(masked, phantom.fixed), phantom)
    careless = mean_error(transform_of(unmasked, phantom.fixed), phantom)
    assert careful < careless


def test_too_little_memory_is_told_before_anything_is_computed(phantom: Phantom) -> None:
    steps: list[Progress] = []
    tight = dataclasses.replace(SMALL, memory_gib=0.01)
    with pytest.raises(ComputationError, match="memory") as caught:
        register(Inputs(phantom.fixed, phantom.moving), tight, Watcher(progress=steps.append))
    assert caught.value.remedy and [step.stage for step in steps] == ["check"]


@pytest.mark.parametrize("spoil", ["nan", "constant", "vector", "flat"])
def test_unusable_volumes_are_refused(phantom: Phantom, spoil: str) -> None:
    if spoil == "nan":
        values = sitk.GetArrayFromImage(phantom.moving).astype(np.float32)
        values[3, 3, 3] = np.nan
        moving = sitk.GetImageFromArray(values)
    elif spoil == "constant":
        moving = phantom.moving * 0
    elif spoil == "vector":
        moving = sitk.Compose(phantom.moving, phantom.moving)
    else:
        moving = phantom.moving[:, :, 4]
    with pytest.raises(InputError, match="The moving volume"):
        register(Inputs(phantom.fixed, moving), SMALL)


def test_a_liver_through_the_breathing_cycle(shared_folder: Path) -> None:
    """A real pair with the preset as it ships: landmarks in and outside the liver, no fold."""
    data = shared_folder / "data" / "liver_mr"
    fixed = read_volume(data / "fixed.nii.gz")
    moving = read_volume(data / "moving_phase6.nii.gz")
    result = register(Inputs(fixed, moving), load_preset("liver-mr"))
    landmarks = [read_landmarks(data / name) for name in ("fixed_landmarks.csv", "moving_phase6_landmarks.csv")]
    error = target_registration_error(transform_of(result, fixed), *landmarks)
    assert error["liver"]["mean"] < 1.65
    assert error["outside"]["mean"] < 1.7
    assert result.report["jacobian"]["folds"] == 0
    assert result.report["inverse_consistency"]["mean_voxels"] < 0.1


def test_settings_without_a_preset_are_complete(phantom: Phantom) -> None:
    settings = Settings(grid=GridOptions(max_voxels=20_000), align=Alignment.CENTRE)
    report = register(Inputs(phantom.fixed, phantom.moving), settings).report
    assert report["alignment"]["mode"] == "center"
    assert np.prod(report["working_grid"]["size"]) <= 20_000
