"""Where the solver's time and memory go: what `voxelopt benchmark speed --parts solver` measures, its stages besides.

    python Testing/benchmarks/solver_speed.py [--shape 96 80 128] [--channels 12] [--threads 2] [--runs 5]

Prints the seconds of every variant and their share of the literal twin's, the peak memory beyond the features in units
of one score volume, and the seconds of each stage of the default mode, with kernels and in plain torch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "VoxelOptRegistration"))

from VoxelOptRegistrationLib.devices import load_torch  # noqa: E402

load_torch()  # first, for the waiting policy of its threads

import torch  # noqa: E402
from VoxelOptRegistrationLib.benchmark.speed.generated import feature_pair  # noqa: E402
from VoxelOptRegistrationLib.benchmark.speed.solver import LITERAL, Task, measure_solver  # noqa: E402
from VoxelOptRegistrationLib.benchmark.speed.timing import kernels_off  # noqa: E402
from VoxelOptRegistrationLib.options import VoxelOptOptions  # noqa: E402
from VoxelOptRegistrationLib.solvers import driver, match_evidence, scoring, subvoxel, voxelopt  # noqa: E402
from VoxelOptRegistrationLib.solvers.message_passing import ThreeTapFilter  # noqa: E402
from VoxelOptRegistrationLib.solvers.voxelopt import solve  # noqa: E402


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
        for place in (voxelopt, scoring, subvoxel, match_evidence, driver, ThreeTapFilter)
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
    return {**seconds, "the rest": whole - sum(seconds.values()), "whole": whole}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 80, 128), metavar=("Z", "Y", "X"))
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = Task(tuple(arguments.shape), arguments.channels, "cpu", arguments.runs)
    fixed, moving = feature_pair(task.channels, task.shape, task.device)

    def run() -> None:
        solve(fixed, moving, VoxelOptOptions())

    found = measure_solver(task)
    score_volume = 27 * fixed[0].numel() * fixed.element_size()
    print(f"{' x '.join(map(str, task.shape))} voxels, {task.channels} channels, {arguments.threads} threads")
    print(f"{'':28}{'s':>10}{'twin / it':>12}{'score volumes':>16}")
    for variant, seconds in found["seconds"].items():
        peak = found["peak_bytes"][variant]
        volumes = "" if peak is None else f"{peak / score_volume:16.2f}"
        print(f"{variant:28}{seconds:10.3f}{found['seconds'][LITERAL] / seconds:12.1f}{volumes}")
    with_kernels = seconds_of_stages(run)
    with kernels_off(True):
        plain = seconds_of_stages(run)
    print(f"{'default mode, stages':28}{'kernels, s':>12}{'torch, s':>12}")
    for stage, seconds in with_kernels.items():
        print(f"  {stage:26}{seconds:12.3f}{plain[stage]:12.3f}")


if __name__ == "__main__":
    main()
