"""Slices, colours and PNG files: orientation against physical space, aspect ratio, folds in a colour of their own."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.inspection.affine_motion import lengths_beyond_affine
from VoxelOptRegistrationLib.inspection.colours import FOLD, entropy_scale, jacobian_scale, length_scale
from VoxelOptRegistrationLib.inspection.pictures import LUNG, SOFT_TISSUE, display_window, draw_gallery
from VoxelOptRegistrationLib.inspection.places import densest, middle, peak, point
from VoxelOptRegistrationLib.inspection.planes import AXIAL, CORONAL, PLANES, SAGITTAL, AnatomicalAxes, square_pixels
from VoxelOptRegistrationLib.inspection.png import encode_png

SPACING = (0.8, 1.3, 4.0)
DIRECTIONS = [np.eye(3)[:, list(p)] * signs for p in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def volume(direction, size=(6, 7, 8)):
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(SPACING)
    image.SetDirection(np.asarray(direction, float).ravel().tolist())
    image.SetOrigin((-11.0, 7.0, 3.0))
    return image


def coordinate(image, axis):
    """The L, P or S coordinate of every voxel (Z, Y, X)."""
    nx, ny, nz = image.GetSize()
    z, y, x = np.mgrid[:nz, :ny, :nx]
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(SPACING)
    return image.GetOrigin()[axis] + matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2] * z


@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda d: "".join("LPS"[np.argmax(abs(c))] for c in d.T))
@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_slices_lie_as_the_letters_say(direction, tilt):
    oblique = np.array(sitk.Euler3DTransform((0, 0, 0), tilt, -tilt, tilt).GetMatrix()).reshape(3, 3)
    image = volume(oblique @ direction)
    axes = AnatomicalAxes.of(image)
    towards = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    for plane in PLANES:
        left, right, top, bottom = plane.letters
        for letter, axis, last in ((right, 1, True), (left, 1, False), (bottom, 0, True), (top, 0, False)):
            world, sign = towards[letter]
            cut = axes.slice(coordinate(image, world) * sign, plane, (1, 1, 1))
            step = np.diff(cut, axis=axis)
            assert np.all(step > 0) if last else np.all(step < 0)
        assert plane.name in ("axial", "coronal", "sagittal")


def test_pixels_have_the_spacing_of_their_axes():
    axes = AnatomicalAxes.of(volume(np.eye(3)))
    assert axes.pixel_mm(AXIAL) == (1.3, 0.8)
    assert axes.pixel_mm(CORONAL) == (4.0, 0.8)
    assert axes.pixel_mm(SAGITTAL) == (4.0, 1.3)


def test_thick_slices_are_shown_at_their_true_height():
    assert square_pixels(np.zeros((27, 152)), (5.0, 1.25)).shape == (108, 152)
    assert square_pixels(np.zeros((1000, 2000)), (0.5, 0.5)).shape == (200, 400)
    assert square_pixels(np.zeros((1, 50)), (10.0, 1.0)).shape == (10, 50)


def test_resampling_to_square_pixels_keeps_ramps_and_labels():
    ramp = np.arange(20.0)[:, None] * np.ones((1, 30))
    shown = square_pixels(ramp, (4.0, 1.0))
    inside = shown[2:-2, 0]
    np.testing.assert_allclose(np.diff(inside), 0.25, atol=1e-5)
    assert (shown.min(), shown.max()) == (0, 19)
    marks = np.random.default_rng(0).random((9, 9)) < 0.3
    nearest = square_pixels(marks, (3.0, 1.0), smooth=False)
    assert nearest.dtype == bool and nearest.mean() == pytest.approx(marks.mean(), abs=1e-9)


@pytest.mark.parametrize("shape", [(5, 7), (31, 12, 3), (1, 1), (1, 9, 3)])
def test_png_reads_back_as_written(tmp_path, shape):
    pixels = np.random.default_rng(1).integers(0, 256, size=shape, dtype=np.uint8)
    path = tmp_path / "picture.png"
    path.write_bytes(encode_png(pixels))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).reshape(shape), pixels)


def test_scales_leave_the_unremarkable_clear():
    grey = np.full((1, 3), 77, np.uint8)
    assert np.all(jacobian_scale().lay_over(grey, np.ones((1, 3))) == 77)
    assert np.all(entropy_scale().lay_over(grey, np.zeros((1, 3))) == 77)
    assert np.all(length_scale(3).lay_over(grey, np.full((1, 3), 2.0), np.zeros((1, 3), bool)) == 77)


def test_jacobian_scale_is_symmetric_in_ratios_and_its_ends_differ_in_hue():
    scale = jacobian_scale()
    np.testing.assert_allclose(
        scale.position(np.array([0.5, 1 / 1.3, 1, 1.3, 2, 9, -1])), [0, 0.31074, 0.5, 0.68926, 1, 1, 0], atol=1e-4
    )
    red, _, blue = scale.lay_over(np.zeros((1, 2), np.uint8), np.array([[0.5, 2.0]]))[0].T.astype(int)
    assert blue[0] > red[0] and red[1] > blue[1]
    assert scale.high * scale.low == 1 and 1.0 in scale.ticks


@pytest.mark.parametrize(("longest", "end"), [(0.0, 0.1), (3.2, 4), (4.0, 4), (8.1, 10), (41, 60)])
def test_length_scale_ends_at_a_round_number(longest, end):
    assert length_scale(longest).high == pytest.approx(end)


def test_affine_motion_has_no_length_beyond_itself():
    rng = np.random.default_rng(3)
    z, y, x = np.mgrid[:9, :10, :11]
    affine = np.stack([z, y, x], axis=-1) @ rng.normal(size=(3, 3)) + rng.normal(size=3)
    assert lengths_beyond_affine(affine).max() < 1e-4
    bump = affine.copy()
    bump[4, 5, 5] += [0.0, 3.0, 4.0]
    rest = lengths_beyond_affine(bump)
    assert rest[4, 5, 5] == pytest.approx(5, rel=0.01)
    assert np.median(rest) < 0.05


@pytest.mark.parametrize("direction", DIRECTIONS[::5])
def test_places_are_found_in_any_orientation(direction):
    image = volume(direction, (40, 36, 12))
    axes = AnatomicalAxes.of(image)
    body = np.zeros((12, 36, 40), bool)
    body[2:10, 4:30, 6:34] = True
    entropy = np.full(body.shape, 0.2)
    entropy[5, 10:22, 12:26] = 0.9
    entropy[:, :3] = 1.0
    index = image.TransformPhysicalPointToIndex(point(image, axes, peak(axes, entropy, body)))
    assert entropy[index[::-1]] == 0.9
    folds = np.zeros(body.shape, bool)
    folds[7, 20, 11:14] = folds[2, 5, 30] = True
    index = image.TransformPhysicalPointToIndex(point(image, axes, densest(axes, folds)))
    assert folds[index[::-1]]
    far_side = np.zeros(body.shape, bool)
    far_side[11, 35, 39] = True
    index = image.TransformPhysicalPointToIndex(point(image, axes, densest(axes, far_side)))
    assert index == (39, 35, 11)
    index = image.TransformPhysicalPointToIndex(point(image, axes, middle(axes, body)))
    np.testing.assert_allclose(index, (19.5, 16.5, 5.5), atol=0.51)


def test_windows_follow_the_kind_of_scan():
    rng = np.random.default_rng(0)
    body = np.zeros((20, 20, 20), bool)
    body[4:16, 4:16, 4:16] = True
    ct = np.where(body, rng.normal(40, 60, body.shape), -1000)
    assert display_window(ct, body) == SOFT_TISSUE
    ct[5:12, 5:15, 5:15] = -850
    assert display_window(ct, body) == LUNG
    mr = np.where(body, rng.uniform(100, 900, body.shape), 0)
    low, high = display_window(mr, body)
    assert 100 < low < 120 and 880 < high < 900
    assert display_window(np.full(body.shape, 7.0), body) == (7, 8)
    assert display_window(np.full(body.shape, np.nan), body) == (0, 1)


def test_gallery_shows_folds_in_their_own_colour_at_the_true_aspect(tmp_path):
    z, y, x = np.mgrid[:14, :40, :40]
    scan = np.where(np.hypot(y - 20, x - 20) < 15, 40.0 + 3 * x, -1000.0).astype(np.float32)
    image = sitk.GetImageFromArray(scan)
    image.SetSpacing((1.0, 1.0, 5.0))
    jacobian = np.ones(scan.shape, np.float32)
    jacobian[6, 18:22, 18:22] = -0.5
    gallery = draw_gallery(image, image, image, np.zeros((*scan.shape, 3)), jacobian, np.full(scan.shape, 0.5))
    titles = [place.title for place in gallery.places]
    assert titles[0] == "Middle of the body" and titles[2] == "Where the deformation folds"
    assert gallery.window == SOFT_TISSUE
    assert len(gallery.places[0].views[0].pictures) == 10
    for view in gallery.places[2].views:
        picture = decode(view.pictures["jacobian"], tmp_path)
        assert np.all(picture == FOLD, axis=-1).any()
        width, height = view.extent_mm
        assert picture.shape[1] / picture.shape[0] == pytest.approx(width / height, rel=0.02)
        assert not np.all(decode(view.pictures["fixed"], tmp_path)[..., None] == FOLD, axis=-1).any()
    middle_view = gallery.places[0].views[0].pictures
    assert np.all(decode(middle_view["difference after"], tmp_path) == 128)
    np.testing.assert_array_equal(
        decode(middle_view["checkerboard after"], tmp_path), decode(middle_view["fixed"], tmp_path)
    )


def decode(png, folder):
    path = folder / "decoded.png"
    path.write_bytes(png)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
