"""Fields of other programs: each kind's convention, through files; and a peer in its own process."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.benchmark.cases import Case, Program
from VoxelOptRegistrationLib.benchmark.peers import NAMES
from VoxelOptRegistrationLib.benchmark.peers.convert import read_field, to_transform
from VoxelOptRegistrationLib.benchmark.peers.run import prepare
from VoxelOptRegistrationLib.errors import ComputationError
from VoxelOptRegistrationLib.file_jobs import TruthFiles

ANGLE = 0.3
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, -1.0]])
"""A left-handed, oblique direction."""


def oblique(size: tuple[int, int, int] = (14, 12, 10)) -> sitk.Image:
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing((1.5, 2.0, 2.5))
    image.SetDirection(TURN.ravel().tolist())
    image.SetOrigin((-30.0, 12.0, 70.0))
    return image


def points_of(image: sitk.Image) -> np.ndarray:
    """Voxel centres, mm LPS, (Z, Y, X, 3)."""
    nx, ny, nz = image.GetSize()
    every = [image.TransformIndexToPhysicalPoint((x, y, z)) for z in range(nz) for y in range(ny) for x in range(nx)]
    return np.array(every).reshape(nz, ny, nx, 3)


def known(points: np.ndarray) -> np.ndarray:
    """A displacement in mm LPS that is linear in the point, so that trilinear interpolation is exact."""
    matrix = np.array([[0.02, -0.03, 0.01], [0.04, 0.01, -0.02], [-0.01, 0.02, 0.05]])
    return points @ matrix.T + np.array([1.0, -2.0, 3.0])


def write_as(peer: str, fixed: sitk.Image, folder: Path) -> Path:
    """`known` on the grid of `fixed` in the file that `peer` writes."""
    path = folder / importlib.import_module(f"VoxelOptRegistrationLib.benchmark.peers.{peer}").FIELD
    vectors = known(points_of(fixed))
    if path.suffix == ".npy":  # voxels along the array's axes (z, y, x): R^-1 u / spacing, the other way round
        voxels = vectors @ TURN / np.array(fixed.GetSpacing())
        np.save(path, voxels[..., ::-1])
    else:
        image = sitk.GetImageFromArray(vectors, isVector=True)
        image.CopyInformation(fixed)
        sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("peer", NAMES)
def test_a_closed_form_field_comes_back_from_every_kind_of_file(peer: str, tmp_path: Path) -> None:
    fixed = oblique()
    alignment = sitk.Euler3DTransform((5, 5, 5), 0.1, -0.2, 0.15, (3, -4, 8))
    transform = to_transform(read_field(write_as(peer, fixed, tmp_path), fixed), alignment)
    path = tmp_path / "transform.h5"
    sitk.WriteTransform(transform, str(path))
    back = sitk.ReadTransform(str(path))
    for index in ((0, 0, 0), (3.25, 4.5, 5.75), (13, 11, 9)):
        point = np.array(fixed.TransformContinuousIndexToPhysicalPoint(index))
        expected = alignment.TransformPoint((point + known(point)).tolist())
        assert back.TransformPoint(point.tolist()) == pytest.approx(expected, abs=1e-4)


def test_a_field_goes_on_beyond_its_outermost_voxels(tmp_path: Path) -> None:
    fixed = oblique()
    transform = to_transform(read_field(write_as("greedy", fixed, tmp_path), fixed), sitk.Transform(3, 0))
    corner = np.array(fixed.GetOrigin())
    outside = np.array(fixed.TransformContinuousIndexToPhysicalPoint((-0.4, -0.4, -0.4)))
    assert np.array(transform.TransformPoint(outside.tolist())) - outside == pytest.approx(known(corner), abs=1e-6)


def test_fields_that_cannot_be_scored_are_refused(tmp_path: Path) -> None:
    fixed = oblique()
    np.save(tmp_path / "field.npy", np.zeros((3, 4, 5, 3)))
    with pytest.raises(ComputationError, match="shape"):
        read_field(tmp_path / "field.npy", fixed)
    np.save(tmp_path / "field.npy", np.full((10, 12, 14, 3), np.nan))
    with pytest.raises(ComputationError, match="NaN"):
        read_field(tmp_path / "field.npy", fixed)
    sitk.WriteImage(fixed, str(tmp_path / "field.mha"))
    with pytest.raises(ComputationError, match="three components"):
        read_field(tmp_path / "field.mha", fixed)


def ball(image: sitk.Image, centre: np.ndarray, low: float = 0.0) -> sitk.Image:
    """A soft ball of 100 above `low` at `centre`, mm LPS, on the grid of `image`."""
    distance = np.linalg.norm(points_of(image) - centre, axis=-1)
    made = sitk.GetImageFromArray((low + 100 * np.exp(-((distance / 6) ** 2))).astype(np.float32))
    made.CopyInformation(image)
    return made


def test_volumes_are_prepared_on_one_grid_without_gaps(tmp_path: Path) -> None:
    fixed, moving = oblique((20, 18, 16)), sitk.Image((30, 30, 30), sitk.sitkFloat32)
    moving.SetSpacing((1.2, 1.3, 1.4))
    centre = points_of(fixed).mean(axis=(0, 1, 2))
    moving.SetOrigin((centre - 19).tolist())
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("fixed", "moving", "f", "m")}
    sitk.WriteImage(ball(fixed, centre), str(paths["fixed"]))
    gaps = ball(moving, centre, low=10.0)
    gaps[:4, :, :] = -2048.0
    sitk.WriteImage(gaps, str(paths["moving"]))
    case = Case("c", paths["fixed"], paths["moving"], TruthFiles(), peers_spacing_mm=1.5, background=-2048.0)
    alignment = prepare(case, paths["f"], paths["m"])
    assert alignment.TransformPoint((1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    f, m = (sitk.ReadImage(str(paths[name])) for name in ("f", "m"))
    assert f.GetSpacing() == pytest.approx((1.5, 1.5, 1.5), rel=0.02) and f.GetSize() == m.GetSize()
    extents = [np.array(image.GetSize()) * image.GetSpacing() for image in (f, fixed)]
    assert extents[0] == pytest.approx(extents[1], rel=1e-4)
    values = sitk.GetArrayFromImage(m)
    expected = sitk.GetArrayFromImage(ball(m, centre, low=10.0))
    # Linear interpolation between steps h is off by h^2 / 8 times the second derivative at most, on every axis.
    steepest = 2 * 100 / 6**2
    assert np.abs(values - expected).max() < steepest / 8 * sum(h**2 for h in moving.GetSpacing())


def test_peers_are_described() -> None:
    for name in NAMES:
        peer = importlib.import_module(f"VoxelOptRegistrationLib.benchmark.peers.{name}")
        assert peer.TITLE and peer.SETTINGS and peer.FIELD.startswith("field.") and callable(peer.register)
    assert Program("greedy", peer="greedy").options == ()
