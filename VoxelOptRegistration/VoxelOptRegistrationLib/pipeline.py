"""One registration from images to results: align, resample, extract features, solve, bring back, inspect."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .circumstances import circumstances
from .comparison import Comparison
from .confidence.calibrations import calibration_for
from .constraints import bend_to_landmarks, landmark_section
from .devices import choose_device
from .fallbacks import solve_within_memory
from .fields.folds import make_invertible
from .images.alignment import AlignmentResult, prealign
from .images.displacement import jacobian_map, total_displacement, voxel_displacement
from .images.ends import values_at_ends
from .images.grid import Grid
from .images.inverse_between_voxels import even_out_inverse
from .images.inversion import invert_displacement
from .images.resampling import like
from .inspection.body import body_mask
from .inspection.result import inspect_result
from .memory_plan import Budget, make_plan
from .options import Settings
from .progress import Watcher
from .registration import Inputs, Result
from .resources import give_back, memory_errors
from .solvers.methods import solver_options
from .solvers.solution import Solution
from .solving import REFINING, Problem
from .stopwatch import Stopwatch

__all__ = ["Inputs", "Result", "register"]


def register(inputs: Inputs, settings: Settings, watcher: Watcher | None = None) -> Result:
    """Register `inputs.moving` to `inputs.fixed`.

    Raises `InputError` for what cannot be registered, `ComputationError` where memory or torch fail, `Cancelled`.
    """
    watcher = watcher or Watcher()
    clock = Stopwatch()
    watcher.step("check", 0.0, "Checking the volumes.")
    with clock.stage("check"):
        inputs = inputs.validated()
        device = choose_device(settings.device)
        fixed_grid = Grid.of(inputs.fixed)
        budget = Budget.of(device, settings)
        comparison = Comparison.plan(inputs, settings.features, budget.computing, watcher.log)
        plan = make_plan(inputs.fixed, inputs.moving, comparison.channels, settings, budget)
    watcher.log(f"Computing on {device.title} ({device.reason}); working grid {plan.work.title}.")
    watcher.step("align", 0.02, "Aligning the volumes.")
    with clock.stage("align"):
        alignment = prealign(
            inputs.fixed,
            inputs.moving,
            settings.align,
            fixed_mask=inputs.fixed_mask,
            moving_mask=inputs.moving_mask,
            initial=inputs.initial_transform,
            background=settings.background,
            watcher=watcher,
        )
    problem = Problem(inputs, settings, alignment.transform, comparison, device, watcher)
    found = solve_within_memory(problem, plan, clock)
    solution, work, compared, device = found.solution, found.grid, found.plan.work, found.problem.device
    with clock.stage("landmarks"), memory_errors(device, "the landmarks"):
        solved = solution
        solution = bend_to_landmarks(solved, inputs, alignment.transform, work, settings.landmarks)

    watcher.step("field", REFINING[1], "Bringing the field to the fixed volume.")
    with clock.stage("field"), memory_errors(device, "the displacement field"):
        invertible = solver_options(settings).invertible
        displacement, jacobian = _on_fixed_grid(solution, work, fixed_grid, alignment, invertible)
        determinant = fixed_grid.place(sitk.GetImageFromArray(jacobian))
        del jacobian
        give_back()
    watcher.step("inverse", 0.86, "Inverting the field.")
    with clock.stage("inverse"), memory_errors(device, "the inverse on the moving volume"):
        moving_grid = Grid.of(inputs.moving)
        inverse, valid, _ = invert_displacement(displacement, fixed_grid, moving_grid)
        inverse = even_out_inverse(inverse, valid, displacement, fixed_grid, moving_grid)
        give_back()
    watcher.step("warp", 0.92, "Warping the moving volume.")
    with clock.stage("warp"), memory_errors(device, "the warped volume"):
        emptiness = _emptiness(inputs.moving, settings)
        warped = like(inputs.moving, values_at_ends(inputs.moving, displacement, inputs.fixed, emptiness))
        entropy = _entropy_image(solution.evidence.entropy, compared, inputs.fixed)
    with clock.stage("confidence"), memory_errors(device, "the map of expected errors"):
        calibration, calibrated = calibration_for(settings)
        two = solution.evidence.disagreement is not None
        basis = {"calibration": calibration.name, "calibrated": calibrated, "both_ways": two}
        side = float(np.prod(compared.spacing)) ** (1 / 3)
        expected = _on_fixed_voxels(calibration.expected_error(solution.evidence, side), compared, inputs.fixed)
    watcher.step("inspect", 0.95, "Measuring the result.")
    with clock.stage("inspect"), memory_errors(device, "the measures of the result"):
        labels = (inputs.fixed_labels, inputs.moving_labels)
        body = body_mask(inputs.fixed, settings.background) if inputs.fixed_mask is None else None
        measured = inspect_result(
            inputs.fixed,
            inputs.moving,
            displacement,
            sitk.GetArrayViewFromImage(determinant),
            sitk.GetArrayViewFromImage(entropy),
            expected_error=(sitk.GetArrayViewFromImage(expected), basis),
            inverse=(inverse, valid),
            mask=inputs.fixed_mask,
            body=body,
            labels=None if labels[0] is None or labels[1] is None else (labels[0], labels[1]),
            background=settings.background,
        )
        measured |= landmark_section(inputs, settings.landmarks, alignment.transform, work, solved, displacement)
    report = {**circumstances(inputs, settings, alignment, work, device), **measured}
    report["memory"] = {**found.plan.report(), "fallbacks": list(found.notes)}
    given_up = found.notes if plan.note is None else (plan.note, *found.notes)
    report["warnings"] = [*given_up, *alignment.notes, *measured["warnings"]]
    report["timings_s"] = clock.timings()
    watcher.step("inspect", 1.0, "Registered.")
    stiffness = None if solution.stiffness is None else _on_fixed_voxels(solution.stiffness, work, inputs.fixed)
    return Result(displacement, inverse, valid, warped, entropy, determinant, expected, report, stiffness, body)


def _on_fixed_grid(
    solution: Solution, work: Grid, fixed: Grid, alignment: AlignmentResult, invertible: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The whole mapping on the fixed grid, (Z, Y, X, 3) LPS mm, and its Jacobian; the deformation before the alignment
    is kept from folding.
    """
    found = solution.displacement.numpy()
    total = total_displacement(found, work, fixed, alignment.transform, np.float32)
    jacobian = jacobian_map(total, fixed)
    if not invertible or jacobian.min() > 0:
        return total, jacobian
    identity = sitk.Transform(3, sitk.sitkIdentity)
    deformation = total_displacement(found, work, fixed, identity, np.float32)
    mended = make_invertible(torch.from_numpy(voxel_displacement(deformation, fixed))).numpy()
    total = total_displacement(mended, fixed, fixed, alignment.transform, np.float32)
    return total, jacobian_map(total, fixed)


def _entropy_image(entropy: Tensor, work: Grid, fixed: sitk.Image) -> sitk.Image:
    """Entropy of the working grid on the fixed one, linear; 1, no signal, beyond it."""
    image = work.place(sitk.GetImageFromArray(entropy.numpy()))
    identity = sitk.Transform(3, sitk.sitkIdentity)
    resampled = sitk.Resample(image, fixed, identity, sitk.sitkLinear, 1.0, sitk.sitkFloat32, True)
    return sitk.Clamp(resampled, sitk.sitkFloat32, 0.0, 1.0)


def _on_fixed_voxels(values: Tensor, grid: Grid, fixed: sitk.Image) -> sitk.Image:
    """`values` (Z, Y, X) of `grid` on the fixed grid, float32, linear; beyond it, its nearest."""
    image = grid.place(sitk.GetImageFromArray(values.numpy()))
    identity = sitk.Transform(3, sitk.sitkIdentity)
    return sitk.Resample(image, fixed, identity, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)


def _emptiness(moving: sitk.Image, settings: Settings) -> float:
    """What stands in the warped volume where moving has no data: its background value, or its smallest."""
    smallest = float(sitk.GetArrayViewFromImage(moving).min())
    return smallest if settings.background is None else max(smallest, settings.background)
