"""One registration from images to results: align, resample, extract features, solve, bring back, inspect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .circumstances import circumstances
from .devices import Device, choose_device
from .features.extractors import Extractor, make_extractor
from .fields.folds import make_invertible
from .fields.jacobian import jacobian_determinant
from .images.alignment import AlignmentResult, prealign
from .images.displacement import displacement_image, total_displacement, voxel_displacement
from .images.grid import Grid, plan_working_grid
from .images.inversion import approximate_inverse, invert_displacement
from .images.resampling import sample_mask, sample_volume, warp_image
from .inspection.result import inspect_result
from .options import Settings
from .progress import Watcher
from .refinement.methods import refine
from .registration import Inputs, Result
from .resources import USABLE_SHARE, memory_errors
from .solvers.methods import bytes_per_voxel, solve, solver_options
from .solvers.solution import Solution
from .stopwatch import Stopwatch

__all__ = ["Inputs", "Result", "register"]

_SOLVING = (0.15, 0.80)
"""Where the solver, and the refinement after it, stand between 0 and 1 of a whole run."""
_REFINING_FROM = 0.5
"""Where a refinement begins, if there is one."""


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
        extractor = make_extractor(settings.features)
        fixed_grid = Grid.of(inputs.fixed)
        memory = int(device.free_bytes * USABLE_SHARE)
        work = plan_working_grid(inputs.fixed, settings.grid, memory, bytes_per_voxel(extractor.channels, settings))
    watcher.log(f"Computing on {device.title} ({device.reason}); working grid {_grid_text(work)}.")
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
    solution = _solved(inputs, settings, alignment, work, extractor, device, watcher, clock)

    watcher.step("field", _SOLVING[1], "Bringing the field to the fixed volume.")
    with clock.stage("field"), memory_errors(device, "the displacement field"):
        displacement = _on_fixed_grid(solution, work, fixed_grid, alignment, solver_options(settings).invertible)
        jacobian = _jacobian(displacement, fixed_grid)
    watcher.step("inverse", 0.86, "Inverting the field.")
    with clock.stage("inverse"):
        moving_grid = Grid.of(inputs.moving)
        guess = None
        if solution.backward is not None and alignment.affine is not None:
            guess = approximate_inverse(solution.backward.numpy(), work, moving_grid, alignment.affine)
        inverse, valid, _ = invert_displacement(displacement, fixed_grid, moving_grid, guess)
    watcher.step("warp", 0.92, "Warping the moving volume.")
    with clock.stage("warp"):
        transform = sitk.DisplacementFieldTransform(displacement_image(displacement, fixed_grid))
        warped = warp_image(inputs.moving, inputs.fixed, transform, default=_emptiness(inputs.moving, settings))
        entropy = _entropy_image(solution.entropy, work, inputs.fixed)
    watcher.step("inspect", 0.95, "Measuring the result.")
    with clock.stage("inspect"):
        labels = (inputs.fixed_labels, inputs.moving_labels)
        measured = inspect_result(
            inputs.fixed,
            inputs.moving,
            displacement,
            jacobian,
            sitk.GetArrayViewFromImage(entropy),
            inverse=(inverse, valid),
            mask=inputs.fixed_mask,
            labels=None if labels[0] is None or labels[1] is None else (labels[0], labels[1]),
            background=settings.background,
        )
    report = {**circumstances(inputs, settings, alignment, work, device), **measured}
    report["timings_s"] = clock.timings()
    watcher.step("inspect", 1.0, "Registered.")
    return Result(
        displacement, inverse, valid, warped, entropy, fixed_grid.place(sitk.GetImageFromArray(jacobian)), report
    )


def _solved(
    inputs: Inputs,
    settings: Settings,
    alignment: AlignmentResult,
    work: Grid,
    extractor: Extractor,
    device: Device,
    watcher: Watcher,
    clock: Stopwatch,
) -> Solution:
    watcher.step("resample", 0.10, "Resampling the volumes to the working grid.")
    with clock.stage("resample"):
        identity = sitk.Transform(3, sitk.sitkIdentity)
        fixed = _sampled(inputs.fixed, inputs.fixed_mask, identity, work, settings, device)
        moving = _sampled(inputs.moving, inputs.moving_mask, alignment.transform, work, settings, device)
    watcher.step("features", 0.12, "Extracting features.")
    with clock.stage("features"), memory_errors(device, f"the features of {_grid_text(work)}"):
        features = [extractor(values, trust) for values, trust in (fixed, moving)]

    fixed_grid = Grid.of(inputs.fixed)

    def preview(field: Callable[[], Tensor] | None) -> None:
        if watcher.preview is not None and field is not None:
            so_far = total_displacement(field().cpu().numpy(), work, fixed_grid, alignment.transform)
            watcher.preview(displacement_image(so_far, fixed_grid))

    begin, end = _SOLVING
    between = end if settings.refine == "none" else _REFINING_FROM

    def solving(fraction: float, text: str, field: Callable[[], Tensor] | None) -> None:
        watcher.step("solve", begin + fraction * (between - begin), text)
        preview(field)

    def refining(fraction: float, text: str, field: Callable[[], Tensor] | None) -> None:
        watcher.step("refine", between + fraction * (end - between), text)
        preview(field)

    with clock.stage("solve"), memory_errors(device, f"the working grid of {_grid_text(work)}"):
        solution = solve(features[0], features[1], settings, fixed[1], moving[1], solving, watcher.check)
    with clock.stage("refine"), memory_errors(device, f"the refinement on {_grid_text(work)}"):
        solution = refine(solution, features[0], features[1], settings, fixed[1], moving[1], refining, watcher.check)
        backward = None if solution.backward is None else solution.backward.cpu()
        return Solution(solution.displacement.cpu(), backward, solution.entropy.cpu())


def _sampled(
    image: sitk.Image,
    mask: sitk.Image | None,
    transform: sitk.Transform,
    work: Grid,
    settings: Settings,
    device: Device,
) -> tuple[Tensor, Tensor | None]:
    """The image on the working grid and where it may be compared; None for everywhere."""
    values, trust = sample_volume(image, work, transform, background=settings.background)
    if mask is not None:
        trust = trust & sample_mask(mask, work, transform)
    return torch.from_numpy(values).to(device.name), None if trust.all() else torch.from_numpy(trust).to(device.name)


def _on_fixed_grid(
    solution: Solution, work: Grid, fixed: Grid, alignment: AlignmentResult, invertible: bool
) -> np.ndarray:
    """The whole mapping on the fixed grid, (Z, Y, X, 3) LPS mm; the deformation before the alignment is kept from
    folding.
    """
    found = solution.displacement.numpy()
    total = total_displacement(found, work, fixed, alignment.transform)
    if not invertible or _jacobian(total, fixed).min() > 0:
        return total
    identity = sitk.Transform(3, sitk.sitkIdentity)
    deformation = torch.from_numpy(voxel_displacement(total_displacement(found, work, fixed, identity), fixed))
    mended = make_invertible(deformation).numpy()
    return total_displacement(mended, fixed, fixed, alignment.transform)


def _jacobian(displacement: np.ndarray, grid: Grid) -> np.ndarray:
    """Jacobian determinant of the mapping in index units of `grid`, float32 (Z, Y, X)."""
    field = torch.from_numpy(voxel_displacement(displacement, grid))
    return jacobian_determinant(field).to(torch.float32).numpy()


def _entropy_image(entropy: Tensor, work: Grid, fixed: sitk.Image) -> sitk.Image:
    """Entropy of the working grid on the fixed one, linear; 1, no signal, beyond it."""
    image = work.place(sitk.GetImageFromArray(entropy.numpy()))
    identity = sitk.Transform(3, sitk.sitkIdentity)
    resampled = sitk.Resample(image, fixed, identity, sitk.sitkLinear, 1.0, sitk.sitkFloat32, True)
    return sitk.Clamp(resampled, sitk.sitkFloat32, 0.0, 1.0)


def _emptiness(moving: sitk.Image, settings: Settings) -> float:
    """What stands in the warped volume where moving has no data: its background value, or its smallest."""
    smallest = float(sitk.GetArrayViewFromImage(moving).min())
    return smallest if settings.background is None else max(smallest, settings.background)


def _grid_text(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.size_xyz) + f" voxels of {max(grid.spacing):.2f} mm"
