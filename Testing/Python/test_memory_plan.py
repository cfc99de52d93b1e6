"""Memory: what is expected, what is measured, grids that fit, and going on where it runs out."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from conftest import REPOSITORY, command_environment
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from VoxelOptRegistrationLib import fallbacks
from VoxelOptRegistrationLib.comparison import Comparison
from VoxelOptRegistrationLib.devices import Device, choose_device
from VoxelOptRegistrationLib.errors import ComputationError, InputError, OutOfMemory
from VoxelOptRegistrationLib.fallbacks import solve_within_memory
from VoxelOptRegistrationLib.memory_plan import Budget, Plan, make_plan, predict
from VoxelOptRegistrationLib.memory_terms import COMPUTED, COPIES, Sizes, stages_of
from VoxelOptRegistrationLib.options import ConvexAdamOptions, DescentOptions, GridOptions, SAMConvexOptions, Settings
from VoxelOptRegistrationLib.phantom import make_phantom
from VoxelOptRegistrationLib.presets import REFINEMENTS, SOLVERS
from VoxelOptRegistrationLib.progress import Watcher
from VoxelOptRegistrationLib.registration import Inputs
from VoxelOptRegistrationLib.resources import is_exhaustion, memory_errors
from VoxelOptRegistrationLib.solvers.solution import Solution
from VoxelOptRegistrationLib.solving import Problem, solve_problem
from VoxelOptRegistrationLib.stopwatch import Stopwatch

MIB = 2**20
VOLUME = sitk.Image([256, 160, 192], sitk.sitkInt16)
ON_CPU = Device("cpu", "CPU", 8 * 2**30, 16 * 2**30)

EXHAUSTED = """
import dataclasses, json, resource, sys
from pathlib import Path
import SimpleITK as sitk
from VoxelOptRegistrationLib.options import Alignment, GridOptions, VoxelOptOptions
from VoxelOptRegistrationLib.phantom import make_phantom
from VoxelOptRegistrationLib.pipeline import Inputs, register
from VoxelOptRegistrationLib.presets import load_preset

phantom = make_phantom((36, 42, 54))
volumes = [sitk.Expand(image, [2, 2, 2]) for image in (phantom.fixed, phantom.moving)]
quick = VoxelOptOptions(couplings=(1.0,), inverse_consistency=False)
settings = dataclasses.replace(load_preset("abdomen-ct"), refine="none", align=Alignment.CENTRE, solver=quick)
small = dataclasses.replace(settings, grid=GridOptions(max_voxels=20_000))
register(Inputs(*volumes), small)  # What comes once, such as libraries and threads, is there.
status = Path("/proc/self/status").read_text().splitlines()
size = 1024 * int(next(line for line in status if line.startswith("VmSize")).split()[1])
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]) * 2**20, resource.RLIM_INFINITY))
report = register(Inputs(*volumes), dataclasses.replace(settings, grid=GridOptions(max_voxels=500_000))).report
print(json.dumps({name: report[name] for name in ("memory", "warnings", "working_grid")}))
"""


def budget_of(mib: float) -> Budget:
    return Budget(round(mib * MIB), None, 400 * MIB)


def plan_of(mib: float, **changes: object) -> Plan:
    return make_plan(VOLUME, VOLUME, 12, dataclasses.replace(Settings(), **changes), budget_of(mib))


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("refine", REFINEMENTS)
def test_grids_fit_into_the_budget_and_fill_it(method: str, refine: str) -> None:
    grid = GridOptions(max_voxels=7_000_000)
    voxels = []
    for mib in (1500, 3000, 100_000):
        plan = plan_of(mib, method=method, refine=refine, grid=grid)
        computed = max(size for stage, size in plan.predicted.items() if stage.startswith(("features", "solve")))
        assert computed <= mib * MIB
        voxels.append(plan.work.voxels)
    assert voxels[0] < voxels[1] <= voxels[2] <= 7_000_000
    assert voxels[2] > 6_900_000


def test_the_refinement_is_made_coarser_where_memory_asks_for_it() -> None:
    descent = DescentOptions(scales=(1.0, 12.0), iterations=(3, 2))
    changes = {"descent": descent, "grid": GridOptions(max_voxels=300_000)}
    roomy, tight = plan_of(100_000, **changes), plan_of(400, **changes)
    assert [steps for _, steps in roomy.stages] == [3, 2]
    assert roomy.stages[0][0].voxels == tight.stages[0][0].voxels <= 300_000
    assert 300_000 < tight.stages[1][0].voxels < roomy.stages[1][0].voxels <= 3_600_000
    assert tight.predicted["refine local-ncc"] <= 400 * MIB


def test_far_too_little_memory_names_the_largest_grid_that_fits() -> None:
    enough = 100_000.0
    with pytest.raises(ComputationError, match="largest grid that fits") as caught:
        while enough > 1:
            plan_of(enough, refine="none")
            enough *= 0.8
    assert "grid.max_voxels" in caught.value.remedy and "\n" not in str(caught.value)


@pytest.mark.parametrize("mib", [0, 0.5, 50, 150])
def test_what_gives_more_memory_is_named_and_how_much_is_needed(mib: float) -> None:
    """What the computation takes on any grid counts: 150 MiB are more than a small grid's own share."""
    for changes, remedy in ({}, "Close other programs"), ({"memory_gib": 1.0}, "Raise memory_gib"):
        with pytest.raises(ComputationError) as caught:
            plan_of(mib, **changes)
        assert caught.value.remedy.startswith(remedy)
        shown = f"{mib * 1024:.0f} KiB" if mib < 1 else f"{mib:.1f} MiB"
        least = max(
            size
            for stage, size in predict(Sizes.of(Settings(), 0, 0, 512, 0, 12), Settings())[0].items()
            if stage.startswith(COMPUTED)
        )
        assert shown in caught.value.text
        if mib < 100:
            assert f"{least / MIB:.1f} MiB are needed" in caught.value.text


def test_volumes_that_alone_need_more_are_told() -> None:
    large = sitk.Image([512, 512, 300], sitk.sitkUInt8)
    plan = make_plan(large, large, 12, Settings(), budget_of(1500))
    assert plan.note is not None and "1.5 GiB can be used" in plan.note
    assert make_plan(large, large, 12, Settings(), budget_of(100_000)).note is None


def test_an_apple_gpu_shares_main_memory() -> None:
    on_mps = Device("mps", "Apple GPU", ON_CPU.free_bytes, ON_CPU.total_bytes)
    for settings in (Settings(), Settings(memory_gib=2.0)):
        mine, cpus = Budget.of(on_mps, settings), Budget.of(ON_CPU, settings)
        assert mine.device is None and mine.main == pytest.approx(cpus.main, abs=64 * MIB)


sizes_strategy = st.builds(
    Sizes,
    *(st.integers(0, 10**8) for _ in range(4)),
    st.integers(1, 300),
    st.floats(1, 1000),
)


@examples(deadline=None)
@given(sizes_strategy, st.sampled_from(SOLVERS), st.sampled_from(REFINEMENTS))
def test_a_gpu_takes_over_a_part_of_the_memory_and_never_more(sizes: Sizes, method: str, refine: str) -> None:
    settings = Settings(method=method, refine=refine)
    together, nothing = predict(sizes, settings)
    main, device = predict(sizes, settings, on_gpu=True)
    assert not nothing and list(main) == list(together) == list(stages_of(settings, sizes))
    for stage, size in together.items():
        assert main[stage] + device.get(stage, 0) == pytest.approx(size, abs=2)
        assert stage.startswith(("features", "solve", "refine")) == (stage in device)


@examples(deadline=None)
@given(sizes_strategy, sizes_strategy)
def test_what_is_larger_never_needs_less(one: Sizes, other: Sizes) -> None:
    both = Sizes(*(max(a, b) for a, b in zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)))
    # With a limit, so that the files of both are written in the same way.
    low, high = (predict(sizes, Settings(memory_gib=8.0))[0] for sizes in (one, both))
    assert all(low[stage] <= high[stage] for stage in low)


def test_every_method_and_refinement_has_its_row() -> None:
    every = [Settings(method=method, refine=refine) for method in SOLVERS for refine in REFINEMENTS]
    few, many = (Sizes.of(Settings(), voxels, voxels, 1, 1, 12) for voxels in (10**6, 10**7))
    assert {row for settings in every for sizes in (few, many) for row in stages_of(settings, sizes)} == set(COPIES)
    assert all(len(stages_of(Settings(method=method), few)) == 10 for method in SOLVERS)
    saving = [stages_of(Settings(memory_gib=gib), sizes)[-1] for gib, sizes in ((0.0, few), (2.0, few), (0.0, many))]
    assert saving == ["save together", "save singly", "save singly"]


def test_scores_grow_with_the_candidates() -> None:
    """The scores of the search are held at once: one for each candidate of each cell, shared by its voxels."""
    for width in (4, 8):
        settings = Settings(method="convexadam", convexadam=ConvexAdamOptions(spacing=2, search_width=width))
        assert Sizes.of(settings, 1, 1, 1000, 0, 12).scores == (2 * width + 1) ** 3 / 2**3
    settings = Settings(method="samconvex", samconvex=SAMConvexOptions(spacing=1, search_radii=(2, 4)))
    assert Sizes.of(settings, 1, 1, 1000, 0, 12).scores == 9**3


def test_the_users_budget_counts_the_process_on_the_cpu_and_the_gpu_where_one_computes() -> None:
    given_gib = Settings(memory_gib=2.0)
    own = Budget.of(ON_CPU, given_gib)
    assert own.device is None and own.main + (own.resident or 0) == 2 * 2**30
    assert Budget.of(ON_CPU, Settings()).main == pytest.approx(0.8 * 8 * 2**30)
    gpu = Device("cuda:0", "GPU", 6 * 2**30, 8 * 2**30)
    assert Budget.of(gpu, given_gib).device == 2 * 2**30
    assert Budget.of(gpu, Settings(memory_gib=50.0)).device == 6 * 2**30
    assert Budget.of(gpu, Settings()).main > 0
    with pytest.raises(InputError, match="memory_gib"):
        Settings(memory_gib=-1.0)


@pytest.mark.parametrize(
    "take",
    [
        lambda: torch.empty(2**50),
        lambda: np.ones(2**50, np.uint8),
        lambda: sitk.Image([2**16, 2**16, 2**10], sitk.sitkVectorFloat64),
        lambda: bytearray(2**60),
    ],
    ids=["torch", "numpy", "SimpleITK", "Python"],
)
def test_real_errors_of_exhaustion_are_known(take: object) -> None:
    with pytest.raises(OutOfMemory, match="ran out of memory"), memory_errors(ON_CPU, "a test"):
        take()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("fail", "named"),
    [
        (lambda: torch.empty(2**50), "CPU"),
        (lambda: bytearray(2**60), "CPU"),
        (lambda: raised(torch.OutOfMemoryError("Tried to allocate 2.00 GiB.")), "Some GPU"),
        (lambda: raised(RuntimeError("CUDA error: out of memory")), "Some GPU"),
        (lambda: raised(RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)")), "Some GPU"),
    ],
)
def test_the_device_is_named_that_ran_out(fail: Callable[[], object], named: str) -> None:
    gpu = Device("cuda:0", "Some GPU", 8 * 2**30, 8 * 2**30)
    with pytest.raises(OutOfMemory) as caught, memory_errors(gpu, "a test"):
        fail()
    assert caught.value.text.startswith(f"{named} ran out of memory (")
    assert ("another device" in caught.value.remedy) == (named != "CPU")


def raised(error: Exception) -> None:
    raise error


def test_other_errors_are_no_exhaustion() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not is_exhaustion(caught.value) and not is_exhaustion(ValueError("out of memory"))


@pytest.fixture(scope="module")
def problem() -> Problem:
    phantom = make_phantom((24, 30, 36))
    inputs = Inputs(phantom.fixed, phantom.moving)
    settings = Settings(refine="none", grid=GridOptions(max_voxels=40_000))
    comparison = Comparison.plan(inputs, settings.features, 2**30, lambda text: None)
    return Problem(inputs, settings, sitk.Transform(3, sitk.sitkIdentity), comparison, choose_device("cpu"), Watcher())


def plan_for(problem: Problem) -> Plan:
    volumes = problem.inputs.fixed, problem.inputs.moving
    return make_plan(*volumes, problem.comparison.channels, problem.settings, budget_of(100_000))


def exhausted(times: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The solver without memory for its first `times` tries; where and on how many voxels it was tried."""
    tries: list[tuple[str, int]] = []

    def solve(problem: Problem, plan: Plan, clock: Stopwatch) -> tuple[Solution, object]:
        tries.append((problem.device.name, plan.work.voxels))
        with memory_errors(problem.device, f"the working grid of {plan.work.title}"):
            if len(tries) <= times:
                torch.empty(2**50)
            return solve_problem(problem, plan, clock)

    monkeypatch.setattr(fallbacks, "solve_problem", solve)
    return tries


def test_grids_become_coarser_until_it_goes(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = exhausted(1, monkeypatch)
    found = solve_within_memory(problem, plan_for(problem), Stopwatch())
    assert [name for name, _ in tries] == ["cpu", "cpu"]
    assert tries[1][1] <= tries[0][1] / 2
    assert found.solution.displacement.shape[1:] == found.grid.size_zyx == found.plan.work.size_zyx
    assert len(found.notes) == 1 and "ran out of memory" in found.notes[0] and found.grid.title in found.notes[0]


def test_the_cpu_comes_after_the_gpus_coarsest_grid_with_what_was_asked_for(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = exhausted(2, monkeypatch)
    on_gpu = dataclasses.replace(problem, device=Device("cuda:0", "GPU", 2**33, 2**33))
    monkeypatch.setattr(fallbacks, "_FEWEST_VOXELS", 15_000)
    found = solve_within_memory(on_gpu, plan_for(on_gpu), Stopwatch())
    assert [name for name, _ in tries] == ["cuda:0", "cuda:0", "cpu"]
    assert found.problem.device.name == "cpu" and "on CPU" in found.notes[-1]
    assert tries[1][1] < tries[0][1] == tries[2][1] and found.problem.settings == problem.settings
    assert ["less exact" in note for note in found.notes] == [True, False]


def test_in_the_end_it_is_an_error(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = exhausted(100, monkeypatch)
    with pytest.raises(OutOfMemory, match="ran out of memory") as caught:
        solve_within_memory(problem, plan_for(problem), Stopwatch())
    assert 1 < len(tries) <= 4 and "grid.max_voxels" in caught.value.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process's memory are Linux's")
def test_a_process_whose_memory_runs_out_goes_on_with_less() -> None:
    environment = command_environment() | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", EXHAUSTED, "85"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    notes = report["memory"]["fallbacks"]
    assert notes and all("ran out of memory" in note for note in notes)
    assert report["warnings"][: len(notes)] == notes
    assert np.prod(report["working_grid"]["size"]) <= 500_000 / 2 ** len(notes)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a stage")
def test_what_is_expected_is_what_is_taken(tmp_path: Path) -> None:
    """A small case of the benchmark; its constants weigh more than the volumes, so it is the hardest to foretell."""
    phantom = make_phantom((36, 42, 54))
    files = {}
    for name, image in (("fixed", phantom.fixed), ("moving", phantom.moving)):
        files[name] = str(tmp_path / f"{name}.nii")
        sitk.WriteImage(sitk.Expand(image, [2, 2, 2]), files[name])
    settings = {
        "align": "center",
        "refine": "local-ncc",
        "grid": {"max_voxels": 300_000},
        "solver": {"couplings": [1.0]},
        "descent": {"iterations": [1]},
    }
    case = json.dumps({"name": "small", **files, "settings": settings})
    script = REPOSITORY / "Testing" / "benchmarks" / "memory.py"
    environment = command_environment() | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), "--case", case]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    whole = Settings(refine="local-ncc")
    expected = max(predict(Sizes(**found["sizes"]), whole)[0].values())
    measured = max(found["stages"].values())
    assert 0.75 < (expected + found["base"]) / (measured + found["base"]) < 1.25
