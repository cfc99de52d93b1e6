"""Solving again with less where the memory ran out: on coarser grids, then on the CPU, and telling so."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .devices import choose_device
from .errors import OutOfMemory
from .images.grid import Grid
from .kernels.graphs import release_graphs
from .memory_plan import Budget, Plan, coarser, make_plan
from .resources import give_back
from .solvers.solution import Solution
from .solving import Problem, solve_problem
from .stopwatch import Stopwatch

_TRIES = 4
"""Working grids on one device; each has half the voxels of the one before."""
_FEWEST_VOXELS = 8_000


@dataclass(frozen=True)
class Solved:
    """solution and the grid of its fields; problem and plan: what it was found with at last; notes: sentences that tell
    what was given up on the way.
    """

    solution: Solution
    grid: Grid
    problem: Problem
    plan: Plan
    notes: tuple[str, ...]


def solve_within_memory(problem: Problem, plan: Plan, clock: Stopwatch) -> Solved:
    """The solution of `problem` on the grids of `plan` or, where the memory runs out, on what can still be had.

    Raises `OutOfMemory` where nothing more can be given up.
    """
    asked, finest = problem, plan.work.voxels
    notes: list[str] = []
    tries = 1
    while True:
        try:
            solution, grid = solve_problem(problem, plan, clock)
            give_back()
            return Solved(solution, grid, problem, plan, tuple(notes))
        except OutOfMemory as error:
            if tries >= _TRIES or plan.work.voxels < 2 * _FEWEST_VOXELS:
                if problem.device.name == "cpu":
                    raise
                tries = 0
            said = error.text
        # Outside the handler: the error's traceback holds what the computation had in memory.
        release_graphs()
        give_back()
        tries += 1
        problem, plan = _smaller(problem, plan) if tries > 1 else _on_processor(asked)
        loss = ", so the result may be less exact" if plan.work.voxels < finest else ""
        notes.append(f"{said} It went on {_how(problem, plan)}{loss}.")
        problem.watcher.log(notes[-1])


def _smaller(problem: Problem, plan: Plan) -> tuple[Problem, Plan]:
    settings = coarser(problem.settings, plan.work)
    return _planned(dataclasses.replace(problem, settings=settings))


def _on_processor(problem: Problem) -> tuple[Problem, Plan]:
    """With the settings that `problem` has: main memory may be larger than the GPU's."""
    return _planned(dataclasses.replace(problem, device=choose_device("cpu")))


def _planned(problem: Problem) -> tuple[Problem, Plan]:
    inputs, channels = problem.inputs, problem.comparison.channels
    budget = Budget.of(problem.device, problem.settings)
    return problem, make_plan(inputs.fixed, inputs.moving, channels, problem.settings, budget)


def _how(problem: Problem, plan: Plan) -> str:
    return f"on {problem.device.title} with a working grid of {plan.work.title}"
