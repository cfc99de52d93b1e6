"""Arrays through files: what is written is what is read, or there is an error and no file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from VoxelOptRegistrationLib.errors import ComputationError, InputError
from VoxelOptRegistrationLib.worker.arrays import map_array, take_array, write_array
from VoxelOptRegistrationLib.worker.data import ImageData, RegistrationRequest

TYPES = ["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8", "<f2", "<f4", ">f4", "<f8"]
arrays = st.sampled_from(TYPES).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=3, max_dims=4)))


@given(arrays, st.permutations(range(3)), st.booleans())
def test_any_array_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, order: list[int], flip: bool
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    array = array.transpose(*order, *range(3, array.ndim))
    array = array[::-1] if flip else array
    image = write_array(folder, "volume", array, np.eye(4))
    mapped = map_array(folder, image.array)
    assert np.array_equal(mapped, array, equal_nan=array.dtype.kind == "f")
    assert not mapped.flags.writeable
    del mapped
    taken = take_array(folder, image.array)
    assert np.array_equal(taken, array, equal_nan=array.dtype.kind == "f") and taken.flags.writeable
    assert list(folder.iterdir()) == []


def test_truncated_or_missing_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    image = write_array(tmp_path, "volume", np.zeros((4, 5, 6), np.int16), np.eye(4))
    (tmp_path / "volume").write_bytes(b"\0" * 239)
    with pytest.raises(ComputationError, match="should hold 240 bytes and holds 239"):
        map_array(tmp_path, image.array)
    (tmp_path / "volume").unlink()
    with pytest.raises(ComputationError, match="should hold 240"):
        take_array(tmp_path, image.array)


def test_a_file_that_cannot_be_deleted_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use by another program", str(path))

    image = write_array(tmp_path, "volume", np.arange(120.0).reshape(4, 5, 6), np.eye(4))
    monkeypatch.setattr(Path, "unlink", held)
    taken = take_array(tmp_path, image.array)
    (tmp_path / "volume").write_bytes(b"\0" * 960)
    assert np.array_equal(taken.ravel(), np.arange(120.0)) and taken.flags.writeable


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_file_that_cannot_be_written_whole_is_removed(tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ComputationError, match="could not be written.*Free some space") as caught:
            write_array(tmp_path, "volume", np.zeros((4, 5, 6)), np.eye(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.kind == "disk" and list(tmp_path.iterdir()) == []


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "volume").write_text("mine")
    with pytest.raises(ComputationError):
        write_array(tmp_path, "volume", np.zeros((4, 5, 6)), np.eye(4))
    assert (tmp_path / "volume").read_text() == "mine"


@pytest.mark.parametrize(
    ("array", "matrix", "words"),
    [
        (np.zeros((4, 5)), np.eye(4), "not a volume"),
        (np.zeros((2, 4, 5, 4)), np.eye(4), "not a volume"),
        (np.zeros((0, 4, 5)), np.eye(4), "not a volume"),
        (np.zeros((3, 4, 5), complex), np.eye(4), "complex128 are not supported"),
        (np.full((3, 4, 5), "x"), np.eye(4), "not supported"),
        (np.zeros((3, 4, 5)), np.eye(3), "not a 4 x 4 affine"),
        (np.zeros((3, 4, 5)), np.full((4, 4), np.nan), "not a 4 x 4 affine"),
        (np.zeros((3, 4, 5)), np.diag([1, 1, 1, 2]), "not a 4 x 4 affine"),
        (np.zeros((3, 4, 5)), np.diag([1, 0, 1, 1]), "flat"),
        (np.zeros((3, 4, 5)), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "flat"),
    ],
)
def test_what_is_no_volume_is_refused(array: np.ndarray, matrix: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        ImageData(array, matrix)
    assert caught.value.remedy


def test_request_refuses_vectors_for_scalars_and_the_reverse() -> None:
    scalar, vector = ImageData(np.zeros((3, 4, 5)), np.eye(4)), ImageData(np.zeros((3, 4, 5, 3)), np.eye(4))
    with pytest.raises(InputError, match="moving holds vectors"):
        RegistrationRequest(scalar, vector)
    with pytest.raises(InputError, match="fixed mask holds vectors"):
        RegistrationRequest(scalar, scalar, fixed_mask=vector)
    with pytest.raises(InputError, match="holds no vectors"):
        RegistrationRequest(scalar, scalar, initial=scalar)
    with pytest.raises(InputError, match="initial transform is not a 4 x 4"):
        RegistrationRequest(scalar, scalar, initial=np.zeros((4, 4)))
