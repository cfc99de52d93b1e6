"""The measured sections, the warnings, report.json and report.html, on the generated pair whose truth is known."""

import json
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from VoxelOptRegistrationLib.images.displacement import displacement_transform
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.inversion import invert_displacement
from VoxelOptRegistrationLib.inspection.body import body_mask
from VoxelOptRegistrationLib.inspection.charts import histogram_svg
from VoxelOptRegistrationLib.inspection.evaluate import evaluate, transform_jacobian
from VoxelOptRegistrationLib.inspection.findings import find_warnings
from VoxelOptRegistrationLib.inspection.pictures import draw_gallery
from VoxelOptRegistrationLib.inspection.report import (
    describe_image,
    plain,
    report_json,
    software_versions,
    write_report,
)
from VoxelOptRegistrationLib.inspection.result import inspect_result
from VoxelOptRegistrationLib.phantom import make_phantom


class Case:
    """The generated pair with its true displacement, as if a registration had found it."""

    def __init__(self):
        self.phantom = make_phantom((36, 40, 52))
        fixed, moving = self.phantom.fixed, self.phantom.moving
        field = sitk.TransformToDisplacementField(
            self.phantom.transform,
            sitk.sitkVectorFloat64,
            fixed.GetSize(),
            fixed.GetOrigin(),
            fixed.GetSpacing(),
            fixed.GetDirection(),
        )
        self.displacement = sitk.GetArrayFromImage(field)
        self.jacobian = transform_jacobian(self.phantom.transform, fixed)
        self.entropy = np.random.default_rng(0).uniform(0.1, 0.6, self.jacobian.shape).astype(np.float32)
        transform = displacement_transform(self.displacement, Grid.of(fixed))
        self.warped = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1000)
        inverse, valid, _ = invert_displacement(self.displacement, Grid.of(fixed), Grid.of(moving))
        self.sections = inspect_result(
            fixed,
            moving,
            self.displacement,
            self.jacobian,
            self.entropy,
            inverse=(inverse, valid),
            labels=(self.phantom.fixed_labels, self.phantom.moving_labels),
            landmarks=(self.phantom.fixed_landmarks, self.phantom.moving_landmarks),
        )


@pytest.fixture(scope="module")
def case():
    return Case()


@pytest.fixture(scope="module")
def page(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    phantom = case.phantom
    gallery = draw_gallery(phantom.fixed, phantom.moving, case.warped, case.displacement, case.jacobian, case.entropy)
    report = {
        "created": "2026-01-02T03:04:05",
        "inputs": {
            "fixed": describe_image(phantom.fixed, "/data/a & b/fixed<script>alert(1)</script>.nii.gz"),
            "moving": describe_image(phantom.moving, 'C:\\scans\\"moving".nrrd'),
            "fixed_mask": None,
        },
        "settings": {"preset": "abdomen-ct", "method": "voxelopt", "solver": {"levels": 5, "couplings": [0.1, 1.0]}},
        "versions": software_versions(),
        "device": {"name": "cpu", "title": "<b>CPU</b>"},
        "alignment": {"mode": "rigid", "notes": ["a <i>note</i>"]},
        "working_grid": {"size": [52, 40, 36], "spacing_mm": [5.0, 5.0, 5.0]},
        "timings_s": {"solve": 1.25, "total": 3.5},
        "peak_memory_mib": 321.4,
        **case.sections,
        "warnings": ["A <u>warning</u>"],
    }
    write_report(report, gallery, folder)
    return folder, report


def test_the_true_transform_is_found_good(case):
    found = case.sections
    assert found["warnings"] == []
    assert found["landmarks"]["before"]["all"]["mean"] > 10
    assert found["landmarks"]["after"]["all"]["mean"] < 0.2
    assert found["overlap"]["after"]["mean"] > 0.8 > 0.6 > found["overlap"]["before"]["mean"]
    before, after = found["similarity"]["before"], found["similarity"]["after"]
    assert (
        after["ncc"] > before["ncc"] + 0.2 and after["nmi"] > before["nmi"] + 0.1 and after["mad"] < before["mad"] / 2
    )
    assert found["jacobian"]["folds"] == 0
    assert found["inverse_consistency"]["mean_voxels"] < 0.1
    assert 40 < found["region"]["percent"] < 80


def test_sections_agree_with_the_evaluation_of_the_same_transform(case):
    transform = displacement_transform(case.displacement, Grid.of(case.phantom.fixed))
    expected = evaluate(
        case.phantom.fixed,
        transform,
        landmarks=(case.phantom.fixed_landmarks, case.phantom.moving_landmarks),
        labels=(case.phantom.fixed_labels, case.phantom.moving_labels),
    )
    assert case.sections["landmarks"]["after"] == expected["tre_mm"]
    assert case.sections["overlap"]["after"]["mean"] == expected["dice"]["mean"]
    assert case.sections["jacobian"]["sdlogj"] == pytest.approx(expected["sdlogj"], abs=1e-6)


def test_a_given_mask_is_where_things_are_measured(case):
    fixed = case.phantom.fixed
    liver = case.phantom.fixed_labels == 1
    found = inspect_result(fixed, case.phantom.moving, case.displacement, case.jacobian, case.entropy, mask=liver)
    inside = sitk.GetArrayFromImage(liver) > 0
    assert found["region"]["what"] == "fixed mask"
    assert found["entropy"]["voxels"] == inside.sum()
    assert found["displacement"]["whole"]["max_mm"] == pytest.approx(
        np.linalg.norm(case.displacement[inside], axis=1).max()
    )
    assert "overlap" not in found and "inverse_consistency" not in found


def test_a_failed_registration_is_called_one(case):
    phantom = case.phantom
    wrong = case.displacement + [60.0, 45.0, -30.0]
    folded = case.jacobian.copy()
    folded[10:14, 10:14, 10:14] = -1
    found = inspect_result(
        phantom.fixed,
        phantom.moving,
        wrong,
        folded,
        np.ones_like(case.entropy),
        landmarks=(phantom.fixed_landmarks, phantom.moving_landmarks),
    )
    text = " ".join(found["warnings"])
    assert "less alike" in text and "folds at 64 voxels" in text and "hardly any evidence" in text
    assert "landmark error" in text


def test_no_overlap_at_all_is_reported_with_numbers_missing(case):
    far = case.displacement + [5000.0, 0.0, 0.0]
    found = inspect_result(case.phantom.fixed, case.phantom.moving, far, case.jacobian, case.entropy)
    assert found["similarity"]["overlap_percent_after"] == 0
    assert found["similarity"]["after"]["ncc"] is None
    assert "Only 0 %" in found["warnings"][0]
    json.loads(report_json(found))


GOOD = {
    "similarity": {
        "before": {"ncc": 0.5, "nmi": 1.1},
        "after": {"ncc": 0.9, "nmi": 1.3},
        "overlap_percent_after": 99.0,
    },
    "jacobian": {"folds": 0, "folds_percent": 0.0, "p1": 0.7, "p99": 1.4},
    "entropy": {"high_percent": 3.0},
    "expected_error": {"above_3mm_percent": 4.0, "calibrated": True},
    "inverse_consistency": {"mean_voxels": 0.03},
    "landmarks": {"before": {"all": {"mean": 9.0}}, "after": {"all": {"mean": 1.0}}},
    "overlap": {"before": {"mean": 0.5}, "after": {"mean": 0.8}},
}
CHANGES = [
    (("similarity", "overlap_percent_after"), 40.0, "covered"),
    (("similarity", "after"), {"ncc": 0.4, "nmi": 1.05}, "less alike"),
    (("jacobian", "folds"), 3, "folds at 3"),
    (("jacobian", "p99"), 4.0, "threefold"),
    (("jacobian", "p1"), 0.2, "threefold"),
    (("entropy", "high_percent"), 77.0, "77 %"),
    (("expected_error", "above_3mm_percent"), 31.0, "In 31 % of the body the result is expected"),
    (("inverse_consistency", "mean_voxels"), 0.8, "0.80 voxels"),
    (("landmarks", "after"), {"all": {"mean": 9.5}}, "9.50 mm after"),
    (("overlap", "after"), {"mean": 0.4}, "0.400 after"),
]


@pytest.mark.parametrize(("where", "value", "words"), CHANGES)
def test_each_warning_has_its_cause(where, value, words):
    assert find_warnings(GOOD) == [] == find_warnings({})
    section, key = where
    found = find_warnings({**GOOD, section: {**GOOD[section], key: value}})
    assert len(found) == 1 and words in found[0]


def test_json_holds_everything_and_nothing_json_does_not_know(page):
    folder, report = page
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert read == plain(report)
    assert read["inputs"]["fixed"]["size"] == [52, 40, 36]
    assert read["landmarks"]["after"]["liver"]["n"] == 8
    odd = {"a": np.float32(1.5), "b": float("nan"), "c": np.arange(3), 4: (True, None), "d": np.inf, "e": np.int64(7)}
    assert json.loads(report_json(odd)) == {"a": 1.5, "b": None, "c": [0, 1, 2], "4": [True, None], "d": None, "e": 7}


class Outline(HTMLParser):
    """Checks nesting and collects what a page refers to."""

    VOID = {"meta", "img", "br", "link", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_stands_alone_and_escapes_what_it_is_given(page):
    folder, _ = page
    source = (folder / "report.html").read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(source)
    assert outline.open == []
    assert not {"script", "link", "iframe", "u", "object"} & set(outline.tags)
    assert all(value.startswith("data:image/png;base64,") for value in outline.sources)
    assert "http://" not in source and "https://" not in source and "@import" not in source and "url(" not in source
    text = " ".join(outline.text)
    assert "fixed<script>alert(1)</script>.nii.gz" in text
    assert "A <u>warning</u>" in text and "<b>CPU</b>" in text and "a <i>note</i>" in text
    assert outline.tags.count("img") == 3 * 10 + 3 * 3 + 3 * 3
    assert len(source) < 5_000_000


def test_page_shows_what_a_reader_needs(page):
    folder, _ = page
    outline = Outline()
    outline.feed((folder / "report.html").read_text(encoding="utf-8"))
    text = " ".join(outline.text)
    for words in (
        "Registration of",
        "not a medical device",
        "Folds",
        "Landmark error",
        "Dice",
        "SDlogJ",
        "Axial",
        "Coronal",
    ):
        assert words in text, words
    for words in (
        "Sagittal",
        "fold (0 or less)",
        "Moving, before",
        "Checkerboard, after",
        "50 mm",
        "321 MiB",
        "solver.levels",
    ):
        assert words in text, words
    for letter in "RLAPSI":
        assert letter in outline.text


def test_page_can_be_built_from_the_measured_sections_alone(case, tmp_path):
    phantom = case.phantom
    gallery = draw_gallery(phantom.fixed, phantom.moving, case.warped, case.displacement, case.jacobian, case.entropy)
    sections = {k: v for k, v in case.sections.items() if k not in ("overlap", "landmarks", "inverse_consistency")}
    write_report(sections, gallery, tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (
        "the moving scan" in source
        and "anything unusual" in source
        and "None" not in source.split("<body>")[1].replace("None of", "")
    )


def test_expected_errors_are_told_with_what_stands_behind_them(case, tmp_path):
    phantom = case.phantom
    expected = np.full(case.jacobian.shape, 1.0, np.float32)
    expected[:, :, : expected.shape[2] // 2] = 5.0
    basis = {"calibration": "abdomen-ct", "calibrated": True, "both_ways": False}
    maps = (case.displacement, case.jacobian, case.entropy)
    found = inspect_result(phantom.fixed, phantom.moving, *maps, expected_error=(expected, basis))
    body = body_mask(phantom.fixed)
    statistics = found["expected_error"]
    assert statistics["mean_mm"] == pytest.approx(float(expected[body].mean()), rel=1e-6)
    assert statistics["above_3mm_percent"] == pytest.approx(100 * float((expected[body] > 3).mean()))
    gallery = draw_gallery(phantom.fixed, phantom.moving, case.warped, *maps, expected_error=expected)
    write_report(found, gallery, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count('alt="Expected error') == 3
    assert (
        "calibrated for the preset abdomen-ct on synthetic deformations, real errors can be larger; one direction"
        in text
    )
    found["expected_error"]["calibrated"] = False
    write_report(found, gallery, tmp_path)
    assert "not calibrated for these settings" in (tmp_path / "report.html").read_text(encoding="utf-8")


@settings(max_examples=12, deadline=None)
@given(
    size=st.tuples(*[st.integers(8, 15)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 8.0)] * 3),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    mirror=st.booleans(),
    kind=st.sampled_from(["noise", "constant", "point"]),
    seed=st.integers(0, 9),
)
def test_any_small_volume_gets_a_report(tmp_path_factory, size, spacing, angles, mirror, kind, seed):
    rng = np.random.default_rng(seed)
    shape = size[::-1]
    array = {
        "noise": rng.normal(size=shape),
        "constant": np.zeros(shape),
        "point": np.eye(1, np.prod(shape), 77).reshape(shape),
    }
    image = sitk.GetImageFromArray(array[kind].astype(np.float32))
    image.SetSpacing(spacing)
    turn = np.array(sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix()).reshape(3, 3)
    image.SetDirection((turn @ np.diag([-1.0 if mirror else 1.0, 1, 1])).ravel().tolist())
    displacement = rng.normal(scale=2.0, size=(*shape, 3))
    jacobian, entropy = rng.normal(1, 0.8, shape), rng.random(shape)
    sections = inspect_result(image, image, displacement, jacobian, entropy, inverse=(-displacement, None))
    gallery = draw_gallery(image, image, image, displacement, jacobian, entropy)
    folder = tmp_path_factory.mktemp("small")
    write_report(sections, gallery, folder)
    outline = Outline()
    outline.feed((folder / "report.html").read_text(encoding="utf-8"))
    assert outline.open == [] and outline.tags.count("img") == 48
    inner = jacobian[2:-2, 2:-2, 2:-2]
    assert sections["jacobian"]["folds"] == int((inner <= 0).sum())


def test_histogram_bars_have_the_height_of_their_share():
    counts = {"low": -1.0, "high": 1.0, "counts": [1, 0, 0, 3], "below": 0, "above": 0}
    svg = histogram_svg(counts, "x", (-1, 0, 1), bad_below=0.0)
    heights = [float(part.split('height="')[1].split('"')[0]) for part in svg.split("<rect")[1:]]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.05)
    assert svg.count('class="bar bad"') == 1


def test_inspection_of_a_clinical_volume_takes_seconds():
    rng = np.random.default_rng(0)
    shape = (80, 128, 128)
    array = rng.normal(100, 20, shape).astype(np.float32)
    array[:, :20] = 0
    image = sitk.GetImageFromArray(array)
    start = time.perf_counter()
    inspect_result(image, image, np.zeros((*shape, 3)), np.ones(shape, np.float32), np.zeros(shape, np.float32))
    assert time.perf_counter() - start < 10
