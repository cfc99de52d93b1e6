"""Pre-alignment: what it finds on volumes whose displacement is known, and that it does no harm."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from images_strategies import apply, voxel_centres
from VoxelOptRegistrationLib.errors import Cancelled, InputError
from VoxelOptRegistrationLib.images.alignment import POOR_FIT, AlignmentResult, prealign
from VoxelOptRegistrationLib.images.displacement import displacement_transform
from VoxelOptRegistrationLib.images.grid import Grid
from VoxelOptRegistrationLib.images.transforms import affine_matrix
from VoxelOptRegistrationLib.options import Alignment
from VoxelOptRegistrationLib.phantom import make_phantom
from VoxelOptRegistrationLib.progress import Watcher

BLOBS = np.random.default_rng(3)
CENTRES = BLOBS.normal(0, 22, (40, 3))
WIDTHS = BLOBS.uniform(4, 11, 40)
HEIGHTS = BLOBS.uniform(-500, 900, 40)
INSIDE = BLOBS.normal(0, 18, (60, 3))


def anatomy(points: np.ndarray) -> np.ndarray:
    """A body of 45 x 35 x 55 mm half axes in air, with organs; HU at points (..., 3) mm."""
    radius = np.sqrt(((points / [45.0, 35.0, 55.0]) ** 2).sum(-1))
    body = 1 / (1 + np.exp((radius - 1) * 25))
    organs = sum(
        height * np.exp(-((points - centre) ** 2).sum(-1) / (2 * width**2))
        for centre, width, height in zip(CENTRES, WIDTHS, HEIGHTS, strict=True)
    )
    return -1000 + body * (1000 + organs)


def grid(
    size_zyx: tuple[int, int, int] = (28, 24, 26),
    spacing: tuple[float, float, float] = (5.0, 4.5, 5.0),
    direction: np.ndarray | None = None,
    centre: tuple[float, float, float] = (0, 0, 0),
) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if direction is None else direction) * np.array(spacing)
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(size_zyx[::-1]) - 1) / 2)
    return Grid(size_zyx, matrix)


def render(where: Grid, to_anatomy: np.ndarray, seed: int = 0) -> sitk.Image:
    """The anatomy seen on a grid; `to_anatomy` maps its points (LPS mm) into the anatomy. Noise of 10 HU."""
    points = apply(to_anatomy, voxel_centres(where.to_reference_image()))
    noise = np.random.default_rng(seed).normal(0, 10, points.shape[:-1])
    return where.place(sitk.GetImageFromArray((anatomy(points) + noise).astype(np.float32)))


def rigid(axis: tuple[float, float, float], degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    turn = sitk.VersorRigid3DTransform(axis, float(np.deg2rad(degrees)))
    turn.SetTranslation(shift)
    matrix = affine_matrix(turn)
    assert matrix is not None
    return matrix


FIXED = render(grid(), np.eye(4))
HALF_A_VOXEL = 0.5 * min(FIXED.GetSpacing())
"""mm: nearer than this, voxels overlap with the right ones and the deformable step takes over."""
OBLIQUE = np.reshape(sitk.VersorTransform((0.3, 0.5, 1.0), 0.5).GetMatrix(), (3, 3)) * [1, 1, -1]


def error(result: AlignmentResult, truth: np.ndarray) -> float:
    """Mean distance, mm, between where points inside the body should go and where they go."""
    moved = np.array([result.transform.TransformPoint(p) for p in INSIDE.tolist()])
    return float(np.linalg.norm(moved - apply(truth, INSIDE), axis=1).mean())


@pytest.mark.parametrize(
    ("axis", "degrees", "shift"),
    [
        ((0, 0, 1), 6, (7, -5, 9)),
        ((1, 0.5, 0), 20, (-25, 20, 25)),
        ((0.3, -1, 0.4), -20, (0, 30, -26)),
    ],
)
def test_auto_finds_a_rigid_motion(
    axis: tuple[float, float, float], degrees: float, shift: tuple[float, float, float]
) -> None:
    """On an oblique left-handed moving grid of other spacing, up to 40 mm and 20 degrees away."""
    truth = rigid(axis, degrees, shift)
    centre = tuple(apply(truth, np.zeros(3)).tolist())
    where = grid((24, 32, 32), (4.2, 4.2, 5.4), OBLIQUE, (centre[0] + 8, centre[1], centre[2] - 6))
    result = prealign(FIXED, render(where, np.linalg.inv(truth), 1), Alignment.AUTO, background=None)
    assert error(result, truth) < HALF_A_VOXEL
    assert result.mode in (Alignment.RIGID, Alignment.AFFINE)
    assert result.similarity_after > result.similarity_before
    assert result.affine is not None


@pytest.mark.parametrize("seed", range(4))
def test_auto_finds_a_gross_misplacement_that_cuts_the_body(seed: int) -> None:
    """40 mm and 20 degrees about any axis, seen through the field of view of the fixed volume."""
    rng = np.random.default_rng(seed)
    axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    truth = rigid(tuple(axis.tolist()), 20, tuple((40 * direction).tolist()))
    result = prealign(FIXED, render(grid(), np.linalg.inv(truth), 1), Alignment.AUTO)
    assert error(result, truth) < HALF_A_VOXEL
    assert result.notes == ()


def test_a_poor_fit_is_told() -> None:
    """Another body altogether; the right one is not suspected."""
    rng = np.random.default_rng(11)
    points = voxel_centres(FIXED)
    values = sum(np.exp(-((points - c) ** 2).sum(-1) / (2 * 9.0**2)) for c in rng.normal(0, 35, (60, 3)))
    other = grid().place(sitk.GetImageFromArray((1000 * values).astype(np.float32)))
    for mode, remedy in ((Alignment.AUTO, "initial transform"), (Alignment.NONE, "auto")):
        result = prealign(FIXED, other, mode)
        told = [note for note in result.notes if "fit poorly" in note]
        assert len(told) == 1
        assert remedy in told[0]
        assert result.fit < POOR_FIT
    assert prealign(FIXED, render(grid(), np.eye(4), 5), Alignment.AUTO).notes == ()


def test_small_and_large_fields_of_view() -> None:
    """A small cut of the moved body against all of it, and the other way round."""
    truth = rigid((0, 0.4, 1), 8, (9, -7, 8))
    whole, part = grid(), grid((16, 14, 16), (4.5, 4.5, 4.5), centre=(12, 0, -6))
    inside = np.array([[12.0, 0, -6], [30, 10, -20], [-5, -12, 8], [14, 12, 10], [10, -14, -22]])
    for fixed_grid, moving_grid in ((part, whole), (whole, part)):
        result = prealign(render(fixed_grid, np.eye(4)), render(moving_grid, np.linalg.inv(truth), 1), Alignment.RIGID)
        moved = np.array([result.transform.TransformPoint(p) for p in inside.tolist()])
        assert np.linalg.norm(moved - apply(truth, inside), axis=1).mean() < HALF_A_VOXEL


def test_affine_finds_scale_and_shear() -> None:
    truth = rigid((0, 1, 0), 5, (10, -8, 6))
    truth[:3, :3] = truth[:3, :3] @ [[1.12, 0.05, 0], [0, 0.92, 0.04], [0, 0, 1.08]]
    moving = render(grid(), np.linalg.inv(truth), 1)
    affine = prealign(FIXED, moving, Alignment.AFFINE)
    assert affine.mode is Alignment.AFFINE
    assert error(affine, truth) < HALF_A_VOXEL
    assert error(affine, truth) < 0.75 * error(prealign(FIXED, moving, Alignment.RIGID), truth)


def test_contrast_may_be_inverted_and_bent() -> None:
    """As between CT and MR: air stays dark, bright organs turn dark."""
    truth = rigid((0, 0, 1), 10, (14, 9, -12))
    moving = render(grid(), np.linalg.inv(truth), 1)
    values = sitk.GetArrayFromImage(moving)
    other = np.where(values < -500, values + 1000, 900 * np.exp(-(((values + 150) / 250) ** 2))).astype(np.float32)
    image = grid().place(sitk.GetImageFromArray(other))
    assert error(prealign(FIXED, image, Alignment.AUTO), truth) < HALF_A_VOXEL


def test_same_position_is_left_exactly_alone() -> None:
    for moving in (FIXED, render(grid(), np.eye(4), 5), render(grid((30, 26, 24)), np.eye(4), 5)):
        result = prealign(FIXED, moving, Alignment.AUTO)
        assert result.mode is Alignment.NONE
        np.testing.assert_array_equal(result.affine, np.eye(4))
        assert result.similarity_after == result.similarity_before
    assert prealign(FIXED, FIXED, Alignment.AUTO).similarity_after == 1.0


def test_center_and_moments_do_what_they_say() -> None:
    shift = (30.0, -12.0, 18.0)
    moving = render(grid((24, 26, 29), centre=(55, 5, 25)), np.linalg.inv(rigid((0, 0, 1), 0, shift)), 1)
    centre = prealign(FIXED, moving, Alignment.CENTRE)
    assert centre.mode is Alignment.CENTRE
    np.testing.assert_allclose(centre.transform.TransformPoint((1.0, 2.0, 3.0)), (56, 7, 28), atol=0.5)
    moments = prealign(FIXED, moving, Alignment.MOMENTS)
    np.testing.assert_allclose(np.array(moments.transform.TransformPoint((1.0, 2.0, 3.0))) - (1, 2, 3), shift, atol=2)
    none = prealign(FIXED, moving, Alignment.NONE)
    assert none.transform.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)


def test_rigid_that_helps_nothing_says_so() -> None:
    result = prealign(FIXED, FIXED, Alignment.RIGID)
    assert result.mode is Alignment.NONE
    assert any("not better" in note for note in result.notes)


def test_the_same_every_time_and_for_any_number_of_threads() -> None:
    moving = render(grid(), np.linalg.inv(rigid((0, 0, 1), 8, (10, 9, -12))), 1)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    results = []
    try:
        for count in (1, 3, 3):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
            results.append(prealign(FIXED, moving, Alignment.AUTO).affine)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(results[1], results[2])


def scan_circle(image: sitk.Image, value: float, shift: float) -> sitk.Image:
    """`image` with `value` outside a cylinder through it, `shift` mm off its middle, as scanners pad."""
    points = voxel_centres(image)
    middle = points.reshape(-1, 3).mean(axis=0)
    away = np.hypot(points[..., 0] - middle[0] - shift, points[..., 1] - middle[1]) > 52
    values = sitk.GetArrayFromImage(image)
    values[away] = value
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


def test_padding_does_not_attract() -> None:
    truth = rigid((0, 0, 1), 4, (16, 0, 10))
    moving = render(grid(), np.linalg.inv(truth), 1)
    found = []
    for padding in (-2048.0, -30000.0):
        result = prealign(
            scan_circle(FIXED, padding, -6),
            scan_circle(moving, padding, -6),
            Alignment.AUTO,
            background=-2000.0,
        )
        assert error(result, truth) < HALF_A_VOXEL
        found.append(result.affine)
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_volumes_far_apart() -> None:
    truth = rigid((0, 0, 1), 0, (900, -700, 1500))
    moving = render(grid(centre=(905, -700, 1495)), np.linalg.inv(truth), 1)
    with pytest.raises(InputError, match="do not overlap after alignment") as caught:
        prealign(FIXED, moving, Alignment.NONE)
    assert "\n" not in str(caught.value)
    assert "auto" in caught.value.remedy
    result = prealign(FIXED, moving, Alignment.AUTO)
    assert error(result, truth) < HALF_A_VOXEL
    assert result.similarity_before == 0


def test_initial_transform_is_composed_not_ignored() -> None:
    truth = rigid((0, 0, 1), 35, (60, -50, 40))
    moving = render(grid(centre=(60, -50, 40)), np.linalg.inv(truth), 1)
    rough = sitk.VersorRigid3DTransform((0, 0.1, 1), np.deg2rad(30))
    rough.SetTranslation((52, -44, 47))
    alone = prealign(FIXED, moving, Alignment.NONE, initial=rough)
    assert alone.transform.TransformPoint((1.0, 2.0, 3.0)) == pytest.approx(rough.TransformPoint((1.0, 2.0, 3.0)))
    result = prealign(FIXED, moving, Alignment.AUTO, initial=rough)
    assert error(result, truth) < HALF_A_VOXEL
    moments = prealign(FIXED, moving, Alignment.MOMENTS, initial=rough)
    assert error(moments, truth) < error(alone, truth)


def test_the_class_of_a_linear_initial_transform_does_not_matter() -> None:
    pair = make_phantom((24, 28, 32))
    shift = (5.0, -8.0, 3.0)
    translation = sitk.TranslationTransform(3, shift)
    affine = sitk.AffineTransform(3)
    affine.SetTranslation(shift)
    composite = sitk.CompositeTransform([sitk.AffineTransform(3), translation])
    found = [
        prealign(pair.fixed, pair.moving, Alignment.AUTO, initial=initial).affine
        for initial in (translation, affine, composite)
    ]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)


def test_non_linear_initial_transform() -> None:
    """The moving anatomy is bent and then moved; given the bend, the alignment finds the motion."""
    motion = rigid((0, 1, 0), 7, (9, -6, 8))
    points = voxel_centres(FIXED)
    bend = 6 * np.sin(points[..., [1, 2, 0]] / 25)
    initial = displacement_transform(bend, Grid.of(FIXED))
    # fixed(p) = moving(initial(motion(p))): what moving shows at initial(q) is the anatomy at motion^-1(q).
    inner = FIXED
    field = sitk.InvertDisplacementField(
        sitk.TransformToDisplacementField(
            initial,
            sitk.sitkVectorFloat64,
            inner.GetSize(),
            inner.GetOrigin(),
            inner.GetSpacing(),
            inner.GetDirection(),
        ),
        maximumNumberOfIterations=50,
        maxErrorToleranceThreshold=0.01,
        meanErrorToleranceThreshold=0.001,
    )
    back = sitk.GetArrayFromImage(field) + points
    values = anatomy(apply(np.linalg.inv(motion), back)).astype(np.float32)
    moving = Grid.of(FIXED).place(sitk.GetImageFromArray(values))
    alone = prealign(FIXED, moving, Alignment.NONE, initial=initial)
    assert alone.affine is None
    result = prealign(FIXED, moving, Alignment.RIGID, initial=initial)
    inside = INSIDE[np.abs(INSIDE).max(axis=1) < 30]
    expected = np.array([initial.TransformPoint(q) for q in apply(motion, inside).tolist()])
    moved = np.array([result.transform.TransformPoint(p) for p in inside.tolist()])
    assert np.linalg.norm(moved - expected, axis=1).mean() < HALF_A_VOXEL
    # Near the border, too, neighbours stay neighbours: the bend goes on where its file ends.
    edge = np.linspace(-57, 57, 200)
    for axis in range(3):
        line = np.zeros((200, 3))
        line[:, axis] = edge
        line[:, (axis + 1) % 3] = 50
        mapped = np.array([result.transform.TransformPoint(p) for p in line.tolist()])
        assert np.linalg.norm(np.diff(mapped, axis=0), axis=1).max() < 3 * (edge[1] - edge[0])


def test_masks_say_what_to_align() -> None:
    """Two bodies that part: the alignment follows the one inside the masks."""
    where = grid((28, 26, 54))
    points = voxel_centres(where.to_reference_image())
    left = np.array([-60.0, 0, 0])

    def scene(shift_left: np.ndarray, shift_right: np.ndarray) -> sitk.Image:
        values = np.maximum(anatomy(points - left - shift_left), anatomy(points + left - shift_right))
        return where.place(sitk.GetImageFromArray(values.astype(np.float32)))

    def mask(middle: np.ndarray) -> sitk.Image:
        near = np.linalg.norm((points - middle) / [58, 50, 68], axis=-1) < 1
        return where.place(sitk.GetImageFromArray(near.astype(np.uint8)))

    fixed, moving = scene(np.zeros(3), np.zeros(3)), scene(np.array([0, 9.0, -12]), np.array([0, -6.0, 9]))
    for middle, shift in ((left, [0, 9, -12]), (-left, [0, -6, 9])):
        result = prealign(fixed, moving, Alignment.RIGID, fixed_mask=mask(middle), moving_mask=mask(middle + shift))
        moved = np.array(result.transform.TransformPoint(middle.tolist())) - middle
        np.testing.assert_allclose(moved, shift, atol=HALF_A_VOXEL)


def test_mask_without_data_is_one_line() -> None:
    padded = scan_circle(FIXED, -2048.0, 0)
    corner = sitk.Image(FIXED.GetSize(), sitk.sitkUInt8)
    corner.CopyInformation(FIXED)
    corner[0:3, 0:3, 0:3] = 1
    with pytest.raises(InputError, match="no data inside its mask") as caught:
        prealign(padded, FIXED, Alignment.AUTO, fixed_mask=corner, background=-2000.0)
    assert "fixed volume" in caught.value.text
    assert "\n" not in str(caught.value)


def test_cancel_between_two_attempts() -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        prealign(FIXED, FIXED, Alignment.AUTO, watcher=Watcher(cancelled=cancelled))


# Real scans


def dice(transform: sitk.Transform, fixed: sitk.Image, moving: sitk.Image, labels: list[int]) -> float:
    warped = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor))
    truth = sitk.GetArrayFromImage(fixed)
    return float(
        np.mean([2 * np.sum((truth == n) & (warped == n)) / np.sum((truth == n) + (warped == n) * 1.0) for n in labels])
    )


def landmarks(path: Path) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array([[float(row[k]) for k in ("x_mm", "y_mm", "z_mm")] for row in csv.DictReader(file)])


def test_lungs_of_two_breaths_are_brought_together(shared_folder: Path) -> None:
    folder = shared_folder / "data" / "lung_ct"
    fixed, moving, fixed_lung, moving_lung = (
        sitk.ReadImage(str(folder / f"{name}.nii.gz"))
        for name in ("fixed", "moving", "fixed_lung_mask", "moving_lung_mask")
    )
    result = prealign(fixed, moving, Alignment.AUTO, background=-2000.0)
    identity = sitk.Transform(3, sitk.sitkIdentity)
    assert dice(identity, fixed_lung, moving_lung, [1]) < 0.75
    assert dice(result.transform, fixed_lung, moving_lung, [1]) > 0.9


@pytest.mark.parametrize("phase", [6, 9])
def test_liver_landmarks_come_closer(shared_folder: Path, phase: int) -> None:
    folder = shared_folder / "data" / "liver_mr"
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in ("fixed", f"moving_phase{phase}"))
    result = prealign(fixed, moving, Alignment.AUTO)
    source, target = (
        landmarks(folder / name) for name in ("fixed_landmarks.csv", f"moving_phase{phase}_landmarks.csv")
    )
    moved = np.array([result.transform.TransformPoint(p) for p in source.tolist()])
    before = np.linalg.norm(source - target, axis=1).mean()
    assert np.linalg.norm(moved - target, axis=1).mean() < 0.7 * before


def test_aligned_brains_are_not_made_worse(shared_folder: Path) -> None:
    folder = shared_folder / "data" / "brain_t1"
    fixed, moving, fixed_labels, moving_labels = (
        sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in ("fixed", "moving", "fixed_labels", "moving_labels")
    )
    scored = [int(n) for n in (folder / "scored_labels.txt").read_text().split()]
    result = prealign(fixed, moving, Alignment.AUTO)
    before = dice(sitk.Transform(3, sitk.sitkIdentity), fixed_labels, moving_labels, scored)
    assert dice(result.transform, fixed_labels, moving_labels, scored) >= before
