"""The fast solver against its literal twin: time and memory, side by side in one run, as ratios.

    python Testing/benchmarks/solver_speed.py [--shape 96 80 128] [--channels 12] [--threads 2] [--runs 3]

Prints seconds (median of the runs), their ratio, where the fast solver spends its time, and its peak memory beyond the
features in units of one score volume. One direction, no mending, as the twin does. Absolute seconds differ between
computers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelOptRegistration"), str(REPOSITORY / "Testing" / "Python")]

import literal_voxelopt as literal  # noqa: E402
import torch  # noqa: E402
from solver_images import smooth_field, textured  # noqa: E402
from torch import Tensor  # noqa: E402
from VoxelOptRegistrationLib.fields.sampling import warp  # noqa: E402
from VoxelOptRegistrationLib.options import VoxelOptOptions  # noqa: E402
from VoxelOptRegistrationLib.solvers.pyramid import plan_levels  # noqa: E402
from VoxelOptRegistrationLib.solvers.voxelopt import solve  # noqa: E402


def features(shape: tuple[int, int, int], channels: int) -> tuple[Tensor, Tensor]:
    moving = textured(channels, shape, 0)
    return warp(moving, smooth_field(shape, 8.0, 1)), moving


def median_seconds(run: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_score_volumes(shape: tuple[int, int, int], channels: int, threads: int) -> float:
    """Memory that solving adds at its peak to a process that holds the features, in score volumes of the finest
    level.
    """
    command = [sys.executable, __file__, "--measure-memory", "--threads", str(threads), "--channels", str(channels)]
    printed = subprocess.run([*command, "--shape", *map(str, shape)], check=True, capture_output=True, text=True).stdout
    return float(json.loads(printed))


def measure_memory(shape: tuple[int, int, int], channels: int) -> float:
    import resource

    fixed, moving = features(shape, channels)
    solve(fixed[:, :16, :16, :16], moving[:, :16, :16, :16], one_way())
    before = resident_bytes()
    solve(fixed, moving, one_way())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (peak - before) / (27 * fixed[0].numel() * 4)


def resident_bytes() -> int:
    fields = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in fields if line.startswith("VmRSS")).split()[1]) * 1024


def one_way() -> VoxelOptOptions:
    return VoxelOptOptions(squarings=7, inverse_consistency=False, invertible=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 80, 128), metavar=("Z", "Y", "X"))
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure-memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    shape = (arguments.shape[0], arguments.shape[1], arguments.shape[2])
    if arguments.measure_memory:
        print(measure_memory(shape, arguments.channels))
        return
    fixed, moving = features(shape, arguments.channels)
    options = one_way()
    plan = plan_levels(shape, options)
    fast = median_seconds(lambda: solve(fixed, moving, options), arguments.runs)
    slow = median_seconds(lambda: literal.solve_one_way(fixed, moving, options, plan), 1)
    both = median_seconds(lambda: solve(fixed, moving, VoxelOptOptions()), arguments.runs)
    grid = " x ".join(map(str, shape))
    setting = f"{arguments.channels} channels, float32, {arguments.threads} threads, torch {torch.__version__}"
    print(f"{grid} voxels, {setting}")
    print(f"fast solver, one way       {fast:8.2f} s   1/{slow / fast:.1f} of the twin")
    print(f"default mode (both ways, inverse consistency, mending) {both:8.2f} s")
    if Path("/proc/self/status").exists():
        volumes = peak_score_volumes(shape, arguments.channels, arguments.threads)
        print(f"peak memory beyond the features: {volumes:.2f} score volumes")


if __name__ == "__main__":
    main()
