"""How much memory registrations take, stage by stage, and how near `memory_plan` comes to it. Linux only.

    python Testing/benchmarks/memory.py [--data DIR] [--only TEXT ...] [--keep FILE]     expected, measured, their ratio
    python Testing/benchmarks/memory.py [...] --fit        the table of `memory_terms` as well, fitted anew
    python Testing/benchmarks/memory.py --from FILE --fit  the same of measurements kept before
    python Testing/benchmarks/memory.py --large            192 x 160 x 256 on 2 GiB, 512 x 512 x 300 on 6 GiB

Every case is a process of its own that reads a pair, registers it and writes all files. The kernel tells the largest
resident size of each stage, whose mark is reset before it (proc(5), clear_refs). Of every iteration there are few:
memory does not depend on their number. Ratios are of memory beyond what the process had before it registered.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parents[2] / "VoxelOptRegistration"
sys.path.insert(0, str(LIBRARY))

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402
from VoxelOptRegistrationLib import file_jobs, memory_terms, stopwatch  # noqa: E402
from VoxelOptRegistrationLib.phantom import make_phantom  # noqa: E402
from VoxelOptRegistrationLib.presets import apply_overrides, load_preset, settings_from_dict, settings_to_dict  # noqa: E402

MIB = 2**20
WARM = "from VoxelOptRegistrationLib.worker.warming import warm_up; warm_up(lambda: False)"
FEW = {
    "align": "center",
    "solver.couplings": "1.0",
    "solver.consistency_sweeps": "2",
    "convexadam.couplings": "1.0",
    "samconvex.couplings": "1.0",
    "descent.extension_passes": "1",
    "adam.steps": "2",
}
GENERATED = {"96x80x128": (128, 80, 96), "192x160x256": (256, 160, 192), "512x512x300": (512, 512, 300)}
PAIRS = {
    "liver": ("liver-mr", "liver_mr/fixed.nii.gz", "liver_mr/moving_phase6.nii.gz"),
    "brain": ("brain-mr", "brain_t1/fixed.nii.gz", "brain_t1/moving.nii.gz"),
    "lung": ("lung-ct", "lung_ct/fixed.nii.gz", "lung_ct/moving.nii.gz"),
}
METHODS = ("voxelopt", "convexadam", "samconvex")
REFINEMENTS = ("none", "local-ncc", "adam")
OTHERS = {
    "96x80x128 one channel": {"features.name": "intensity", "refine": "local-ncc"},
    "96x80x128 wide search": {"solver.search_radius": "2", "refine": "none"},
    "96x80x128 coarse grid": {"grid.max_voxels": "60000", "refine": "local-ncc"},
    "96x80x128 features": {"refine": "features"},
    "96x80x128 wide convexadam": {"method": "convexadam", "convexadam.search_width": "6", "refine": "none"},
    "192x160x256 coarse grid": {"grid.max_voxels": "100000", "refine": "local-ncc"},
}
"""What tells the terms of the table apart."""
_PRIOR = 0.3
"""Weight of a copy's relative change against the relative error of one case."""
STAGES = {"confidence": "warp"}
"""Stages of the stopwatch that are part of another row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the pairs of real scans")
    parser.add_argument("--only", nargs="*", default=[], metavar="TEXT", help="cases whose name holds one of these")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where measurements are added, a JSON object a line")
    parser.add_argument("--from", dest="kept", type=Path, metavar="FILE", help="measurements kept before; runs nothing")
    parser.add_argument("--fit", action="store_true", help="print the table of copies that fits the measurements")
    parser.add_argument("--large", action="store_true", help="512 x 512 x 300 on 6 GiB, 192 x 160 x 256 on 2 GiB")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(**json.loads(options.case))))
        return
    if options.kept:
        found = [json.loads(line) for line in options.kept.read_text().splitlines()]
    else:
        # Compiling takes memory of its own, once on a computer.
        subprocess.run([sys.executable, "-c", WARM], cwd=LIBRARY, check=True)
        with tempfile.TemporaryDirectory() as folder:
            found = list(run_all(options, Path(folder)))
    print_ratios(found)
    if options.fit:
        print_fit(found)


def run_all(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Every case that is asked for, measured in a process of its own."""
    for name, fixed, moving, settings in cases(options):
        if options.only and not any(text in name for text in options.only):
            continue
        if fixed in GENERATED:
            fixed, moving = generated(fixed, folder)
        case = {"name": name, "fixed": str(fixed), "moving": str(moving), "settings": settings}
        command = [sys.executable, __file__, "--case", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: failed\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        if options.keep:
            with options.keep.open("a") as file:
                file.write(json.dumps(found) + "\n")
        print(f"{name}: peak {found['peak'] / MIB:.0f} MiB", file=sys.stderr, flush=True)
        yield found


def cases(options: argparse.Namespace) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Name, fixed, moving (files, or the name of a generated pair) and settings."""
    if options.large:
        for name, gib in (("192x160x256", "2"), ("512x512x300", "6")):
            settings = apply_overrides(load_preset("generic"), {**FEW, "memory_gib": gib})
            yield f"{name} on {gib} GiB", name, name, settings_to_dict(settings)
        return
    pairs = {name: ("generic", name, name) for name in ("96x80x128", "192x160x256")}
    for name, (preset, *files) in PAIRS.items() if options.data else ():
        pairs[name] = (preset, *(str(options.data / file) for file in files))
    for name, (preset, fixed, moving) in pairs.items():
        for method in METHODS:
            for refine in REFINEMENTS:
                few = settings_with(preset, {"method": method, "refine": refine})
                yield f"{name} {method} {refine}", fixed, moving, few
    for name, changes in OTHERS.items():
        size = name.partition(" ")[0]
        yield name, size, size, settings_with("generic", changes)


def settings_with(preset: str, changes: dict[str, str]) -> dict[str, Any]:
    """The preset with few iterations and `changes`, as a dictionary."""
    settings = apply_overrides(load_preset(preset), {**FEW, **changes})
    ones = ",".join("1" for _ in settings.descent.scales)
    return settings_to_dict(apply_overrides(settings, {"descent.iterations": ones}))


def generated(name: str, folder: Path) -> tuple[Path, Path]:
    """Files of a phantom of that size, int16 with noise; made once."""
    files = folder / f"{name}-fixed.nii", folder / f"{name}-moving.nii"
    if not files[0].exists():
        phantom = make_phantom((40, 48, 48))
        for image, file, seed in ((phantom.fixed, files[0], 0), (phantom.moving, files[1], 1)):
            size = GENERATED[name]
            factor = np.array(image.GetSize()) / size
            reference = sitk.Image(size, sitk.sitkUInt8)
            reference.SetSpacing((np.array(image.GetSpacing()) * factor).tolist())
            reference.SetDirection(image.GetDirection())
            reference.SetOrigin(image.GetOrigin())
            smooth = sitk.Resample(image, reference, sitk.Transform(3, 1), sitk.sitkLinear, 0.0, sitk.sitkInt16, True)
            noise = np.random.default_rng(seed).integers(-8, 9, size[::-1], dtype=np.int16)
            noisy = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(smooth) + noise)
            noisy.CopyInformation(smooth)
            sitk.WriteImage(noisy, str(file))
    return files


def measure(name: str, fixed: str, moving: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One registration in this process: bytes per stage and in all, and what was predicted."""
    peaks: dict[str, int] = {}
    whole = 0

    @contextmanager
    def marked(stage: str) -> Iterator[None]:
        nonlocal whole
        whole = max(whole, resident("VmHWM"))
        Path("/proc/self/clear_refs").write_text("5")
        yield
        stage = STAGES.get(stage, stage)
        peaks[stage] = max(peaks.get(stage, 0), resident("VmHWM"))
        whole = max(whole, peaks[stage])

    timed = stopwatch.Stopwatch.stage

    @contextmanager
    def stage(self: stopwatch.Stopwatch, name: str) -> Iterator[None]:
        with marked(name), timed(self, name):
            yield

    stopwatch.Stopwatch.stage = stage  # type: ignore[method-assign]
    images = file_jobs.read_images(file_jobs.RegistrationFiles(Path(fixed), Path(moving)))
    from VoxelOptRegistrationLib import pipeline, saving

    inputs = pipeline.Inputs(**images)
    own = settings_from_dict(settings)
    base = resident("VmRSS")
    result = pipeline.register(inputs, own)
    report = result.report
    with tempfile.TemporaryDirectory() as folder, marked("save"):
        saving.save(result, inputs, Path(folder))
    plan = report["memory"]
    return {
        "name": name,
        "settings": settings,
        "base": base,
        "stages": {stage: peak - base for stage, peak in peaks.items()},
        "peak": whole,
        "sizes": plan["sizes"],
        "fallbacks": plan["fallbacks"],
    }


def resident(what: str) -> int:
    """VmHWM (largest) or VmRSS (now) of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024


def print_ratios(found: list[dict[str, Any]]) -> None:
    """A row a case: whole peak, largest stage measured and predicted, and the ratio."""
    print(f"{'case':36} {'process MiB':>11} {'beyond':>7} {'expected':>8} {'ratio':>6}  largest stage; off by most")
    for case in found:
        settings, sizes = settings_from_dict(case["settings"]), memory_terms.Sizes(**case["sizes"])
        expected = {
            row.partition(" ")[0]: sum(memory_terms.stage_bytes(row, sizes).values())
            for row in memory_terms.stages_of(settings, sizes)
        }
        measured = {stage: case["stages"][stage] for stage in expected}
        largest = max(measured, key=measured.__getitem__)
        worst = max(expected, key=lambda stage: abs(np.log(expected[stage] / max(measured[stage], 1))))
        most, expected_most = max(measured.values()), max(expected.values())
        print(
            f"{case['name']:36} {case['peak'] / MIB:11.0f} {most / MIB:7.0f} {expected_most / MIB:8.0f} "
            f"{expected_most / most:6.2f}  {largest}; {worst} {expected[worst] / measured[worst]:.2f}"
        )


def print_fit(found: list[dict[str, Any]]) -> None:
    """The copies of each row that fit all cases best, relative errors in least squares, none negative, those of the
    present table taken for as likely as `_PRIOR` says.
    """
    from scipy.optimize import nnls

    print("\nCOPIES: dict[str, dict[str, float]] = {")
    for row, known in memory_terms.COPIES.items():
        names = list(known)
        design, wanted = [], []
        for case in found:
            sizes = memory_terms.Sizes(**case["sizes"])
            if row in memory_terms.stages_of(settings_from_dict(case["settings"]), sizes):
                quantities = sizes.quantities
                measured = case["stages"][row.partition(" ")[0]]
                design.append([quantities[name] / measured for name in names])
                wanted.append(1.0)
        if not wanted:
            print(f"    {json.dumps(row)}: {json.dumps(known)},")
            continue
        # What the cases do not tell apart stays as it is in proportion.
        design += (_PRIOR * np.diag([1 / known[name] for name in names])).tolist()
        wanted += [_PRIOR] * len(names)
        copies = nnls(np.array(design), np.array(wanted))[0]
        terms = {name: max(round(float(value), 1), 0.1) for name, value in zip(names, copies, strict=True)}
        print(f"    {json.dumps(row)}: {json.dumps(terms)},")
    print("}")


if __name__ == "__main__":
    main()
