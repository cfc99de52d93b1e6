"""Bad input through the command: one clear line on stderr, the right exit code, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Command
from VoxelOptRegistrationLib.cli import main
from VoxelOptRegistrationLib.kernels.runtime import SWITCH
from VoxelOptRegistrationLib.memory_plan import USABLE_SHARE, predict
from VoxelOptRegistrationLib.memory_terms import COMPUTED, Sizes
from VoxelOptRegistrationLib.presets import load_preset

RNG = np.random.default_rng(1)
NOISE = RNG.normal(size=(16, 16, 16)).astype(np.float32)


def write(array: np.ndarray, path: Path, *, vector: bool = False, spacing: float = 2.0) -> Path:
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing([spacing] * image.GetDimension())
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(NOISE, tmp_path_factory.mktemp("good") / "good.nii.gz")


def with_values(folder: Path, value: float, name: str = "bad.mha") -> Path:
    array = NOISE.copy()
    array[3, 4, 5] = value
    return write(array, folder / name)


def text_file(folder: Path) -> Path:
    (folder / "bad.nii.gz").write_text("this is no image")
    return folder / "bad.nii.gz"


def truncated(folder: Path) -> Path:
    whole = write(NOISE, folder / "bad.nii")
    whole.write_bytes(whole.read_bytes()[:5000])
    return whole


def truncated_gzip(folder: Path) -> Path:
    whole = write(NOISE, folder / "bad.nii.gz")
    whole.write_bytes(whole.read_bytes()[:3000])
    return whole


def no_voxels(folder: Path) -> Path:
    """A NIfTI header that says 0 slices."""
    whole = write(NOISE, folder / "whole.nii")
    data = bytearray(whole.read_bytes())
    data[46:48] = (0).to_bytes(2, "little")
    (folder / "bad.nii.gz").write_bytes(gzip.compress(bytes(data)))
    return folder / "bad.nii.gz"


def unreadable_folder(folder: Path) -> Path:
    (folder / "dicom").mkdir()
    (folder / "dicom" / "readme.txt").write_text("no slices here")
    return folder / "dicom"


BAD_VOLUMES: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "missing.nii.gz",
    "text": text_file,
    "truncated": truncated,
    "truncated gzip": truncated_gzip,
    "folder without slices": unreadable_folder,
    "2-D": lambda folder: write(NOISE[0], folder / "bad.nii.gz"),
    "4-D": lambda folder: write(np.stack([NOISE, NOISE]), folder / "bad.nii.gz"),
    "vector": lambda folder: write(np.stack([NOISE] * 3, axis=-1), folder / "bad.nii.gz", vector=True),
    "NaN in NIfTI, which ITK reads as 0": lambda folder: with_values(folder, np.nan, "bad.nii.gz"),
    "NaN": lambda folder: with_values(folder, np.nan),
    "infinite": lambda folder: with_values(folder, np.inf),
    "constant": lambda folder: write(np.full((16, 16, 16), 7, np.int16), folder / "bad.nii.gz"),
    "empty": no_voxels,
}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, which has loaded everything; what libraries write past Python is seen too."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        code = main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return run


def check(voxelopt: Run, folder: Path, *arguments: object, code: int = 2, **options: object) -> str:
    """Run ``register`` with `arguments` into a new folder: it must fail in one line and leave nothing. The line."""
    work = folder / "work"
    work.mkdir()
    done = voxelopt("register", *arguments, "-o", work / "out", **options)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert done.stderr.startswith("voxelopt: ") and "Traceback" not in done.stderr
    assert list(work.iterdir()) == []
    return done.stderr


@pytest.mark.parametrize("kind", BAD_VOLUMES)
def test_bad_volume(here: Run, good: Path, tmp_path: Path, kind: str) -> None:
    bad = BAD_VOLUMES[kind](tmp_path)
    assert str(bad) in check(here, tmp_path, good, bad)


def test_the_fixed_volume_is_checked_too(here: Run, good: Path, tmp_path: Path) -> None:
    assert "bad.mha" in check(here, tmp_path, with_values(tmp_path, np.nan), good)


@pytest.mark.parametrize("option", ["--fixed-mask", "--moving-mask", "--fixed-labels", "--moving-labels"])
@pytest.mark.parametrize("kind", ["missing", "other grid", "empty"])
def test_bad_mask_or_labels(here: Run, good: Path, tmp_path: Path, option: str, kind: str) -> None:
    path = tmp_path / "mask.nii.gz"
    if kind == "other grid":
        write(np.ones((8, 8, 8), np.uint8), path)
    elif kind == "empty":
        write(np.zeros((16, 16, 16), np.uint8), path)
    line = check(here, tmp_path, good, good, option, path)
    assert " ".join(option.strip("-").split("-")) in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--features", "labels"], "need labels of both volumes"),
        (["--features", "ct-unet", "--weights", "gone.pth"], "gone.pth"),
        (["--fixed-landmarks", "gone.csv", "--moving-landmarks", "gone.csv"], "gone.csv"),
        (["--set", "landmarks.radius=0"], "landmarks.radius"),
        (["--set", "features.statistics=batch"], "volume"),
    ],
)
def test_bad_features_and_landmarks(here: Run, good: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in check(here, tmp_path, good, good, *arguments)


def test_landmarks_of_one_volume_only(here: Run, good: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    points.write_text("x_mm,y_mm,z_mm\n1,2,3\n")
    assert "Only moving landmarks" in check(here, tmp_path, good, good, "--moving-landmarks", points)


def test_bad_initial_transform(here: Run, good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "t.h5"
    bad.write_text("no transform")
    assert str(bad) in check(here, tmp_path, good, good, "--initial-transform", bad)


def test_no_overlap(here: Run, good: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(str(good))
    image.SetOrigin((5000.0, 0.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / "far.nii.gz"))
    assert "overlap" in check(here, tmp_path, good, tmp_path / "far.nii.gz", "--align", "none")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "lungct"], "Did you mean lung-ct"),
        (["--device", "gpu"], "'gpu'"),
        (["--align", "afine"], "affine"),
        (["--method", "elastix"], "voxelopt"),
        (["--features", "edges"], "mind"),
        (["--refine", "nonesuch"], "none"),
        (["--set", "solver.levls=3"], "solver.levels"),
        (["--set", "solver.levels"], "--set option=value"),
        (["--set", "solver.levels=many"], "'many'"),
        (["--set", "solver.levels=99"], "99"),
        (["--presett", "fast"], "--presett"),
        (["--quiet", "--json"], "--json"),
    ],
)
def test_bad_option(here: Run, good: Path, tmp_path: Path, options: list[str], said: str) -> None:
    assert said in check(here, tmp_path, good, good, *options)


@pytest.mark.parametrize(
    "arguments", [[], ["regster"], ["register"], ["register", "a"], ["evaluate"], ["batch", "-o", "x"]]
)
def test_incomplete_command(voxelopt: Command, arguments: list[str]) -> None:
    done = voxelopt(*arguments)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "--help" in done.stderr


def test_cuda_asked_for_and_absent(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    """CUDA_VISIBLE_DEVICES hides GPUs where there are any, so this holds on every computer."""
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    line = check(voxelopt, tmp_path, good, good, "--device", "cuda", environment=environment)
    assert "CUDA" in line and "--device cpu" in line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "is not installed"),
        ("OSError('libtorch_cpu.so: cannot open shared object file')", "libtorch_cpu.so"),
    ],
)
@pytest.mark.parametrize("command", ["register", "devices"])
def test_torch_missing_or_broken(
    voxelopt: Command, good: Path, tmp_path: Path, error: str, said: str, command: str
) -> None:
    fake = tmp_path / "fake"
    (fake / "torch").mkdir(parents=True)
    (fake / "torch" / "__init__.py").write_text(f"raise {error}\n")
    if command == "register":
        line = check(voxelopt, tmp_path, good, good, code=3, python_path=fake)
    else:
        done = voxelopt("devices", python_path=fake)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
        line = done.stderr
    assert said in line and "install" in line


@pytest.mark.parametrize(("voxels", "said"), [(0, "smallest grid"), (2000, "largest grid that fits")])
def test_too_little_memory(
    voxelopt: Command, phantom_files: dict[str, Path], tmp_path: Path, voxels: int, said: str
) -> None:
    """A computer that says it has memory left for a working grid of so few voxels: the message names what fits."""
    settings = load_preset("generic")
    needed = predict(Sizes.of(settings, 0, 0, voxels, 0, 12), settings)[0]
    free = max(size for stage, size in needed.items() if stage.startswith(COMPUTED)) / USABLE_SHARE
    (tmp_path / "sitecustomize.py").write_text(
        f"from VoxelOptRegistrationLib import system_memory\nsystem_memory.free_memory = lambda: {round(free)}\n"
    )
    arguments = (phantom_files["fixed"], phantom_files["moving"], "--align", "none")
    line = check(voxelopt, tmp_path, *arguments, code=3, python_path=tmp_path)
    assert said in line and "voxels" in line and "Close other programs" in line and " 0 " not in line


def test_output_folder_is_a_file(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for target in (tmp_path / "out", tmp_path / "out" / "below"):
        done = voxelopt("register", good, good, "-o", target)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert str(tmp_path / "out") in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "mine"


def test_results_never_replace_an_input(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    """An earlier result taken as the input of a run into the same folder."""
    earlier = write(NOISE, tmp_path / "warped.nii.gz")
    before = earlier.read_bytes()
    done = voxelopt("register", good, earlier, "-o", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(earlier) in done.stderr and earlier.read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc, where nobody may write, is Linux's")
def test_output_folder_is_not_writable(voxelopt: Command, good: Path) -> None:
    done = voxelopt("register", good, good, "-o", "/proc/voxelopt")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "/proc/voxelopt" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="limits on file sizes are POSIX's")
def test_disk_full(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    """A limit on the size of files is met like a full disk."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    moving = write(np.roll(NOISE, 1, axis=2), tmp_path / "moving.nii.gz")
    torch_alone = {SWITCH: "torch"}  # Loops that are not kept yet would be compiled, and could not be.
    line = check(voxelopt, tmp_path, good, moving, code=3, preexec_fn=limit, environment=torch_alone)
    assert "written" in line


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse such file names")
def test_a_name_that_the_terminal_cannot_show_is_still_one_line(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"scan-\xff-\xc3\xa4.nii.gz")
    line = check(voxelopt, tmp_path, good, tmp_path / name, environment={"PYTHONIOENCODING": "ascii"})
    assert "scan-" in line and "does not exist" in line


def test_json_tells_of_the_error_too(voxelopt: Command, good: Path, tmp_path: Path) -> None:
    done = voxelopt("register", good, tmp_path / "missing.nii", "-o", tmp_path / "out", "--json")
    assert done.returncode == 2
    event = json.loads(done.stdout.splitlines()[-1])
    assert event["event"] == "error" and event["kind"] == "input" and event["remedy"]
    assert event["text"] in done.stderr
