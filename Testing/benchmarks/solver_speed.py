"""The fast solver against its literal twin: time and memory, side by side in one run, as ratios.

    python Testing/benchmarks/solver_speed.py [--shape 96 80 128] [--channels 12] [--threads 2] [--runs 5]

Prints seconds (median of the runs) of the literal twin, of plain torch and of the compiled loops, their ratios, the
seconds of each stage, and the peak memory of the default mode beyond the features, in units of one score volume.
Ratios are of one direction without mending, as the twin does. Absolute seconds differ between computers. The first run
says what compiling the loops takes; loops that an earlier process compiled are read from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STAGES = {
    "build_pyramid": "pyramid",
    "warp": "warped features",
    "similarity_scores": "scores",
    "displacement_entropy": "entropy",
    "entropy_filter": "filter's weights",
    "smooth_": "filter",
    "best_displacement": "coupled maximum",
    "exponential": "exponential",
    "compose": "composition",
    "upsample_displacement": "upsampling",
    "make_inverse_consistent": "inverse consistency",
    "make_invertible": "mending of folds",
}

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelOptRegistration"), str(REPOSITORY / "Testing" / "Python")]

from VoxelOptRegistrationLib.devices import load_torch  # noqa: E402

load_torch()  # first, for the waiting policy of its threads

import torch  # noqa: E402
from solver_images import smooth_field, textured  # noqa: E402
from torch import Tensor  # noqa: E402
from VoxelOptRegistrationLib.benchmark import literal_voxelopt as literal  # noqa: E402
from VoxelOptRegistrationLib.fields.sampling import warp  # noqa: E402
from VoxelOptRegistrationLib.kernels.runtime import SWITCH, kernels_in_use  # noqa: E402
from VoxelOptRegistrationLib.options import VoxelOptOptions  # noqa: E402
from VoxelOptRegistrationLib.solvers import driver, match_evidence, subvoxel, voxelopt  # noqa: E402
from VoxelOptRegistrationLib.solvers.message_passing import ThreeTapFilter  # noqa: E402
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


def seconds_of_stages(run: Callable[[], object]) -> dict[str, float]:
    """Seconds that one run spends in each of `STAGES`; what it does besides them is "the rest"."""
    seconds = dict.fromkeys(STAGES.values(), 0.0)

    def timed(function: Callable[..., object], stage: str) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds[stage] += time.perf_counter() - start

        return call

    places = [
        (place, name)
        for place in (voxelopt, subvoxel, match_evidence, driver, ThreeTapFilter)
        for name in STAGES
        if hasattr(place, name)
    ]
    originals = [getattr(place, name) for place, name in places]
    try:
        for (place, name), original in zip(places, originals, strict=True):
            setattr(place, name, timed(original, STAGES[name]))
        start = time.perf_counter()
        run()
        whole = time.perf_counter() - start
    finally:
        for (place, name), original in zip(places, originals, strict=True):
            setattr(place, name, original)
    return {**seconds, "the rest": whole - sum(seconds.values())}


@contextmanager
def plain_torch() -> Iterator[None]:
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "torch"
    try:
        yield
    finally:
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before


def peak_score_volumes(shape: tuple[int, int, int], channels: int, threads: int) -> float:
    """Memory that solving adds at its peak to a process that holds the features, in score volumes of the finest
    level.
    """
    command = [sys.executable, __file__, "--measure-memory", "--threads", str(threads), "--channels", str(channels)]
    # Blocks that are free go back to the system at once, so that what is resident is what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1048576"}
    command += ["--shape", *map(str, shape)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(json.loads(printed))


def measure_memory(shape: tuple[int, int, int], channels: int) -> float:
    fixed, moving = features(shape, channels)
    solve(fixed[:, :16, :16, :16], moving[:, :16, :16, :16], VoxelOptOptions())
    forget_peak()
    before = resident_bytes("VmRSS")
    solve(fixed, moving, VoxelOptOptions())
    return (resident_bytes("VmHWM") - before) / (27 * fixed[0].numel() * 4)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def one_way() -> VoxelOptOptions:
    return VoxelOptOptions(squarings=7, inverse_consistency=False, invertible=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 80, 128), metavar=("Z", "Y", "X"))
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
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
    modes = VoxelOptOptions()
    first = median_seconds(lambda: solve(fixed[:, :16, :16, :16], moving[:, :16, :16, :16], modes), 1)
    solve(fixed, moving, options)
    fast = median_seconds(lambda: solve(fixed, moving, options), arguments.runs)
    both = median_seconds(lambda: solve(fixed, moving, modes), arguments.runs)
    stages = seconds_of_stages(lambda: solve(fixed, moving, modes))
    with plain_torch():
        torch_alone = median_seconds(lambda: solve(fixed, moving, options), arguments.runs)
        torch_both = median_seconds(lambda: solve(fixed, moving, modes), 1)
        torch_stages = seconds_of_stages(lambda: solve(fixed, moving, modes))
    slow = median_seconds(lambda: literal.solve_one_way(fixed, moving, options, plan), 1)
    grid = " x ".join(map(str, shape))
    setting = f"{arguments.channels} channels, float32, {arguments.threads} threads, torch {torch.__version__}"
    print(f"{grid} voxels, {setting}, {kernels_in_use()}")
    print(f"first run, 16^3 voxels     {first:8.2f} s")
    print(f"literal twin, one way      {slow:8.2f} s")
    print(f"plain torch, one way       {torch_alone:8.2f} s   1/{slow / torch_alone:.1f} of the twin")
    print(f"fast solver, one way       {fast:8.2f} s   1/{slow / fast:.1f} of the twin")
    print("default mode (both ways, inverse consistency, mending)")
    print(f"{'':24}{'fast, s':>10}{'torch, s':>10}")
    for stage, seconds in stages.items():
        print(f"  {stage:22}{seconds:10.3f}{torch_stages[stage]:10.3f}")
    print(f"  {'whole':22}{both:10.3f}{torch_both:10.3f}")
    if Path("/proc/self/clear_refs").exists():
        volumes = peak_score_volumes(shape, arguments.channels, arguments.threads)
        print(f"peak memory beyond the features: {volumes:.2f} score volumes")


if __name__ == "__main__":
    main()
