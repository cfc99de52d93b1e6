"""From aligned volumes to a deformation: sample both, compare them, solve, refine on finer grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from torch import Tensor

from .comparison import Comparison, Sampled, sampled_volume
from .devices import Device
from .fields.folds import make_invertible
from .fields.resizing import resize_displacement
from .images.displacement import displacement_image, total_displacement
from .images.grid import Grid
from .kernels.memory_reuse import reused_memory
from .memory_plan import COMPOSED_STEPS, Plan
from .options import Settings
from .progress import Watcher
from .refinement.composed_steps import descend
from .refinement.forces import CorrelationForce, FeatureForce, Force
from .refinement.methods import refine
from .refinement.uniform_places import extended
from .registration import Inputs
from .resources import memory_errors
from .solvers.methods import solve, solver_options
from .solvers.solution import Report, Solution
from .stopwatch import Stopwatch

SOLVING = (0.15, 0.50)
REFINING = (0.50, 0.80)
"""Where the solver and the refinement stand between 0 and 1 of a whole run."""
PREVIEW_POINTS = 32_000
"""Of a field that is shown during the run: slice views show as much of it as of one on every voxel."""


@dataclass(frozen=True)
class Problem:
    """Two volumes to bring together, how they are aligned and compared, and on what."""

    inputs: Inputs
    settings: Settings
    alignment: sitk.Transform
    comparison: Comparison
    device: Device
    watcher: Watcher

    def sampled(self, work: Grid) -> tuple[Sampled, Sampled]:
        """The fixed and the aligned moving volume on the working grid."""
        identity = sitk.Transform(3, sitk.sitkIdentity)
        inputs, background = self.inputs, self.settings.background
        return (
            sampled_volume(inputs.fixed, inputs.fixed_mask, identity, work, background, self.device),
            sampled_volume(inputs.moving, inputs.moving_mask, self.alignment, work, background, self.device),
        )

    def features(self, volumes: tuple[Sampled, Sampled], work: Grid) -> tuple[Tensor, Tensor]:
        """Feature maps of both volumes on the working grid, (C, Z, Y, X)."""
        return self.comparison.features(self.inputs, volumes, self.alignment, work, self.device, self.watcher)

    def report(self, stage: str, span: tuple[float, float], work: Grid) -> Report:
        """What tells the watcher how far a stage is, and shows it fields of the working grid."""

        def tell(fraction: float, text: str, field: Callable[[], Tensor] | None) -> None:
            self.watcher.step(stage, span[0] + fraction * (span[1] - span[0]), text)
            if self.watcher.preview is not None and field is not None:
                grid = Grid.of(self.inputs.fixed).thinned(PREVIEW_POINTS)
                so_far = total_displacement(field().cpu().numpy(), work, grid, self.alignment, np.float32)
                self.watcher.preview(displacement_image(so_far, grid))

        return tell


def solve_problem(problem: Problem, plan: Plan, clock: Stopwatch) -> tuple[Solution, Grid]:
    """The solution, on the processor, and the grid of its fields: the plan's, or the finest one of the refinement.

    Raises `OutOfMemory` where the plan was too bold.
    """
    settings, device, watcher = problem.settings, problem.device, problem.watcher
    work = plan.work
    watcher.step("resample", 0.10, "Resampling the volumes to the working grid.")
    with clock.stage("resample"), memory_errors(device, f"the volumes on {work.title}"):
        volumes = problem.sampled(work)
    watcher.step("features", 0.12, "Extracting features.")
    with clock.stage("features"), memory_errors(device, f"the features of {work.title}"):
        features = problem.features(volumes, work)
    trusts = (volumes[0].trust, volumes[1].trust)
    with clock.stage("solve"), memory_errors(device, f"the working grid of {work.title}"):
        span = (SOLVING[0], REFINING[1]) if settings.refine == "none" else SOLVING
        told = problem.report("solve", span, work)
        matched = solve(*features, settings, *trusts, told, watcher.check)
    with clock.stage("refine"), memory_errors(device, f"the refinement on {work.title}"):
        if settings.refine in COMPOSED_STEPS:
            del features
            field, work = _stepped(problem, plan, matched.displacement)
            backward, stiffness = None, None
        else:
            told = problem.report("refine", REFINING, work)
            refined = refine(matched.displacement, *features, settings, *trusts, told, watcher.check)
            field, backward, stiffness = refined.displacement, matched.backward, refined.weights
        evidence = matched.measure(resize_displacement(field, plan.work.size_zyx))
    return Solution(field, backward, evidence, stiffness).on_processor(), work


@reused_memory()
def _stepped(problem: Problem, plan: Plan, field: Tensor) -> tuple[Tensor, Grid]:
    """The displacement after the composed steps on every stage's grid, and the last one."""
    options, watcher = problem.settings.descent, problem.watcher
    total = sum(grid.voxels * iterations for grid, iterations in plan.stages)
    done = 0
    grid = plan.work
    for index, (grid, iterations) in enumerate(plan.stages):
        volumes = problem.sampled(grid)
        field = resize_displacement(field, grid.size_zyx)
        if index == 0:
            field = extended(field, _windowed(problem, volumes[0]), volumes[0].trust, options.extension_passes)
        told = _step_report(problem.report("refine", REFINING, grid), done, total, grid, iterations)
        field = descend(field, _force(problem, volumes, grid), iterations, options, told, watcher.check)
        done += iterations * grid.voxels
    if solver_options(problem.settings).invertible:
        field = make_invertible(field)
    return field, grid


def _force(problem: Problem, volumes: tuple[Sampled, Sampled], grid: Grid) -> Force:
    """What drives the composed steps on their grid."""
    trusts = (volumes[0].trust, volumes[1].trust)
    if problem.settings.refine == "features":
        return FeatureForce.of(*problem.features(volumes, grid), trusts)
    images = [_windowed(problem, volume) for volume in volumes]
    return CorrelationForce.of(images[0], images[1], trusts, problem.settings.descent)


def _windowed(problem: Problem, volume: Sampled) -> Tensor:
    """The volume (Z, Y, X) within the preset's window of intensities, so that nothing beyond it is compared."""
    window = problem.settings.features.window
    return volume.values if window is None else volume.values.clamp(*window)


def _step_report(tell: Report, done: int, total: int, grid: Grid, iterations: int) -> Callable[[int, Tensor], None]:
    """What tells of every step, `done` of `total` voxel steps before this stage, and shows the field after the last."""

    def told(step: int, field: Tensor) -> None:
        text = f"Refined on {grid.title}, step {step} of {iterations}."
        tell((done + step * grid.voxels) / total, text, (lambda: field) if step == iterations else None)

    return told
