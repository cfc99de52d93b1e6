"""Described arrays become SimpleITK objects at the same place, checked by mapping points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.worker.arrays import ImageDescriptor, write_array
from VoxelOptRegistrationLib.worker.conversion import plain, read_image, read_request, write_image
from VoxelOptRegistrationLib.worker.protocol import Register

axes = hnp.arrays(np.float64, (3, 3), elements=st.floats(-4, 4, width=32))
origins = hnp.arrays(np.float64, 3, elements=st.floats(-500, 500, width=32))


@given(axes, origins, st.tuples(*[st.floats(0, 5)] * 3))
def test_geometry_survives_oblique_flipped_and_sheared(
    tmp_path_factory: pytest.TempPathFactory, axis: np.ndarray, origin: np.ndarray, index: tuple[float, float, float]
) -> None:
    assume(np.linalg.norm(axis, axis=0).min() > 0.1)
    assume(abs(np.linalg.det(axis / np.linalg.norm(axis, axis=0))) > 0.05)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axis, origin
    folder = tmp_path_factory.mktemp("images")
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = read_image(folder, "fixed", write_array(folder, "fixed", array, matrix))
    assert image.GetPixelID() == sitk.sitkInt16 and image.GetPixel(4, 3, 2) == 59 and image.GetPixel(1, 0, 0) == 1
    there = image.TransformContinuousIndexToPhysicalPoint(index)
    assert there == pytest.approx((matrix @ (*index, 1))[:3], abs=1e-9)
    assert np.allclose(write_image(folder, "again", image).matrix, matrix, atol=1e-9)


def test_flat_geometry_is_the_inputs_fault(tmp_path: Path) -> None:
    described = write_array(tmp_path, "fixed", np.zeros((3, 4, 5), np.int16), np.eye(4))
    for flat in (np.diag([1.0, 1, 0, 1]), np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])):
        with pytest.raises(InputError, match="geometry of fixed mask cannot be used"):
            read_image(tmp_path, "fixed_mask", ImageDescriptor(described.array, tuple(flat.ravel())))


@given(axes, origins, origins)
def test_initial_matrix_maps_points(
    tmp_path_factory: pytest.TempPathFactory, axis: np.ndarray, offset: np.ndarray, point: np.ndarray
) -> None:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axis, offset
    message = Register(1, "f", {}, matrix=matrix.ravel().tolist())
    transform = read_request(tmp_path_factory.getbasetemp(), message).initial_transform
    assert transform is not None
    assert transform.TransformPoint(point.tolist()) == pytest.approx(axis @ point + offset, abs=1e-6)


def test_initial_displacement_maps_points_on_an_oblique_grid(tmp_path: Path) -> None:
    matrix = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    field = np.random.default_rng(1).normal(size=(3, 4, 5, 3)).astype(np.float32)
    described = write_array(tmp_path, "initial", field, matrix)
    volumes = read_request(tmp_path, Register(1, "f", {"initial": described}))
    assert volumes.images == {} and volumes.initial_transform is not None
    for x, y, z in ((0, 0, 0), (4, 3, 2), (2, 1, 1)):
        point = (matrix @ (x, y, z, 1))[:3]
        there = volumes.initial_transform.TransformPoint(point.tolist())
        assert there == pytest.approx(point + field[z, y, x], abs=1e-6)


def test_report_becomes_plain_json() -> None:
    report = {
        "number": np.float32(0.5),
        "flag": np.bool_(True),
        "list": (np.int64(3), float("inf")),
        "array": np.array([1.0, np.nan]),
        "path": Path("a"),
        4: None,
    }
    assert plain(report) == {
        "number": 0.5,
        "flag": True,
        "list": [3, None],
        "array": [1.0, None],
        "path": "a",
        "4": None,
    }
