"""Overlap, landmarks and the evaluation of a saved transform, against closed forms and the independent scorer."""

import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.inspection.evaluate import evaluate
from VoxelOptRegistrationLib.inspection.landmarks import (
    Landmarks,
    read_landmarks,
    target_registration_error,
    write_landmarks,
)
from VoxelOptRegistrationLib.inspection.overlap import overlap, surface_distance_95
from VoxelOptRegistrationLib.phantom import make_phantom, write_phantom

IDENTITY = sitk.Transform(3, sitk.sitkIdentity)


def box(shape, low, high, spacing=(1.0, 1.0, 1.0), value=1):
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    return image


def test_shifted_boxes_have_known_overlap_and_distance():
    fixed = box((20, 20, 30), (5, 5, 5), (15, 15, 15), (2.0, 1.0, 1.0))
    moved = box((20, 20, 30), (5, 5, 7), (15, 15, 17), (2.0, 1.0, 1.0))
    found = overlap(fixed, moved)
    assert found["labels"] == 1
    assert found["mean"] == pytest.approx(2 * 800 / 2000)
    assert found["hd95_mm"] == pytest.approx(4.0)
    assert overlap(fixed, fixed)["hd95_mm"] == 0


def test_surface_distance_agrees_with_a_literal_one():
    phantom = make_phantom((24, 28, 36))
    found = overlap(phantom.fixed_labels, sitk.Resample(phantom.moving_labels, phantom.fixed, phantom.transform, 1))
    warped = sitk.GetArrayFromImage(sitk.Resample(phantom.moving_labels, phantom.fixed, phantom.transform, 1))
    fixed = sitk.GetArrayFromImage(phantom.fixed_labels)
    spacing = phantom.fixed.GetSpacing()[::-1]
    for label in range(1, 12):
        a, b = (surface(image == label) for image in (fixed, warped))
        to_a, to_b = (distance_transform_edt(~contour, sampling=spacing) for contour in (a, b))
        expected = np.percentile(np.concatenate([to_b[a], to_a[b]]), 95)
        assert found["per_label"][label]["hd95_mm"] == pytest.approx(expected, abs=1e-3)
    assert found["hd95_mm"] == pytest.approx(np.mean([v["hd95_mm"] for v in found["per_label"].values()]))


def surface(inside):
    """Voxels of `inside` with a face neighbour in the image that is not."""
    padded = np.pad(inside, 1, mode="edge")
    core = (slice(1, -1),) * 3
    neighbours = [np.roll(padded, step, axis)[core] for axis in range(3) for step in (-1, 1)]
    return inside & ~np.logical_and.reduce(neighbours)


def test_a_label_on_one_side_counts_zero_and_one_on_neither_side_not_at_all():
    fixed, warped = box((9, 9, 9), (1, 1, 1), (4, 4, 4)), box((9, 9, 9), (1, 1, 1), (4, 4, 4))
    fixed += box((9, 9, 9), (5, 5, 5), (8, 8, 8), value=7)
    found = overlap(fixed, warped)
    assert found["per_label"] == {1: {"dice": 1.0, "hd95_mm": 0.0}, 7: {"dice": 0.0, "hd95_mm": None}}
    assert (found["labels"], found["mean"], found["hd95_mm"]) == (2, 0.5, 0.0)
    assert overlap(fixed, warped, [1, 99])["labels"] == 1
    with pytest.raises(InputError, match="none of the labels"):
        overlap(fixed, warped, [99])


def test_cropping_does_not_change_the_surface_distance():
    rng = np.random.default_rng(0)
    noise = [sitk.GetImageFromArray(rng.normal(size=(18, 22, 26))) for _ in range(2)]
    a, b = (sitk.Cast(sitk.SmoothingRecursiveGaussian(n, 2.0) > 0.02, sitk.sitkUInt8) for n in noise)
    assert overlap(a, b)["hd95_mm"] == pytest.approx(surface_distance_95(a, b))


def test_error_of_a_translation_is_its_length():
    here = Landmarks(np.array([[0.0, 0, 0], [10, 20, 30], [5, 5, 5]]), ("a", "b", "b"))
    there = Landmarks(here.points + [3.0, 4.0, 0.0], here.regions)
    found = target_registration_error(IDENTITY, here, there)
    assert found["all"]["mean"] == found["b"]["max"] == pytest.approx(5)
    assert (found["all"]["n"], found["a"]["n"], found["b"]["n"]) == (3, 1, 2)
    moved = target_registration_error(sitk.TranslationTransform(3, (3.0, 4.0, 0.0)), here, there)
    assert moved["all"]["max"] == pytest.approx(0, abs=1e-12)


def test_agrees_with_the_independent_scorer(shared_folder, tmp_path):
    phantom = make_phantom((24, 28, 36))
    paths = write_phantom(phantom, tmp_path)
    rough = tmp_path / "rough.h5"
    rng = np.random.default_rng(5)
    grid = phantom.fixed
    vectors = sitk.GetImageFromArray(rng.normal(scale=8.0, size=(*grid.GetSize()[::-1], 3)), isVector=True)
    vectors.CopyInformation(grid)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(vectors), str(rough))
    for transform in (paths["transform"], rough):
        expected = score(shared_folder, paths, transform)
        found = evaluate(
            sitk.ReadImage(str(paths["fixed"])),
            sitk.ReadTransform(str(transform)),
            landmarks=(read_landmarks(paths["fixed_landmarks"]), read_landmarks(paths["moving_landmarks"])),
            labels=(sitk.ReadImage(str(paths["fixed_labels"])), sitk.ReadImage(str(paths["moving_labels"]))),
        )
        for region, values in expected["tre_mm"].items():
            assert found["tre_mm"][region] == pytest.approx(values, abs=1e-9)
        for key in ("labels", "mean", "p5"):
            assert found["dice"][key] == pytest.approx(expected["dice"][key])
        for key in ("folds_percent", "jacobian_min", "jacobian_max", "sdlogj", "sdlogj_l2r"):
            assert found[key] == pytest.approx(expected[key], abs=1e-9), key
        assert len(expected["tre_mm"]) == len(found["tre_mm"]) > 5
    assert expected["folds_percent"] > 1


def score(shared_folder, paths, transform):
    arguments = ["--fixed", paths["fixed"], "--transform", transform]
    arguments += ["--landmarks", paths["fixed_landmarks"], paths["moving_landmarks"]]
    arguments += ["--labels", paths["fixed_labels"], paths["moving_labels"]]
    script = shared_folder / "score" / "score.py"
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_agrees_with_the_scorer_on_a_real_pair(shared_folder):
    folder = shared_folder / "data" / "liver_mr"
    files = [folder / "fixed_landmarks.csv", folder / "moving_phase6_landmarks.csv"]
    found = evaluate(
        sitk.ReadImage(str(folder / "fixed.nii.gz")), IDENTITY, landmarks=tuple(map(read_landmarks, files))
    )
    assert found["tre_mm"]["liver"]["mean"] == pytest.approx(6.14, abs=0.005)
    assert found["tre_mm"]["outside"]["mean"] == pytest.approx(4.40, abs=0.005)
    assert (found["folds"], found["sdlogj"], found["jacobian_min"]) == (0, 0, 1)


def test_anisotropic_oblique_scaling_has_its_determinant():
    image = sitk.Image([9, 8, 7], sitk.sitkUInt8)
    image.SetSpacing((0.7, 1.9, 5.0))
    tilt = np.array(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.5, 0.9).GetMatrix()).reshape(3, 3)
    image.SetDirection((tilt @ np.diag([1, -1, 1])).ravel().tolist())
    scaling = sitk.AffineTransform(3)
    scaling.SetMatrix((1.1, 0.2, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 1.3))
    found = evaluate(image, scaling)
    assert found["jacobian_min"] == pytest.approx(1.1 * 0.9 * 1.3) == pytest.approx(found["jacobian_max"])


POINTS = st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(POINTS, st.sampled_from(["LPS", "RAS"]))
def test_every_format_gives_the_same_points(tmp_path_factory, points, system):
    folder = tmp_path_factory.mktemp("points")
    expected = np.array(points)
    own = expected * ([1, 1, 1] if system == "LPS" else [-1, -1, 1])
    write_landmarks(Landmarks(expected, tuple("liver" for _ in points)), folder / "a.csv")
    controls = [{"id": str(i), "position": p.tolist(), "positionStatus": "defined"} for i, p in enumerate(own)]
    controls.append({"id": "x", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"})
    markup = {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": controls}]}
    (folder / "b.mrk.json").write_text(json.dumps(markup))
    lines = ["# Markups fiducial file version = 5.0", f"# CoordinateSystem = {system}", "# columns = id,x,y,z,ow,ox"]
    lines += [f"vtk_{i},{p[0]!r},{p[1]!r},{p[2]!r},0,0,0,1,1,1,0,F-{i},," for i, p in enumerate(own.tolist())]
    (folder / "c.fcsv").write_text("\n".join(lines))
    assert read_landmarks(folder / "a.csv").regions == ("liver",) * len(points)
    for name, tolerance in (("a.csv", 1e-6), ("b.mrk.json", 0), ("c.fcsv", 0)):
        np.testing.assert_allclose(read_landmarks(folder / name).points, expected, atol=tolerance, rtol=0)


def test_old_fcsv_numbers_its_coordinate_system(tmp_path):
    for number, expected in (("0", [-1.0, -2.0, 3.0]), ("1", [1.0, 2.0, 3.0])):
        path = tmp_path / f"{number}.fcsv"
        path.write_text(f"# CoordinateSystem = {number}\nF,1,2,3\n")
        assert read_landmarks(path).points.tolist() == [expected]


BAD_FILES = {
    "columns.csv": "x,y,z\n1,2,3\n",
    "word.csv": "x_mm,y_mm,z_mm\n1,two,3\n",
    "short.csv": "x_mm,y_mm,z_mm\n1,2\n",
    "nan.csv": "x_mm,y_mm,z_mm\n1,nan,3\n",
    "empty.csv": "",
    "rows.csv": "x_mm,y_mm,z_mm\n",
    "broken.mrk.json": "{",
    "other.mrk.json": '{"markups": []}',
    "list.mrk.json": "[1, 2]",
    "two.mrk.json": '{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}',
    "none.mrk.json": '{"markups": [{"controlPoints": [{"position": null}]}]}',
    "system.mrk.json": '{"markups": [{"coordinateSystem": "XYZ", "controlPoints": []}]}',
    "short.fcsv": "F-1,2\n",
    "word.fcsv": "F-1,2,3,b\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_landmark_file_gives_one_line_that_names_it(tmp_path, name):
    path = tmp_path / name
    path.write_text(BAD_FILES[name])
    with pytest.raises(InputError) as caught:
        read_landmarks(path)
    assert name in caught.value.text and "\n" not in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("name", ["missing.csv", "folder.csv", "binary.csv"])
def test_what_is_no_text_file_is_refused(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match=name):
        read_landmarks(tmp_path / name)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["f.csv", "f.mrk.json", "f.fcsv"]))
def test_any_text_is_read_or_refused(tmp_path_factory, text, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_text(text, encoding="utf-8", errors="ignore")
    try:
        assert np.isfinite(read_landmarks(path).points).all()
    except InputError as error:
        assert "\n" not in error.text


def test_counts_that_differ_are_refused():
    one, two = (Landmarks(np.zeros((n, 3)), ("all",) * n) for n in (1, 2))
    with pytest.raises(InputError, match="1 fixed but 2 moving"):
        target_registration_error(IDENTITY, one, two)
