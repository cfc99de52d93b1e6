"""What the benchmark registers: folders of pairs, synthetic deformations, Learn2Reg's AbdomenCTCT; and its programs."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from benchmark_data import ORGANS, write_abdomenctct
from VoxelOptRegistrationLib.benchmark.abdomenctct import abdomenctct_cases, is_layout
from VoxelOptRegistrationLib.benchmark.ablations import ablation_programs
from VoxelOptRegistrationLib.benchmark.cases import Case
from VoxelOptRegistrationLib.benchmark.data_folder import folder_cases, read_description
from VoxelOptRegistrationLib.benchmark.programs import own_programs, peer_programs
from VoxelOptRegistrationLib.benchmark.scoring import score
from VoxelOptRegistrationLib.errors import InputError
from VoxelOptRegistrationLib.file_jobs import TruthFiles
from VoxelOptRegistrationLib.inspection.landmarks import read_landmarks
from VoxelOptRegistrationLib.presets import METHODS, REFINEMENTS


def describe(folder: Path, **lists: object) -> Path:
    (folder / "pairs.json").write_text(json.dumps(lists))
    return folder


PAIR = {"name": "one", "preset": "fast", "fixed": "f.nii.gz", "moving": "m.nii.gz"}


def test_the_builtin_description_names_the_real_scans(shared_folder: Path, tmp_path: Path) -> None:
    cases, remarks = folder_cases(shared_folder / "data", tmp_path, ["liver MR phase 9", "brain T1", "lung CT"])
    assert remarks == [] and [case.options[1] for case in cases] == ["liver-mr", "brain-mr", "lung-ct"]
    assert len(cases[1].truth.scored or ()) == 30 and cases[2].peers_rigid
    assert cases[0].truth.landmarks is not None and cases[0].peers_spacing_mm == 1.5


def test_pairs_that_are_absent_are_left_out_and_said(tmp_path: Path) -> None:
    describe(tmp_path, pairs=[PAIR, {**PAIR, "name": "two", "moving": "lost.nii.gz"}])
    for name in ("f.nii.gz", "m.nii.gz"):
        (tmp_path / name).touch()
    cases, remarks = folder_cases(tmp_path, tmp_path)
    assert [case.name for case in cases] == ["one"]
    assert len(remarks) == 1 and "two" in remarks[0] and "lost.nii.gz" in remarks[0]
    (tmp_path / "f.nii.gz").unlink()
    with pytest.raises(InputError, match="none of the pairs"):
        folder_cases(tmp_path, tmp_path)
    with pytest.raises(InputError, match="'three'"):
        folder_cases(tmp_path, tmp_path, ["three"])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**PAIR, "fixd": "x"}, "fixd"),
        ({key: PAIR[key] for key in ("name", "preset", "fixed")}, "moving"),
        ({**PAIR, "preset": "lungct"}, "lungct"),
        ({**PAIR, "labels": ["a"]}, "labels"),
        ({**PAIR, "landmarks": "a.csv"}, "landmarks"),
        ({**PAIR, "peers_spacing_mm": 0}, "peers_spacing_mm"),
        ({**PAIR, "background": "air"}, "background"),
        ({**PAIR, "peers_rigid": 1}, "peers_rigid"),
        ("pair", "entry 1"),
    ],
)
def test_wrong_descriptions_are_named(tmp_path: Path, entry: object, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_description(describe(tmp_path, pairs=[entry]))
    assert caught.value.remedy


def test_names_stand_once_and_json_is_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'one'"):
        read_description(describe(tmp_path, pairs=[PAIR, PAIR]))
    with pytest.raises(InputError, match="pairs and synthetic"):
        read_description(describe(tmp_path, others=[]))
    (tmp_path / "pairs.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        read_description(tmp_path)


@pytest.fixture(scope="module")
def synthetic(phantom_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    """A synthetic case of the phantom's oblique moving scan, and its folder."""
    data = tmp_path_factory.mktemp("synthetic")
    for name in ("moving", "moving_labels"):
        (data / f"{name}.nii.gz").write_bytes(phantom_files[name].read_bytes())
    entry = {"name": "made", "preset": "abdomen-ct", "image": "moving.nii.gz", "labels": "moving_labels.nii.gz"}
    describe(data, synthetic=[{**entry, "knots_mm": 90, "amplitude_mm": 12, "seed": 3}])
    ((case,), _) = folder_cases(data, data / "work")
    return case, data / "work" / "made"


def test_the_true_transform_scores_perfectly_and_doing_nothing_does_not(synthetic: tuple[Case, Path]) -> None:
    case, folder = synthetic
    truth = score(case, folder / "true_transform.h5")
    assert truth["tre_mm"] < 1e-4 and truth["dice"] == 1.0 and truth["hd95_mm"] == 0.0
    assert set(truth["tre_regions_mm"]) == {"organs", "body"}
    identity = folder / "identity.h5"
    sitk.WriteTransform(sitk.Transform(3, sitk.sitkIdentity), str(identity))
    nothing = score(case, identity, identity)
    assert case.truth.landmarks is not None
    fixed, moving = (read_landmarks(path).points for path in case.truth.landmarks)
    assert nothing["tre_mm"] == pytest.approx(np.linalg.norm(fixed - moving, axis=1).mean(), abs=1e-6)
    assert nothing["tre_mm"] > 3 and nothing["dice"] < 0.9 and nothing["inverse_voxels"] == 0.0


def test_the_synthetic_deformation_is_as_described(synthetic: tuple[Case, Path]) -> None:
    case, folder = synthetic
    truth = sitk.ReadTransform(str(folder / "true_transform.h5"))
    fixed, moving = sitk.ReadImage(str(case.fixed)), sitk.ReadImage(str(case.moving))
    field = sitk.TransformToDisplacementField(
        truth, sitk.sitkVectorFloat64, fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection()
    )
    lengths = np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1)
    assert 0 < np.percentile(lengths, 95) <= 12.0 + 1e-6  # less where it would have folded
    assert sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field)).min() > 0
    warped = sitk.Resample(moving, fixed, truth, sitk.sitkLinear, -1000.0, sitk.sitkFloat32)
    difference = sitk.GetArrayFromImage(fixed) - sitk.GetArrayFromImage(warped)
    values = sitk.GetArrayFromImage(moving)
    assert difference.std() == pytest.approx(0.01 * np.subtract(*np.percentile(values, (99, 1))), rel=0.1)


def test_inverse_error_is_that_of_a_shift_not_undone(synthetic: tuple[Case, Path], tmp_path: Path) -> None:
    case, _ = synthetic
    fixed = sitk.ReadImage(str(case.fixed))
    paths = {}
    for name, shift in (("there", (4.0, 0.0, 0.0)), ("back", (-4.0, 0.0, 0.0)), ("short", (-1.0, 0.0, 0.0))):
        paths[name] = tmp_path / f"{name}.h5"
        sitk.WriteTransform(sitk.TranslationTransform(3, shift), str(paths[name]))
    assert score(case, paths["there"], paths["back"])["inverse_voxels"] == pytest.approx(0, abs=1e-6)
    axes = np.reshape(fixed.GetDirection(), (3, 3))
    expected = np.linalg.norm(axes.T @ [3.0, 0, 0] / np.array(fixed.GetSpacing()))
    assert score(case, paths["there"], paths["short"])["inverse_voxels"] == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def learn2reg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_abdomenctct(tmp_path_factory.mktemp("AbdomenCTCT"), (20, 18, 16))


def test_abdomenctct_has_42_ordered_pairs(learn2reg: Path, tmp_path: Path) -> None:
    assert is_layout(learn2reg) and not is_layout(tmp_path)
    cases = abdomenctct_cases(learn2reg, tmp_path)
    names = [(case.fixed.name, case.moving.name) for case in cases]
    wanted = [f"AbdomenCTCT_00{subject}_0000.nii.gz" for subject in range(24, 31)]
    assert len(names) == 42 and set(names) == set(permutations(wanted, 2))
    assert {case.fixed.parent.name for case in cases} == {"imagesTr"}
    one, other = abdomenctct_cases(learn2reg, tmp_path, ["30 <- 24", "24 <- 30"])
    assert (one.fixed, one.moving) == (other.moving, other.fixed)


def test_abdomenctct_is_measured_on_every_second_voxel(learn2reg: Path, tmp_path: Path) -> None:
    """The paper's protocol, written down with numpy: labels at 4 mm, Dice of all 13 organs, absent ones count 0."""
    (case,) = abdomenctct_cases(learn2reg, tmp_path, ["24 <- 25"])
    identity = tmp_path / "identity.h5"
    sitk.WriteTransform(sitk.Transform(3, sitk.sitkIdentity), str(identity))
    scores = score(case, identity)
    f, m = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(learn2reg / "labelsTr" / path.name)))[::2, ::2, ::2]
        for path in (case.fixed, case.moving)
    )
    dice = [2 * ((f == o) & (m == o)).sum() / max(1, (f == o).sum() + (m == o).sum()) for o in range(1, 14)]
    assert 0 < scores["dice"] < 1 and scores["dice"] == pytest.approx(np.mean(dice))
    assert ORGANS < 13  # so that some organ is absent
    assert scores["folds_percent"] == 0 and scores["sdlogj_l2r"] == pytest.approx(0, abs=1e-12)
    reference = sitk.ReadImage(str(case.reference))
    assert reference.GetSpacing() == pytest.approx((4, 4, 4)) and reference.GetSize() == (8, 9, 10)


def test_abdomenctct_folds_are_those_of_the_4_mm_grid(learn2reg: Path, tmp_path: Path) -> None:
    """A field that folds between voxels of 2 mm only: seen at 4 mm it is the identity."""
    (case,) = abdomenctct_cases(learn2reg, tmp_path, ["24 <- 25"])
    fixed = sitk.ReadImage(str(case.fixed))
    field = np.zeros((*fixed.GetSize()[::-1], 3))
    field[:, :, 1::2, 0] = 5.0
    image = sitk.GetImageFromArray(field, isVector=True)
    image.CopyInformation(fixed)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(tmp_path / "zigzag.h5"))
    assert score(case, tmp_path / "zigzag.h5")["folds_percent"] == 0
    whole = Case(case.name, case.fixed, case.moving, TruthFiles())
    assert score(whole, tmp_path / "zigzag.h5")["sdlogj"] == 0  # central differences of 2 mm jump over it as well
    field[:, :, 2::4, 0] = -9.0
    image = sitk.GetImageFromArray(field, isVector=True)
    image.CopyInformation(fixed)
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(tmp_path / "folded.h5"))
    assert score(case, tmp_path / "folded.h5")["folds_percent"] == 0
    assert score(whole, tmp_path / "folded.h5")["folds_percent"] > 10


def test_abdomenctct_names_the_missing_file(learn2reg: Path, tmp_path: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match="AbdomenCTCT_0024_0000"):
        abdomenctct_cases(tmp_path, tmp_path)


def test_every_method_and_refinement_runs_unless_chosen() -> None:
    programs = own_programs()
    assert len(programs) == len({p.name for p in programs}) == len(METHODS) * len(REFINEMENTS)
    assert {p.options for p in programs} == {("--method", m, "--refine", r) for m in METHODS for r in REFINEMENTS}
    assert [p.name for p in own_programs(["voxelopt"], ["none"])] == ["voxelopt"]
    assert own_programs(["none"]) == []
    for wrong in ({"methods": ["voxelop"]}, {"refinements": ["nonesuch"]}):
        with pytest.raises(InputError, match=next(iter(wrong.values()))[0]):
            own_programs(**wrong)
    with pytest.raises(InputError, match="greedly"):
        peer_programs(["greedly"])
    names = [program.name for program in [*own_programs(), *peer_programs(["all"])]]
    assert len(peer_programs(["all"])) == 5 and len(set(names)) == len(names)


def test_ablations_change_one_thing_at_a_time() -> None:
    base, *others = ablation_programs("unet.pth", coarse=True)
    assert base.name == "released, network" and "features.weights=unet.pth" in base.options
    for program in others:
        if program.name.startswith("features "):
            assert not set(base.options[4:]) <= set(program.options) or "ct-unet" not in program.options
        else:
            assert (
                program.options[: len(base.options)] == base.options and len(program.options) == len(base.options) + 2
            )
    assert ablation_programs(None, coarse=False)[0].name == "released, MIND"
    assert len({p.name for p in others}) == len({p.options for p in others}) == len(others) == 10
