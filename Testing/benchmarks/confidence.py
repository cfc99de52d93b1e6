"""Does the expected error predict the error? Calibrates it and measures that, on real volumes with known deformations.

    python Testing/benchmarks/confidence.py --data DIR --keep FOLDER [--seeds 0 1 2] [--write]

DIR holds the folders liver_mr, brain_t1, lung_ct and abdomen_ct. Every volume is deformed by random smooth
diffeomorphisms of several sizes and degraded (noise, gain, local contrast), and registered to what it was with its
preset (`known_deformations`). FOLDER keeps what was measured, so that a run that was stopped
goes on. The last seed tests what the others calibrate; other scans, and the liver's real landmarks, are never
calibrated on. --write puts the calibrations into the package and the tables into Docs/Confidence.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "VoxelOptRegistration"))

from known_deformations import Deformation, Measured, register_known  # noqa: E402
from VoxelOptRegistrationLib.confidence.calibrations import CALIBRATION_FOLDER, GENERIC, Calibration  # noqa: E402
from VoxelOptRegistrationLib.confidence.features import BOTH_WAYS, ONE_WAY, evidence_features  # noqa: E402
from VoxelOptRegistrationLib.confidence.fitting import fit_model  # noqa: E402
from VoxelOptRegistrationLib.confidence.model import ErrorModel  # noqa: E402
from VoxelOptRegistrationLib.confidence.scoring import calibration_error, detection, rank_correlation, reliability  # noqa: E402
from VoxelOptRegistrationLib.images.displacement import displacement_transform  # noqa: E402
from VoxelOptRegistrationLib.images.grid import Grid  # noqa: E402
from VoxelOptRegistrationLib.options import Settings  # noqa: E402
from VoxelOptRegistrationLib.pipeline import Inputs, register  # noqa: E402
from VoxelOptRegistrationLib.presets import load_preset  # noqa: E402
from VoxelOptRegistrationLib.solvers.solution import Evidence  # noqa: E402

SIZES = ((4.0, 24.0), (9.0, 18.0), (18.0, 14.0))
"""(amplitude, width) of the deformations, mm: easy, hard, and more than the search can follow."""
LARGE_MM = 3.0
SAMPLES = 6000
"""Voxels of one registration that are looked at."""


@dataclass(frozen=True)
class Scan:
    """A volume below the data folder and its preset; whether it may calibrate."""

    path: str
    preset: str
    calibrates: bool = True


SCANS = {
    "liver": Scan("liver_mr/fixed.nii.gz", "liver-mr"),
    "abdomen": Scan("abdomen_ct/ct.nii.gz", "abdomen-ct"),
    "lung": Scan("lung_ct/fixed.nii.gz", "lung-ct"),
    "brain": Scan("brain_t1/fixed.nii.gz", "brain-mr"),
    "liver2": Scan("liver_mr/moving_phase6.nii.gz", "liver-mr", False),
    "lung2": Scan("lung_ct/moving.nii.gz", "lung-ct", False),
    "brain2": Scan("brain_t1/moving.nii.gz", "brain-mr", False),
}
OTHER_SEED = 10


@dataclass(frozen=True)
class Case:
    """One registration."""

    scan: str
    seed: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.scan}_{self.seed}_{self.size}"

    @property
    def deformation(self) -> Deformation:
        return Deformation(10 * self.seed + self.size, *SIZES[self.size])


@dataclass(frozen=True)
class Samples:
    """Voxels of registrations: features (F, N), errors (N,), mm, and the working voxel's side at each (N,), mm."""

    features: np.ndarray
    entropy: np.ndarray
    errors: np.ndarray
    sides: np.ndarray

    @classmethod
    def of(cls, measured: Measured, seed: int) -> Samples:
        """As many voxels of the body as `SAMPLES`, at random."""
        where = np.flatnonzero(measured.body)
        where = np.random.default_rng(seed).choice(where, min(SAMPLES, where.size), replace=False)
        features = evidence_features(measured.evidence).flatten(1)[:, torch.from_numpy(where)].double().numpy()
        entropy = measured.evidence.entropy.flatten()[torch.from_numpy(where)].double().numpy()
        errors = measured.error.ravel()[where].astype(np.float64)
        return cls(features, entropy, errors, np.full(where.size, measured.spacing))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        names = [entry.name for entry in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in names))

    def model(self, names: tuple[str, ...]) -> ErrorModel:
        return fit_model(names, self.features[: len(names)], self.errors / self.sides)

    def expected(self, model: ErrorModel) -> np.ndarray:
        features = torch.from_numpy(self.features[: len(model.features)])
        return model.expected_error(features).numpy() * self.sides


def cases(seeds: Sequence[int]) -> list[Case]:
    found = [Case(scan, seed, size) for seed in seeds for scan in SCANS for size in range(len(SIZES))]
    own = [case for case in found if SCANS[case.scan].calibrates]
    return own + [Case(scan, OTHER_SEED, size) for scan in SCANS if not SCANS[scan].calibrates for size in (1, 2)]


def measure(case: Case, data: Path, keep: Path) -> Measured:
    """The registration of `case`, from `keep` where it is there."""
    path = keep / f"{case.name}.npz"
    if not path.exists():
        scan = SCANS[case.scan]
        found = register_known(data / scan.path, scan.preset, case.deformation)
        evidence = {name: getattr(found.evidence, name).numpy().astype(np.float16) for name in BOTH_WAYS}
        np.savez(path, **evidence, body=found.body, error=found.error.astype(np.float16), spacing=found.spacing)
        print(f"{case.name:12} error {found.error[found.body].mean():.2f} mm", flush=True)
    with np.load(path) as kept:
        maps = [torch.from_numpy(kept[name].astype(np.float32)) for name in BOTH_WAYS]
        return Measured(Evidence(*maps), float(kept["spacing"]), kept["body"], kept["error"].astype(np.float32))


def row(name: str, parts: Sequence[tuple[Samples, np.ndarray]]) -> str:
    """One line of the table: what entropy tells of registrations, and what their predictions tell."""
    samples = Samples.joined([part for part, _ in parts])
    expected = np.concatenate([predicted for _, predicted in parts])
    errors, wrong = samples.errors, samples.errors > LARGE_MM
    alone = [
        [rank_correlation(values, part.errors) for values in (part.entropy, predicted)] for part, predicted in parts
    ]
    numbers = [
        f"{errors.mean():.2f}",
        f"{100 * wrong.mean():.0f}",
        *(f"{value:.2f}" for value in np.mean(alone, axis=0)),
        *(f"{rank_correlation(values, errors):.2f}" for values in (samples.entropy, expected)),
        *(f"{detection(values, wrong):.2f}" for values in (samples.entropy, expected)),
        f"{expected.mean():.2f}",
        f"{calibration_error(expected, errors):.2f}",
    ]
    return f"| {name} | " + " | ".join(numbers) + " |"


HEAD = (
    "| volumes | mean error, mm | above 3 mm, % | rank in one registration: entropy | expected "
    "| rank: entropy | expected | AUC: entropy | expected | mean expected, mm | calibration error, mm |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


OWN = """### Other deformations of the same volumes

Calibrated per preset without seed {seed}, tested on that seed."""
SAME_KIND = """### Other scans, same preset

The calibration of the preset, on scans that it never saw: another person's brain, another time of the same lung,
another breath of the same liver."""
OTHER_KIND = """### A volume of another kind

Each volume predicted by what the other three calibrate together: what the generic calibration is worth."""
LANDMARKS = """### Real breathing

The liver registered from breath to breath, as it is, with the preset's calibration: expected error at the landmarks
against the distance that they are really off."""
LANDMARK_HEAD = (
    "| phase | landmarks | mean error, mm | mean expected, mm | rank | AUC above 3 mm |\n|---|---|---|---|---|---|"
)
FIRST_TABLE = OWN.partition("\n")[0]
"""Where the page begins to be written by this script."""


def reliability_table(expected: np.ndarray, errors: np.ndarray) -> str:
    pairs = reliability(expected, errors)
    lines = [f"| {k + 1} | {a:.2f} | {b:.2f} |" for k, (a, b) in enumerate(pairs)]
    return "\n".join(["| tenth | expected, mm | observed, mm |", "|---|---|---|", *lines])


def calibration(name: str, samples: Samples, settings: Settings, about: dict[str, object]) -> Calibration:
    measured = {"preset": name if name != GENERIC else "all of them together", "method": settings.method}
    measured |= {"refine": settings.refine, "features": settings.features.name, **about}
    return Calibration(name, measured, samples.model(BOTH_WAYS), samples.model(ONE_WAY))


def at_landmarks(data: Path, phase: int) -> tuple[np.ndarray, np.ndarray]:
    """The liver's breathing, really registered: expected errors at the landmarks of a phase and theirs, mm."""
    names = ("fixed", f"moving_phase{phase}")
    fixed, moving = (sitk.ReadImage(str(data / f"liver_mr/{name}.nii.gz")) for name in names)
    settings = dataclasses.replace(load_preset("liver-mr"), device="cpu")
    result = register(Inputs(fixed, moving), settings)
    points, truth = (
        np.loadtxt(data / f"liver_mr/{name}_landmarks.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
        for name in names
    )
    mapping = displacement_transform(result.displacement, Grid.of(fixed))
    found = np.array([mapping.TransformPoint(point) for point in points.tolist()])
    expected = [result.expected_error.EvaluateAtPhysicalPoint(point) for point in points.tolist()]
    return np.array(expected), np.linalg.norm(found - truth, axis=1)


def calibrate(measured: dict[Case, Samples], kept_out: int | None) -> dict[str, Calibration]:
    """One calibration a preset, and one of all together; the seed `kept_out` takes no part."""
    parts: dict[str, list[Samples]] = {}
    for case, samples in measured.items():
        if SCANS[case.scan].calibrates and case.seed != kept_out:
            parts.setdefault(SCANS[case.scan].preset, []).append(samples)
    parts[GENERIC] = [samples for own in parts.values() for samples in own]
    found = {}
    for preset, own in parts.items():
        scans = sorted({scan.path for scan in SCANS.values() if scan.calibrates and preset in (scan.preset, GENERIC)})
        about: dict[str, object] = {"volumes": scans, "registrations": len(own)}
        found[preset] = calibration(preset, Samples.joined(own), load_preset(preset), about)
    return found


def tables(measured: dict[Case, Samples], test_seed: int) -> str:
    """What was measured, as text for Docs/Confidence.md."""
    trained = calibrate(measured, test_seed)

    def expected(case: Case, by: ErrorModel | None = None) -> np.ndarray:
        return measured[case].expected(by or trained[SCANS[case.scan].preset].both_ways)

    def rows(chosen: list[Case], model: Callable[[Case], ErrorModel | None]) -> tuple[str, str]:
        parts = {case: (measured[case], expected(case, model(case))) for case in chosen}
        scans = dict.fromkeys(case.scan for case in chosen)
        lines = [row(scan, [part for case, part in parts.items() if case.scan == scan]) for scan in scans]
        lines.append(row("all", list(parts.values())))
        joined = Samples.joined([samples for samples, _ in parts.values()])
        together = np.concatenate([predicted for _, predicted in parts.values()])
        return "\n".join([HEAD, *lines]), reliability_table(together, joined.errors)

    others = {
        scan: Samples.joined(
            [samples for case, samples in measured.items() if SCANS[case.scan].calibrates and case.scan != scan]
        ).model(BOTH_WAYS)
        for scan in SCANS
        if SCANS[scan].calibrates
    }
    seen = [case for case in measured if case.seed == test_seed]
    unseen = [case for case in measured if case.seed == OTHER_SEED]
    calibrating = [case for case in measured if SCANS[case.scan].calibrates]
    texts = []
    for title, chosen, model in (
        (OWN.format(seed=test_seed), seen, lambda case: None),
        (SAME_KIND, unseen, lambda case: None),
        (OTHER_KIND, calibrating, lambda case: others[case.scan]),
    ):
        table, tenths = rows(chosen, model)
        texts.append(f"{title}\n\n{table}\n\nAll of them, in tenths of the expected error:\n\n{tenths}")
    return "\n\n".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="the last one tests, the others calibrate"
    )
    parser.add_argument("--write", action="store_true", help="put the result into the package and Docs")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    measured = {
        case: Samples.of(measure(case, arguments.data, arguments.keep), number)
        for number, case in enumerate(cases(arguments.seeds))
    }
    text = tables(measured, arguments.seeds[-1])
    if arguments.write:
        for calibrated in calibrate(measured, None).values():
            calibrated.write(CALIBRATION_FOLDER)
    lines = [LANDMARK_HEAD]
    for phase in (6, 9):
        expected, errors = at_landmarks(arguments.data, phase)
        ranks = f"{rank_correlation(expected, errors):.2f} | {detection(expected, errors > LARGE_MM):.2f}"
        lines.append(f"| {phase} | {errors.size} | {errors.mean():.2f} | {expected.mean():.2f} | {ranks} |")
    text += f"\n\n{LANDMARKS}\n\n" + "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        page = REPOSITORY / "Docs" / "Confidence.md"
        before, _, _ = page.read_text(encoding="utf-8").partition(FIRST_TABLE)
        page.write_text(f"{before}{text}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
