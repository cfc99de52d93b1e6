"""How far volumes may lie apart for the alignment before the deformable step to bring them together.

    python Testing/benchmarks/capture.py --data DIR [--shift 40] [--degrees 20] [--seeds 10] [--only brain] [--cut]

DIR holds the folders liver_mr, brain_t1, lung_ct and abdomen_ct. The moving volume of every pair is turned about a
random axis and shifted in a random direction, by half to all of `--degrees` and `--shift` mm (the abdomen: against
itself, with noise). Its field of view moves along, or with `--cut` stays where it was, so that a part of the body
leaves it. The alignment (auto) then has to find what it finds without the misplacement. One line per pair: in how many
of the runs the points of the body come within 3 mm of it on average, within 6 mm, the median and the largest of the
other distances, how many of the failures (beyond 6 mm) and of the others carry a warning, and seconds of
processor time.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "VoxelOptRegistration"))

from VoxelOptRegistrationLib.images.alignment import prealign
from VoxelOptRegistrationLib.options import Alignment

NEAR, FAR = 3.0, 6.0
"""mm: recovered; what the deformable step mends in any case."""
PAIRS = {
    "liver": ("liver_mr/fixed.nii.gz", "liver_mr/moving_phase6.nii.gz", None),
    "brain": ("brain_t1/fixed.nii.gz", "brain_t1/moving.nii.gz", None),
    "lung": ("lung_ct/fixed.nii.gz", "lung_ct/moving.nii.gz", -2000.0),
    "abdomen": ("abdomen_ct/ct.nii.gz", "abdomen_ct/ct.nii.gz", -2000.0),
}


def misplacement(image: sitk.Image, rng: np.random.Generator, shift: float, degrees: float) -> sitk.Transform:
    """A rigid motion about the middle of `image`."""
    axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    motion = sitk.VersorRigid3DTransform(axis.tolist(), math.radians(degrees) * rng.uniform(0.5, 1))
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    motion.SetCenter(middle)
    motion.SetTranslation((direction * shift * rng.uniform(0.5, 1)).tolist())
    return motion


def moved(image: sitk.Image, motion: sitk.Transform, cut: bool) -> sitk.Image:
    """`image` after `motion`, with its field of view or seen through the unmoved one."""
    if cut:
        smallest = float(sitk.GetArrayViewFromImage(image).min())
        return sitk.Resample(image, motion.GetInverse(), sitk.sitkLinear, smallest)
    result = sitk.Image(image)
    result.SetOrigin(motion.TransformPoint(image.GetOrigin()))
    turn = np.reshape(motion.GetMatrix(), (3, 3)) @ np.reshape(image.GetDirection(), (3, 3))
    result.SetDirection(turn.ravel().tolist())
    return result


def noisy(image: sitk.Image, rng: np.random.Generator) -> sitk.Image:
    """With noise of 2 % of the range from the 1st to the 99th percentile."""
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    low, high = np.percentile(values, [1, 99])
    result = sitk.GetImageFromArray(values + rng.normal(0, 0.02 * (high - low), values.shape).astype(np.float32))
    result.CopyInformation(image)
    return result


def body_points(image: sitk.Image, background: float | None, rng: np.random.Generator) -> np.ndarray:
    """Points, mm, of 400 random voxels brighter than Otsu's threshold."""
    values = sitk.GetArrayFromImage(image)
    data = values > (values.min() if background is None else background)
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.Execute(sitk.GetImageFromArray(values[data][None, None].astype(np.float32)))
    found = np.argwhere(data & (values > threshold.GetThreshold()))
    chosen = found[rng.integers(len(found), size=400)][:, ::-1]
    return np.array([image.TransformIndexToPhysicalPoint(index) for index in chosen.tolist()])


def through(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def campaign(name: str, data: Path, seeds: int, shift: float, degrees: float, cut: bool, verbose: bool) -> str:
    fixed_file, moving_file, background = PAIRS[name]
    fixed, moving = sitk.ReadImage(str(data / fixed_file)), sitk.ReadImage(str(data / moving_file))
    rng = np.random.default_rng(0)
    if fixed_file == moving_file:
        moving = noisy(moving, rng)
    points = body_points(fixed, background, rng)
    targets = through(prealign(fixed, moving, Alignment.AUTO, background=background).transform, points)
    distances, warned, seconds = [], [], 0.0
    for seed in range(seeds):
        motion = misplacement(moving, np.random.default_rng(seed), shift, degrees)
        misplaced = moved(moving, motion, cut)
        start = time.process_time()
        result = prealign(fixed, misplaced, Alignment.AUTO, background=background)
        seconds += time.process_time() - start
        error = through(result.transform, points) - through(motion, targets)
        distances.append(float(np.linalg.norm(error, axis=1).mean()))
        warned.append(bool(result.notes))
        if verbose:
            print(f"  {seed}: {distances[-1]:6.2f} mm  {result.mode.value}  fit {result.fit:.3f}  {result.notes}")
    found, warnings = np.array(distances), np.array(warned)
    failed = found > FAR
    return (
        f"{name:8} < {NEAR:g} mm {np.mean(found < NEAR):4.0%}  < {FAR:g} mm {np.mean(~failed):4.0%}  "
        f"median {np.median(found):5.2f} mm, largest {found.max():6.2f} mm  "
        f"warned: {int((warnings & failed).sum())} of {int(failed.sum())} failures, "
        f"{int((warnings & ~failed).sum())} of {int((~failed).sum())} others  {seconds / seeds:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--shift", type=float, default=40.0, help="mm")
    parser.add_argument("--degrees", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=PAIRS, action="append")
    parser.add_argument("--cut", action="store_true", help="the field of view stays where it was")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.only or PAIRS:
        line = campaign(
            name,
            arguments.data,
            arguments.seeds,
            arguments.shift,
            arguments.degrees,
            arguments.cut,
            arguments.verbose,
        )
        print(line, flush=True)


if __name__ == "__main__":
    main()
