"""Runs fused kernels in a process whose Triton interprets them, or only compiles them: neither needs a GPU."""

from __future__ import annotations

import contextlib
import importlib
import os
from concurrent.futures import ProcessPoolExecutor
from functools import wraps
from inspect import isfunction
from multiprocessing import get_context
from pkgutil import iter_modules
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from device_work import OnDevice
from torch import Tensor

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


def matched(image: torch.Tensor, other: torch.Tensor, trust: torch.Tensor, features: Any, options: Any) -> torch.Tensor:
    """From two images to the displacement, by their MIND-SSC."""
    from VoxelOptRegistrationLib.features.mind import mind_ssc
    from VoxelOptRegistrationLib.solvers.voxelopt import solve

    maps = [mind_ssc(volume, features.radius, features.dilation, features.floor) for volume in (image, other)]
    return solve(*maps, options, moving_trust=trust).displacement


def descended(image: torch.Tensor, other: torch.Tensor, trust: torch.Tensor, options: Any) -> torch.Tensor:
    """Where the composed steps lead from no displacement."""
    from VoxelOptRegistrationLib.refinement.composed_steps import descend
    from VoxelOptRegistrationLib.refinement.forces import CorrelationForce

    force = CorrelationForce.of(image, other, (None, trust), options)
    return descend(torch.zeros(3, *image.shape), force, options.iterations[0], options)


def gone_on(speed: torch.Tensor, momentum: float, update: torch.Tensor, share: float) -> tuple[float, torch.Tensor]:
    """What `vectors.go_on` returns, and the speed that it leaves."""
    speed = speed.clone()
    return call("kernels.gpu.vectors.go_on", speed, momentum, update, share), speed


def served(function: Any, *arguments: Any) -> tuple[Any, list[str]]:
    """What a function returns, and the fused operations, "module.function", that served in it."""
    names: set[str] = set()
    modules = [module for module in _kernel_modules() if not module.__name__.endswith(".launching")]
    for module in modules:
        for name, value in list(vars(module).items()):
            if isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
                setattr(module, name, _recorded(value, names))
    try:
        return function(*arguments), sorted(names)
    finally:
        for module in modules:
            for name, value in list(vars(module).items()):
                if isfunction(value):
                    setattr(module, name, getattr(value, "__wrapped__", value))


def _recorded(operation: Any, names: set[str]) -> Any:
    @wraps(operation)
    def recorded(*arguments: Any) -> Any:
        result = operation(*arguments)
        names.add(f"{operation.__module__.rpartition('.')[2]}.{operation.__name__}")
        return result

    return recorded


def watched_level(fixed: torch.Tensor, moving: torch.Tensor, trust: torch.Tensor, options: Any) -> tuple[int, int]:
    """What a level step launches, and what else is launched for its level; raises where the host reads or feeds.

    Kernels are counted, not run: nobody waits for their numbers.
    """
    from VoxelOptRegistrationLib.fields.algebra import compose
    from VoxelOptRegistrationLib.kernels import runtime
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
        for module in _kernel_modules():
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

    sizes = []

    def compile_only(kernel: Any, grid: tuple[int, ...], *given: Any, **constants: Any) -> None:
        names = [name for name in kernel.arg_names if name not in constants]
        fixed = {parameter.name for parameter in kernel.params if not parameter.do_not_specialize}
        integers = {name: value for name, value in zip(names, given, strict=True) if isinstance(value, int)}
        ones = {name: 1 for name, value in integers.items() if name in fixed and value == 1}
        constants |= ones  # As Triton does when it launches.
        signature = {name: _triton_type(value) for name, value in zip(names, given, strict=True)}
        signature |= dict.fromkeys(constants, "constexpr")
        values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        done = triton.compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", capability, 32))
        sizes.append(len(done.asm["cubin"]))

    for module in _kernel_modules():
        module.launch = compile_only
    call(f"kernels.gpu.{operation}", *arguments)
    return min(sizes)


def variants(operation: str, calls: list[Any]) -> int:
    """How often Triton compiles for `calls`, lists of arguments of `operation`: anew for integers that are 1 or
    divisible by 16, unless told not to.
    """
    found = set()

    def note(kernel: Any, grid: tuple[int, ...], *given: Any, **constants: Any) -> None:
        free = {parameter.name for parameter in kernel.params if not parameter.do_not_specialize}
        named = zip(kernel.arg_names, given, strict=False)
        kinds = [(v == 1, v % 16 == 0) for name, v in named if isinstance(v, int) and name in free]
        found.add((kernel.arg_names[0], *kinds, *constants.items()))

    for module in _kernel_modules():
        module.launch = note
    for arguments in calls:
        call(f"kernels.gpu.{operation}", *arguments)
    return len(found)


def _kernel_modules() -> list[Any]:
    """All modules with fused kernels."""
    package = importlib.import_module(f"{PACKAGE}.kernels.gpu")
    modules = [importlib.import_module(f"{package.__name__}.{info.name}") for info in iter_modules(package.__path__)]
    return [module for module in modules if hasattr(module, "launch")]


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


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), atol=tolerance, rtol=0)
