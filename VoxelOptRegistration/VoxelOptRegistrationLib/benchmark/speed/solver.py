"""The solver alone, in its variants: the literal reference, plain torch, and with kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...features.mind import mind_ssc
from ...kernels.byte_floor import copy_bandwidth, descriptor_bytes, solve_bytes
from ...options import FeatureOptions, VoxelOptOptions
from ...solvers.pyramid import Shape, coarse_shape, plan_levels
from ...solvers.voxelopt import solve
from .. import literal_voxelopt
from .generated import feature_pair
from .operations import OPERATIONS, Volumes
from .peak_memory import peak_bytes
from .timing import Timed, in_turn, kernels_used

LITERAL, PLAIN, KERNELS = "literal reference", "plain torch", "kernels"
BOTH_WAYS = ", both ways"
WITH_MIND = ", one way, with MIND-SSC"
_WARM_SIDE = 20
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Task:
    """What is measured: grid (Z, Y, X), feature channels, torch's device, how often."""

    shape: tuple[int, int, int]
    channels: int
    device: str
    runs: int

    @classmethod
    def of(cls, words: dict[str, Any]) -> Task:
        """From JSON's lists and numbers."""
        return cls(**{**words, "shape": tuple(words["shape"])})


def one_way() -> VoxelOptOptions:
    """What the release computes too: one direction, no sub-voxel round, nothing averaged, nothing mended."""
    return VoxelOptOptions(squarings=7, subvoxel_rounds=0, inverse_consistency=False, invertible=False)


def least_bytes(shape: Shape, channels: int) -> int:
    """What `one_way` has to move at least for features (channels, *shape)."""
    options = one_way()
    levels = [shape]
    for axes in plan_levels(shape, options):
        levels.append(coarse_shape(levels[-1], axes, options))
    return sum(solve_bytes(levels, channels, options).values())


def least_bytes_with_mind(shape: Shape) -> int:
    """The same for two images and their MIND-SSC."""
    return least_bytes(shape, 12) + 2 * descriptor_bytes(math.prod(shape))


def variants(task: Task) -> dict[str, Timed]:
    """Every variant of solving on the task's device; the literal reference is left out on a GPU."""
    fixed, moving = feature_pair(task.channels, task.shape, task.device)
    plan = plan_levels(task.shape, one_way())
    images = [maps[0].contiguous() for maps in (fixed, moving)]
    calls: dict[str, Callable[[], object]] = {
        "": lambda: solve(fixed, moving, one_way()),
        BOTH_WAYS: lambda: solve(fixed, moving, VoxelOptOptions()),
    }
    found = {}
    if task.device.startswith("cuda"):
        calls[WITH_MIND] = lambda: solve(_described(images[0]), _described(images[1]), one_way())
    else:
        literal = Timed(lambda: literal_voxelopt.solve_one_way(fixed, moving, one_way(), plan), True, 0)
        found[LITERAL] = literal
    for what, call in calls.items():
        found[PLAIN + what] = Timed(call, True, task.runs)
        found[KERNELS + what] = Timed(call, False, task.runs)
    return found


def _described(image: Tensor) -> Tensor:
    """MIND-SSC as it is by default."""
    default = FeatureOptions()
    return mind_ssc(image, default.radius, default.dilation, default.floor)


def measure_solver(task: Task) -> dict[str, Any]:
    """Seconds of every variant, measured in turn, and its peak memory beyond the features, bytes; the seconds that
    kernels need to get ready; the least traffic of the one-way solve, without and with MIND-SSC, bytes; what memory
    copies, bytes per second.
    """
    used, compiling = _warm(task)
    calls = {name: timed for name, timed in variants(task).items() if used or not name.startswith(KERNELS)}
    seconds = in_turn(calls, task.device)
    return {
        "seconds": seconds,
        "peak_bytes": {name: peak_bytes(timed, task.device) for name, timed in calls.items()},
        "kernels": used,
        "compile_seconds": compiling,
        "bytes": least_bytes(task.shape, task.channels),
        "bytes_with_mind": least_bytes_with_mind(task.shape),
        "bandwidth": copy_bandwidth(task.device, repeats=max(task.runs, 3)),
    }


def measure_growth(task: Task) -> dict[str, Any]:
    """Seconds and peak memory, bytes, of the fastest variant both ways: with kernels where there are any."""
    name = (KERNELS if _warm(task)[0] else PLAIN) + BOTH_WAYS
    timed = variants(task)[name]
    return {"seconds": in_turn({name: timed}, task.device)[name], "peak_bytes": peak_bytes(timed, task.device)}


def measure_operations(task: Task) -> dict[str, Any]:
    """Every operation in plain torch and with what kernels there are, in turn; names of these; least bytes."""
    voxels = task.shape[0] * task.shape[1] * task.shape[2]
    small = Volumes((_WARM_SIDE,) * 3, task.channels, task.device)
    volumes = Volumes(task.shape, task.channels, task.device)
    found = {}
    for name, operation in OPERATIONS.items():
        used = kernels_used(operation.prepare(small))
        call = operation.prepare(volumes)
        calls = {PLAIN: Timed(call, True, task.runs)}
        if used:
            calls[KERNELS] = Timed(call, False, task.runs)
        found[name] = {
            "seconds": in_turn(calls, task.device),
            "kernels": used,
            "bytes": _FLOAT_BYTES * voxels * operation.floats(task.channels),
        }
    return found


TASKS = {"solver": measure_solver, "growth": measure_growth, "operations": measure_operations}


def _warm(task: Task) -> tuple[list[str], float]:
    """Solve something small in every way, so that nothing is compiled later: the names of the kernels it used, and how
    many seconds they took to get ready.
    """
    fixed, moving = feature_pair(task.channels, (_WARM_SIDE,) * 3, task.device)

    def small() -> None:
        solve(fixed, moving, VoxelOptOptions())

    in_turn({PLAIN: Timed(small, True, 0)}, task.device)
    seconds = [in_turn({KERNELS: Timed(small, False, 0)}, task.device)[KERNELS] for _ in range(2)]
    return kernels_used(small), max(0.0, seconds[0] - seconds[1])
