"""The methods and the refinement by name, as users of the command run them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Command
from VoxelOptRegistrationLib.cli import main
from VoxelOptRegistrationLib.memory_plan import COMPOSED_STEPS
from VoxelOptRegistrationLib.options import AdamOptions, ConvexAdamOptions, SAMConvexOptions
from VoxelOptRegistrationLib.presets import METHODS, REFINEMENTS, SOLVERS, load_preset, with_method
from VoxelOptRegistrationLib.refinement import methods as refinement_methods
from VoxelOptRegistrationLib.solvers.methods import solver_options


def mean_error(transform: sitk.Transform, files: dict[str, Path]) -> float:
    """Mean distance |T(fixed) - moving| of the phantom's landmarks, mm."""
    fixed, moving = (
        np.genfromtxt(files[f"{role}_landmarks"], delimiter=",", skip_header=1)[:, -3:] for role in ("fixed", "moving")
    )
    moved = np.array([transform.TransformPoint(point) for point in fixed.tolist()])
    return float(np.linalg.norm(moved - moving, axis=1).mean())


@pytest.mark.parametrize(
    ("method", "refine"), [("convexadam", "adam"), ("samconvex", "local-ncc"), ("samconvex-released", "adam")]
)
def test_register_with_a_method(
    voxelopt: Command, phantom_files: dict[str, Path], tmp_path: Path, method: str, refine: str
) -> None:
    pair = ["register", phantom_files["fixed"], phantom_files["moving"], "-o", tmp_path / "out"]
    done = voxelopt(*pair, "--preset", "abdomen-ct", "--method", method, "--align", "moments", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    before = mean_error(sitk.Transform(3, sitk.sitkIdentity), phantom_files)
    after = mean_error(sitk.ReadTransform(str(tmp_path / "out" / "transform.h5")), phantom_files)
    assert after < 0.5 * before
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["method"] == method.partition("-")[0]
    assert report["settings"]["refine"] == refine
    assert method.endswith("-released") or report["jacobian"]["folds"] == 0


def test_refinement_can_be_left_out_and_joined_to_any_method(phantom_files: dict[str, Path], tmp_path: Path) -> None:
    errors = []
    common = ["--align", "moments", "--set", "grid.max_voxels=20000", "--set", "adam.steps=10", "--quiet"]
    for method, refine in (("convexadam", "none"), ("voxelopt", "none"), ("voxelopt", "adam")):
        folder = tmp_path / f"{method}-{refine}"
        pair = [str(phantom_files["fixed"]), str(phantom_files["moving"])]
        assert main(["register", *pair, "-o", str(folder), "--method", method, "--refine", refine, *common]) == 0
        errors.append(mean_error(sitk.ReadTransform(str(folder / "transform.h5")), phantom_files))
    assert len(set(errors)) == 3


def test_local_weights_are_a_volume_to_look_at(phantom_files: dict[str, Path], tmp_path: Path) -> None:
    pair = [str(phantom_files["fixed"]), str(phantom_files["moving"]), "-o", str(tmp_path / "out")]
    options = ["adam.regulariser=spatially-varying", "adam.hyperprior_weight=0.0001", "adam.steps=10"]
    options.append("grid.max_voxels=20000")
    words = [word for option in options for word in ("--set", option)]
    assert main(["register", *pair, "--align", "moments", "--refine", "adam", *words, "--quiet"]) == 0
    stiffness = sitk.ReadImage(str(tmp_path / "out" / "stiffness.nii.gz"))
    fixed = sitk.ReadImage(str(phantom_files["fixed"]))
    assert stiffness.GetSize() == fixed.GetSize()
    np.testing.assert_allclose(stiffness.GetOrigin(), fixed.GetOrigin(), atol=1e-3)
    values = sitk.GetArrayFromImage(stiffness)
    assert 0 < values.min() < values.max() <= 1 + 1e-5


def test_every_name_is_known_to_what_runs_it() -> None:
    for method in METHODS:
        settings = with_method(load_preset("lung-ct"), method)
        assert settings.method in SOLVERS and settings.refine in REFINEMENTS
        assert solver_options(settings).map_sharpness > 0
    assert {"none", *refinement_methods._REFINEMENTS, *COMPOSED_STEPS} == set(REFINEMENTS)


def test_released_methods_are_what_was_released_whatever_the_preset() -> None:
    preset = load_preset("lung-ct")
    convexadam = with_method(preset, "convexadam-released")
    assert (convexadam.convexadam, convexadam.adam) == (ConvexAdamOptions.released(), AdamOptions.released())
    assert (convexadam.features.name, convexadam.features.radius, convexadam.features.dilation) == ("mind", 1, 2)
    assert convexadam.features.window == preset.features.window
    samconvex = with_method(preset, "samconvex-released")
    assert (samconvex.samconvex, samconvex.adam) == (SAMConvexOptions.released(), AdamOptions.samconvex())


def test_convexadam_brings_its_descriptors_and_its_refinement() -> None:
    preset = load_preset("lung-ct")
    chosen = with_method(preset, "convexadam")
    assert chosen.refine == "adam" and chosen.convexadam == ConvexAdamOptions()
    assert chosen.features == dataclasses.replace(preset.features, radius=1, dilation=2)
