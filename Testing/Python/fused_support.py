"""Runs fused kernels in a process whose Triton interprets them, or only compiles them: neither needs a GPU."""

from __future__ import annotations

import contextlib
import importlib
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from device_work import OnDevice

PACKAGE = "VoxelOptRegistrationLib"


class InOtherProcess:
    """process("kernels.gpu.warping.warp", volume, displacement, border): what that function of the library returns."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), _prepare, (environment,))

    def __call__(self, function: str, *arguments: Any) -> Any:
        return self.run(call, function, *arguments)

    def run(self, function: Any, *arguments: Any) -> Any:
        given = [_packed(argument) for argument in arguments]
        return _unpacked(self._executor.submit(_unpacked_call, function, given).result())

    def close(self) -> None:
        self._executor.shutdown()


def call(function: str, *arguments: Any) -> Any:
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)(*arguments)


def call_on_gpu(function: str, *arguments: Any) -> Any:
    moved = [a.cuda() if isinstance(a, torch.Tensor) else a for a in arguments]
    result = call(function, *moved)
    return result.cpu() if isinstance(result, torch.Tensor) else [part.cpu() for part in result]


def solved(fixed: torch.Tensor, moving: torch.Tensor, trust: torch.Tensor, options: Any) -> tuple[Any, str]:
    """The displacement of a solve and, after it, what computes here."""
    from VoxelOptRegistrationLib.kernels.runtime import kernels_in_use
    from VoxelOptRegistrationLib.solvers.voxelopt import solve

    return solve(fixed, moving, options, moving_trust=trust).displacement, kernels_in_use()


def watched_level(fixed: torch.Tensor, moving: torch.Tensor, trust: torch.Tensor, options: Any) -> tuple[int, int]:
    """What a level step launches, and what else is launched for its level; raises where the host reads or feeds.

    Kernels are counted, not run: nobody waits for their numbers.
    """
    from VoxelOptRegistrationLib.fields.algebra import compose
    from VoxelOptRegistrationLib.kernels import runtime
    from VoxelOptRegistrationLib.kernels.gpu import coupling, filtering, matching, warping
    from VoxelOptRegistrationLib.solvers.candidates import candidate_displacements
    from VoxelOptRegistrationLib.solvers.driver import known_level, warped_level
    from VoxelOptRegistrationLib.solvers.pyramid import upsample_displacement
    from VoxelOptRegistrationLib.solvers.voxelopt import level_step

    launches = []

    def launch(kernel: Any, *arguments: Any, **constants: Any) -> None:
        launches.append(kernel)

    levels = known_level(fixed, None), known_level(moving, trust)
    candidates, total = candidate_displacements(options.search_radius), torch.zeros(3, *trust.shape)
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(runtime, "numba_serves", lambda: False))
        for module in (coupling, filtering, matching, warping):
            stack.enter_context(patch.object(module, "launch", launch))
        with OnDevice("cpu") as watch:
            level_step(*levels, candidates, options)
        step = len(launches) + watch.launches.total()
        launches.clear()
        with OnDevice("cpu") as watch:
            warped_level(levels[1], total, options.border)
            compose(total, total, options.border)
            sides = tuple(2 * side for side in trust.shape)
            upsample_displacement(total, sides, (True, True, True), options)
        return step, len(launches) + watch.launches.total()


def channels_far_apart() -> list[float]:
    """The last channel, warped by nothing, of a stack whose last channel begins beyond 2^31 numbers: its first four.

    Only the pages that are touched take memory.
    """
    from VoxelOptRegistrationLib.kernels.gpu import warping

    stride, channels = 2**28, 10
    volume = torch.empty(stride * channels, dtype=torch.float16)
    result = torch.empty(4 * channels)
    volume[(channels - 1) * stride : (channels - 1) * stride + 4] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    sizes = (channels, 1, 1, 4, stride, 1, 4, 4, 0.0, 1.0)
    warping._warp[(1,)](volume, torch.zeros(12), result, *sizes, REPLICATE=True, ADD=False, BLOCK=8)
    return [float(value) for value in result[-4:]]


def compiled(operation: str, capability: int, *arguments: Any) -> int:
    """Bytes of machine code of the kernel that `operation` starts, for NVIDIA GPUs of `capability`."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module = importlib.import_module(f"{PACKAGE}.kernels.gpu.{operation.partition('.')[0]}")
    sizes = []

    def compile_only(kernel: Any, grid: tuple[int, ...], *given: Any, **constants: Any) -> None:
        names = [name for name in kernel.arg_names if name not in constants]
        signature = {name: _triton_type(value) for name, value in zip(names, given, strict=True)}
        signature |= dict.fromkeys(constants, "constexpr")
        values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        done = triton.compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", capability, 32))
        sizes.append(len(done.asm["cubin"]))

    module.launch = compile_only
    getattr(module, operation.partition(".")[2])(*arguments)
    return min(sizes)


def _triton_type(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return "i32" if isinstance(value, int) else "fp32"
    names = {torch.float32: "fp32", torch.float16: "fp16", torch.int32: "i32", torch.uint8: "u8"}
    return f"*{names[value.dtype]}"


def _prepare(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)


def _unpacked_call(function: Any, arguments: list[Any]) -> Any:
    return _packed(function(*(_unpacked(argument) for argument in arguments)))


def _packed(value: Any) -> Any:
    """Tensors as arrays, which need no shared memory to travel."""
    if isinstance(value, (tuple, list)):
        return [_packed(part) for part in value]
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(part) for part in value]
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
