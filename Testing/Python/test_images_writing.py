"""The output folder appears whole or not at all, and a full disk is an error before it is a broken file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VoxelOptRegistrationLib.errors import ComputationError, InputError
from VoxelOptRegistrationLib.images.writing import OutputFolder, write_image, write_transform

resource = pytest.importorskip("resource", reason="file size limits, which stand for a full disk, are POSIX")
IMAGE = sitk.GetImageFromArray(np.random.default_rng(0).random((20, 20, 20)).astype(np.float32))


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files_appear_together_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "made" / "on the way" / "result"
    with OutputFolder(target) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists()
    assert contents(tmp_path) == {"made/on the way/result/a.txt": "a"}
    assert (target.stat().st_mode & 0o777) == (tmp_path / "made").stat().st_mode & 0o777


def test_existing_folder_gets_new_files_and_keeps_others(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.mkdir()
    (target / "a.txt").write_text("old")
    (target / "notes.txt").write_text("mine")
    with OutputFolder(target) as folder:
        (folder / "a.txt").write_text("new")
        assert (target / "a.txt").read_text() == "old"
    assert contents(tmp_path) == {"result/a.txt": "new", "result/notes.txt": "mine"}


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt()])
def test_failure_leaves_everything_as_it_was(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "result"
    target.mkdir()
    (target / "a.txt").write_text("old")
    with pytest.raises(type(failure)), OutputFolder(target) as folder:
        (folder / "a.txt").write_text("new")
        raise failure
    with pytest.raises(type(failure)), OutputFolder(tmp_path / "new" / "deep") as folder:
        (folder / "a.txt").write_text("new")
        raise failure
    assert contents(tmp_path) == {"result/a.txt": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("target", ["/proc/result", "/dev/null/result", "file/result", "file"])
def test_folder_that_cannot_be_written_to(tmp_path: Path, target: str) -> None:
    """Also as root, for whom permissions mean nothing."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError) as caught, OutputFolder(tmp_path / target):
        pytest.fail("the folder was opened")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / target) in caught.value.text
    assert caught.value.remedy
    assert contents(tmp_path) == {"file": "mine"}


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in (Path("here"), Path("~/there")):
        with OutputFolder(path) as folder:
            (folder / "a.txt").write_text("a")
    assert set(contents(tmp_path)) == {"here/a.txt", "home/there/a.txt"}


def run_with_little_space(code: str, folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process that cannot write files above `limit` bytes, as on a full disk."""

    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    header = """
        import signal, sys
        from pathlib import Path
        import numpy as np, SimpleITK as sitk
        from VoxelOptRegistrationLib.errors import RegistrationError
        from VoxelOptRegistrationLib.images.writing import OutputFolder, write_image, write_transform
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        folder = Path(sys.argv[1])
        noise = np.random.default_rng(0).random((40, 40, 40, 3))
    """
    module = Path(__file__).resolve().parents[2] / "VoxelOptRegistration"
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(header) + textwrap.dedent(code), str(folder)],
        env={**os.environ, "PYTHONPATH": str(module)},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=shrink,
    )


@pytest.mark.parametrize(
    "write",
    [
        "write_image(sitk.GetImageFromArray(noise[..., 0]), folder / 'x.nii.gz')",
        "write_image(sitk.GetImageFromArray(noise[..., 0]), folder / 'x.nii')",
        "write_image(sitk.GetImageFromArray(noise[..., 0]), folder / 'x.mha')",
        "write_transform(sitk.DisplacementFieldTransform(sitk.GetImageFromArray(noise, isVector=True)), "
        "folder / 'x.h5')",
        "write_transform(sitk.DisplacementFieldTransform(sitk.GetImageFromArray(noise, isVector=True)), "
        "folder / 'x.tfm')",
    ],
)
def test_full_disk_is_one_line_and_leaves_no_file(tmp_path: Path, write: str) -> None:
    """ITK cuts NIfTI and text files short without a word, and its HDF5 ends the process: neither may happen."""
    code = f"""
        try:
            {write}
        except RegistrationError as error:
            print(type(error).__name__, error)
    """
    done = run_with_little_space(code, tmp_path, 100_000)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("ComputationError")
    assert "x." in done.stdout
    assert "Free some space" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_full_disk_in_the_middle_leaves_the_earlier_result(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.mkdir()
    (target / "report.json").write_text("earlier")
    code = """
        try:
            with OutputFolder(folder / "result") as out:
                (out / "report.json").write_text("half")
                (out / "big.txt").write_bytes(bytes(200_000))
        except RegistrationError as error:
            print(type(error).__name__, error)
    """
    done = run_with_little_space(code, tmp_path, 100_000)
    assert done.stdout.startswith("ComputationError"), done.stderr
    assert contents(tmp_path) == {"result/report.json": "earlier"}


def test_space_is_checked_before_a_long_computation(tmp_path: Path) -> None:
    code = """
        try:
            with OutputFolder(folder / "result", expected_bytes=1_000_000):
                print("computing for nothing")
        except RegistrationError as error:
            print(type(error).__name__)
    """
    done = run_with_little_space(code, tmp_path, 100_000)
    assert done.stdout == "ComputationError\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_written_images_and_transforms_are_whole(tmp_path: Path) -> None:
    image = sitk.Image(IMAGE)
    image.SetSpacing((0.7, 0.8, 3.0))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    image.SetOrigin((-12.5, 30.25, 7))
    for name in ("a.nii.gz", "a.nii", "a.mha", "a.nrrd"):
        write_image(image, tmp_path / name)
        again = sitk.ReadImage(str(tmp_path / name))
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
        np.testing.assert_allclose(again.GetDirection(), image.GetDirection(), atol=1e-6)
        np.testing.assert_allclose(again.GetOrigin(), image.GetOrigin(), atol=1e-5)
    turn = sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6))
    write_transform(turn, tmp_path / "t.tfm")
    assert sitk.ReadTransform(str(tmp_path / "t.tfm")).TransformPoint((7, 8, 9)) == pytest.approx(
        turn.TransformPoint((7, 8, 9))
    )


def test_sheared_axes_are_refused_where_nifti_would_straighten_them(tmp_path: Path) -> None:
    image = sitk.Image(IMAGE)
    image.SetDirection((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(InputError, match="right angles"):
        write_image(image, tmp_path / "a.nii.gz")
    write_image(image, tmp_path / "a.mha")
    np.testing.assert_allclose(sitk.ReadImage(str(tmp_path / "a.mha")).GetDirection(), image.GetDirection())


def test_folder_that_vanishes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises((InputError, ComputationError)) as caught:
        write_image(IMAGE, tmp_path / "gone" / "a.nii.gz")
    assert "\n" not in str(caught.value)
