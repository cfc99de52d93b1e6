"""The expected error: its model against closed forms, its fit against simulated truth, its numbers against SciPy."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.stats import spearmanr
from VoxelOptRegistrationLib.confidence.calibrations import CALIBRATION_FOLDER, Calibration, calibration_for
from VoxelOptRegistrationLib.confidence.features import BOTH_WAYS, ONE_WAY, evidence_features
from VoxelOptRegistrationLib.confidence.fitting import fit_model, isotonic
from VoxelOptRegistrationLib.confidence.model import ErrorModel
from VoxelOptRegistrationLib.confidence.scoring import calibration_error, detection, rank_correlation, reliability
from VoxelOptRegistrationLib.options import Border, VoxelOptOptions
from VoxelOptRegistrationLib.presets import load_preset, preset_names
from VoxelOptRegistrationLib.solvers.driver import known_level
from VoxelOptRegistrationLib.solvers.match_evidence import match_evidence, round_trip
from VoxelOptRegistrationLib.solvers.solution import Evidence
from VoxelOptRegistrationLib.solvers.voxelopt import solve

MODEL = ErrorModel(
    features=("entropy", "disagreement"),
    means=(0.5, -1.0),
    scales=(0.1, 2.0),
    weights=(0.25, 0.5),
    scores=(-1.0, 0.0, 2.0),
    errors=(0.1, 0.5, 2.5),
)
FILES = sorted(CALIBRATION_FOLDER.glob("*.json"))


def expected_at(model: ErrorModel, *features: float) -> float:
    return float(model.expected_error(torch.tensor(features, dtype=torch.float64)[:, None])[0])


@pytest.mark.parametrize(
    ("entropy", "disagreement", "error"),
    [
        (0.5, -1.0, 0.5),  # average evidence: score 0
        (0.7, 1.0, 1.5),  # 0.25 * 2 + 0.5 * 1 = 1, half way from 0 to 2
        (0.5, -3.0, 0.3),  # score -0.5
        (0.5, 99.0, 2.5),  # beyond the curve
        (0.5, -99.0, 0.1),
        (math.nan, 1.0, 1.0),  # what is not known counts as average: score 0.5
        (math.nan, math.nan, 0.5),
    ],
)
def test_expected_error_is_what_the_formula_says(entropy: float, disagreement: float, error: float) -> None:
    assert expected_at(MODEL, entropy, disagreement) == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": (0.25, -0.5)},
        {"weights": (0.25,)},
        {"scales": (0.0, 1.0)},
        {"scores": (0.0, 0.0, 1.0)},
        {"errors": (0.1, 0.5, 0.4)},
        {"errors": (-0.1, 0.5, 0.6)},
        {"scores": (0.0,), "errors": (1.0,)},
    ],
)
def test_a_model_that_could_fall_is_refused(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(MODEL, **wrong)


@settings(max_examples=60, deadline=None)
@given(
    weights=st.tuples(st.floats(0, 3), st.floats(0, 3)),
    steps=st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 2)), min_size=2, max_size=8),
    place=st.tuples(st.floats(-2, 3), st.floats(-9, 9)),
    rise=st.tuples(st.floats(0, 2), st.floats(0, 9)),
)
def test_more_evidence_against_a_match_never_lowers_the_expected_error(
    weights: tuple[float, float],
    steps: list[tuple[float, float]],
    place: tuple[float, float],
    rise: tuple[float, float],
) -> None:
    scores, errors = (tuple(np.cumsum(column).tolist()) for column in zip(*steps, strict=True))
    model = dataclasses.replace(MODEL, weights=weights, scores=scores, errors=errors)
    higher = expected_at(model, place[0] + rise[0], place[1] + rise[1])
    assert higher >= expected_at(model, *place) - 1e-9


def simulated(seed: int, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Features (3, N) and errors whose logarithm rises with the first two and falls with the third."""
    random = np.random.default_rng(seed)
    features = np.stack([random.normal(0.4, 0.1, count), random.normal(-2, 0.5, count), random.normal(0, 1, count)])
    standard = (features - [[0.4], [-2.0], [0.0]]) / [[0.1], [0.5], [1.0]]
    logarithm = 0.8 * standard[0] + 0.4 * standard[1] - 0.3 * standard[2] + random.normal(0, 0.5, count)
    return features, np.exp(logarithm)


def test_the_fit_recovers_a_simulated_law() -> None:
    model = fit_model(("a", "b", "c"), *simulated(1))
    assert model.weights[2] == 0.0
    assert model.weights[0] / model.weights[1] == pytest.approx(2.0, rel=0.1)
    features, errors = simulated(2)
    predicted = model.expected_error(torch.from_numpy(features)).numpy()
    for expected, observed in reliability(predicted, errors):
        assert expected == pytest.approx(observed, rel=0.15)
    assert predicted.mean() == pytest.approx(errors.mean(), rel=0.05)


def test_unknown_features_do_not_spoil_the_fit() -> None:
    features, errors = simulated(3)
    features[1, ::7] = np.nan
    model = fit_model(("a", "b", "c"), features, errors)
    assert np.isfinite([*model.weights, *model.errors]).all() and model.weights[1] > 0.2


@pytest.mark.parametrize("count", [10, 5000])
def test_nothing_is_fitted_to_nothing(count: int) -> None:
    with pytest.raises(ValueError):
        fit_model(("a",), np.zeros((1, count)), np.linspace(0, 1, count))


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 5)), min_size=1, max_size=20))
def test_isotonic_regression_is_scipys(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    np.testing.assert_allclose(isotonic(values, weights), isotonic_regression(values, weights=weights).x, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_ranks_and_detection_with_ties(values: list[tuple[int, int]]) -> None:
    predicted, observed = (np.array(column, dtype=float) for column in zip(*values, strict=True))
    if np.ptp(predicted) > 0 and np.ptp(observed) > 0:
        assert rank_correlation(predicted, observed) == pytest.approx(spearmanr(predicted, observed)[0], abs=1e-12)
    wrong = observed > 2
    pairs = [(p > q) + 0.5 * (p == q) for p in predicted[wrong] for q in predicted[~wrong]]
    if pairs:
        assert detection(predicted, wrong) == pytest.approx(float(np.mean(pairs)), abs=1e-12)
    else:
        assert math.isnan(detection(predicted, wrong))


def test_reliability_of_a_prediction_that_is_one_too_high() -> None:
    observed = np.arange(100.0)
    table = reliability(observed + 1, observed)
    assert table[0] == (5.5, 4.5) and table[-1] == (95.5, 94.5)
    assert calibration_error(observed + 1, observed) == pytest.approx(1.0)
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_features_of_even_evidence_are_even_and_the_unknown_stays_unknown() -> None:
    shape = (12, 14, 40)
    dissimilarity = torch.full(shape, 0.195)
    dissimilarity[:, :, 20:] = math.nan
    evidence = Evidence(torch.full(shape, 0.25), dissimilarity, torch.full(shape, 0.95))
    entropy, difference, disagreement = evidence_features(evidence)
    torch.testing.assert_close(entropy, torch.full(shape, 0.25))
    torch.testing.assert_close(disagreement, torch.zeros(shape), atol=1e-6, rtol=0)
    torch.testing.assert_close(difference[:, :, :20], torch.full((12, 14, 20), math.log(0.2)), atol=1e-5, rtol=0)
    assert bool(difference[:, :, 32:].isnan().all())
    assert len(evidence_features(dataclasses.replace(evidence, disagreement=None))) == len(ONE_WAY)


def test_dissimilarity_is_the_mean_absolute_difference_of_what_was_brought_together() -> None:
    generator = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand((2, 4, 9, 10, 11), generator=generator)
    trust = torch.ones(9, 10, 11, dtype=torch.bool)
    trust[2, 3, 4] = False
    shift = torch.zeros(3, 9, 10, 11)
    shift[2] = 1.0
    levels = known_level(fixed, trust), known_level(moving, None)
    found = match_evidence(*levels, shift, VoxelOptOptions()).dissimilarity
    expected = (torch.roll(moving, -1, 3) - fixed).abs().mean(0)
    assert bool(found[2, 3, 4].isnan())
    expected[2, 3, 4] = math.nan
    torch.testing.assert_close(found[..., :-1], expected[..., :-1], equal_nan=True)


def test_two_translations_disagree_by_what_is_left() -> None:
    there, back = torch.zeros(2, 3, 8, 9, 10).unbind()
    there[0], back[0], back[1] = 2.0, -2.0, 3.0
    torch.testing.assert_close(round_trip(there, back), torch.full((8, 9, 10), 3.0))


def test_the_disagreement_is_that_of_the_ways_before_they_were_averaged() -> None:
    generator = torch.Generator().manual_seed(1)
    fixed, moving = torch.nn.functional.interpolate(torch.rand((2, 3, 5, 5, 5), generator=generator), (17, 18, 19))
    found = solve(fixed, moving, VoxelOptOptions())
    assert found.evidence.disagreement is not None and found.backward is not None
    assert float(found.evidence.disagreement.mean()) > 2 * float(round_trip(found.displacement, found.backward).mean())
    alone = solve(fixed, moving, VoxelOptOptions(inverse_consistency=False, border=Border.REPLICATE))
    assert alone.evidence.disagreement is None


def test_there_is_a_calibration_for_every_preset_that_has_one_and_one_for_the_rest() -> None:
    names = {path.stem for path in FILES}
    assert names == {"generic", "liver-mr", "abdomen-ct", "lung-ct", "brain-mr"} and names <= set(preset_names())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_calibration_survives_its_file(path: Path, tmp_path: Path) -> None:
    read = Calibration.read(path)
    assert read.both_ways.features == BOTH_WAYS and read.one_way.features == ONE_WAY
    assert read.both_ways.errors[-1] > 2 * read.both_ways.errors[0]
    read.write(tmp_path)
    assert Calibration.read(tmp_path / path.name) == read
    assert (tmp_path / path.name).read_text() == path.read_text()
    assert json.loads(path.read_text())["measured"]["registrations"] >= 6


@pytest.mark.parametrize(
    ("preset", "change", "name", "holds"),
    [
        ("liver-mr", {}, "liver-mr", True),
        ("liver-mr", {"refine": "none"}, "generic", False),
        ("brain-mr", {"method": "samconvex"}, "generic", False),
        ("generic", {}, "generic", False),
        ("ct-mr", {}, "generic", False),
        ("fast", {}, "generic", False),
    ],
)
def test_a_calibration_holds_for_the_settings_it_was_measured_with(
    preset: str, change: dict[str, str], name: str, holds: bool
) -> None:
    found, calibrated = calibration_for(dataclasses.replace(load_preset(preset), **change))
    assert (found.name, calibrated) == (name, holds)


def test_the_expected_error_scales_with_the_voxels() -> None:
    generator = torch.Generator().manual_seed(2)
    evidence = Evidence(*torch.rand((3, 9, 9, 9), generator=generator))
    calibration = Calibration.read(CALIBRATION_FOLDER / "generic.json")
    torch.testing.assert_close(
        3.0 * calibration.expected_error(evidence, 1.0), calibration.expected_error(evidence, 3.0)
    )
    one_way = dataclasses.replace(evidence, disagreement=None)
    assert not torch.equal(calibration.expected_error(one_way, 1.0), calibration.expected_error(evidence, 1.0))
