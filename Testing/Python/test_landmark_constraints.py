"""Landmark pairs in a registration: what they bend, what the report says of them, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.inspection.page_tables import summary_rows
from VoxelOptRegistrationLib.options import Alignment, GridOptions, LandmarkOptions
from VoxelOptRegistrationLib.phantom import Phantom, make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, Result, register
from VoxelOptRegistrationLib.presets import load_preset

QUICK = dataclasses.replace(
    load_preset("fast"), align=Alignment.CENTRE, device="cpu", grid=GridOptions(max_voxels=30_000)
)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((28, 32, 40))


@pytest.fixture(scope="module")
def plain(phantom: Phantom) -> Result:
    return register(Inputs(phantom.fixed, phantom.moving), QUICK)


def given(phantom: Phantom) -> Inputs:
    """With every other landmark; the rest is for measuring."""
    fixed, moving = phantom.fixed_landmarks.points[::2], phantom.moving_landmarks.points[::2]
    return Inputs(phantom.fixed, phantom.moving, fixed_landmarks=fixed, moving_landmarks=moving)


@pytest.fixture(scope="module")
def bent(phantom: Phantom) -> Result:
    return register(given(phantom), QUICK)


def errors(result: Result, phantom: Phantom, take: slice) -> np.ndarray:
    """Distances, mm, at landmarks of the phantom, through the displacement alone."""
    image = sitk.GetImageFromArray(result.displacement.astype(np.float64), isVector=True)
    image.CopyInformation(phantom.fixed)
    transform = sitk.DisplacementFieldTransform(image)
    moved = np.array([transform.TransformPoint(p) for p in phantom.fixed_landmarks.points[take].tolist()])
    return np.linalg.norm(moved - phantom.moving_landmarks.points[take], axis=1)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_the_given_share_of_their_error_is_taken_away(
    phantom: Phantom, plain: Result, bent: Result, weight: float
) -> None:
    if weight != LandmarkOptions().weight:
        bent = register(given(phantom), dataclasses.replace(QUICK, landmarks=LandmarkOptions(weight=weight)))
    before, after = (errors(result, phantom, slice(None, None, 2)).mean() for result in (plain, bent))
    # The field is linear between voxels of several mm: a point in between is not met exactly.
    assert after == pytest.approx((1 - weight) * before, abs=0.15 * before)
    assert bent.report["jacobian"]["folds"] == 0
    assert bent.report["inverse_consistency"]["mean_voxels"] < 0.1


def test_points_that_were_not_given_are_not_spoilt(phantom: Phantom, plain: Result, bent: Result) -> None:
    before, after = (errors(result, phantom, slice(1, None, 2)).mean() for result in (plain, bent))
    assert after < 1.2 * before


def test_the_report_tells_what_they_cost_and_that_they_were_used(phantom: Phantom, plain: Result, bent: Result) -> None:
    told = bent.report["constraints"]
    assert told["solved"]["mean"] == pytest.approx(errors(plain, phantom, slice(None, None, 2)).mean(), abs=0.3)
    assert told["after"]["mean"] == pytest.approx(errors(bent, phantom, slice(None, None, 2)).mean(), abs=1e-6)
    assert told["after"]["n"] == len(phantom.fixed_landmarks.points[::2])
    assert (told["weight"], told["radius_mm"]) == (1.0, 20.0)
    assert "landmarks" not in bent.report and bent.report["inputs"]["fixed_landmarks"] == "given"
    (row,) = [row for row in summary_rows(bent.report) if "landmarks" in row[0]]
    assert "no measure of its accuracy" in row[3]
    assert "constraints" not in plain.report


def test_weight_zero_only_measures(phantom: Phantom, plain: Result) -> None:
    settings = dataclasses.replace(QUICK, landmarks=LandmarkOptions(weight=0.0))
    measured = register(given(phantom), settings)
    np.testing.assert_array_equal(measured.displacement, plain.displacement)
    told = measured.report["constraints"]
    assert told["after"]["mean"] == pytest.approx(errors(plain, phantom, slice(None, None, 2)).mean(), abs=1e-6)


def test_landmarks_reach_through_an_initial_warp(phantom: Phantom) -> None:
    """The initial transform is not linear, so the landmarks have to be taken back through it."""
    vectors = np.zeros((*phantom.fixed.GetSize()[::-1], 3))
    z = np.linspace(0, np.pi, vectors.shape[0])
    vectors[..., 0] = 9 * np.sin(z)[:, None, None]
    vectors += 4.0
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.CopyInformation(phantom.fixed)
    initial = sitk.DisplacementFieldTransform(image)
    settings = dataclasses.replace(QUICK, align=Alignment.NONE)
    bent = register(dataclasses.replace(given(phantom), initial_transform=initial), settings)
    assert errors(bent, phantom, slice(None, None, 2)).mean() < 0.25 * bent.report["constraints"]["solved"]["mean"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"moving_landmarks": None}, "Only fixed landmarks"),
        ({"fixed_landmarks": np.zeros((0, 3)), "moving_landmarks": np.zeros((0, 3))}, "0 fixed and 0 moving"),
        ({"fixed_landmarks": np.zeros((3, 3))}, "3 fixed"),
        ({"fixed_landmarks": "nan"}, "Point 2 of the fixed landmarks is not finite"),
        ({"moving_landmarks": "far"}, "Point 2 of the moving landmarks .* outside the moving volume"),
    ],
)
def test_landmarks_that_cannot_be_are_refused(phantom: Phantom, change: dict, words: str) -> None:
    inputs = given(phantom)
    for name, value in change.items():
        if isinstance(value, str):
            spoilt = np.array(getattr(inputs, name))
            spoilt[1] = np.nan if value == "nan" else spoilt[1] + 5000
            change = {name: spoilt}
    with pytest.raises(InputError, match=words):
        register(dataclasses.replace(inputs, **change), QUICK)


@pytest.mark.parametrize("wrong", [{"weight": 1.5}, {"weight": -0.1}, {"radius": 0.0}, {"radius": float("nan")}])
def test_options_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=f"landmarks.{next(iter(wrong))}"):
        LandmarkOptions(**wrong)
