"""What the panel's parameter node asks for: whether it is enough for a run, and which options of its preset it changes.

Knows the parameters by name only, so that it needs neither Qt nor Slicer's wrapper of parameter nodes.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

import slicer

from ..errors import InputError
from ..options import Settings
from ..presets import load_preset, preset_names, with_method
from .translation import tr as _
from .volumes import check_volume

MEGA = 1_000_000
AS_PRESET = "preset"
"""The value of the parameters `method` and `refinement` that leaves the choice to the preset."""


class Parameters(Protocol):
    """The parameters of a run, as `panel.parameters.VoxelOptRegistrationParameterNode` describes them."""

    fixedVolume: slicer.vtkMRMLScalarVolumeNode | None
    movingVolume: slicer.vtkMRMLScalarVolumeNode | None
    preset: str
    loadedPreset: str
    device: str
    outputTransform: slicer.vtkMRMLTransformNode | None
    outputVolume: slicer.vtkMRMLScalarVolumeNode | None
    entropyVolume: slicer.vtkMRMLScalarVolumeNode | None
    jacobianVolume: slicer.vtkMRMLScalarVolumeNode | None
    expectedErrorVolume: slicer.vtkMRMLScalarVolumeNode | None
    inverseTransform: slicer.vtkMRMLTransformNode | None
    placement: Enum
    createInverse: bool
    livePreview: bool
    fixedMask: slicer.vtkMRMLNode | None
    movingMask: slicer.vtkMRMLNode | None
    fixedMaskSegments: list[str]
    movingMaskSegments: list[str]
    fixedSegmentation: slicer.vtkMRMLNode | None
    movingSegmentation: slicer.vtkMRMLNode | None
    initialTransform: slicer.vtkMRMLTransformNode | None
    alignment: Enum
    fixedLandmarks: slicer.vtkMRMLMarkupsNode | None
    movingLandmarks: slicer.vtkMRMLMarkupsNode | None
    method: Enum
    refinement: Enum
    features: Enum
    useWindow: bool
    windowLow: float
    windowHigh: float
    gridMegavoxels: float
    gridSpacing: float
    levels: int
    searchRadius: int
    sigmaLow: float
    sigmaHigh: float
    smoothingPasses: int
    inverseConsistency: bool
    invertible: bool


class Missing(Enum):
    """What a run still needs from the user."""

    NOTHING = "nothing"
    FIXED = "fixed volume"
    MOVING = "moving volume"
    DIFFERENT = "two different volumes"
    SEGMENTATION = "second segmentation"
    SEGMENTATIONS = "segmentation of each volume"
    LANDMARKS = "second list of landmarks"


def missing_input(parameters: Parameters | None) -> Missing:
    """The first thing that is still to be chosen. Raises `InputError` for a chosen volume that cannot be registered."""
    if parameters is None or parameters.fixedVolume is None:
        return Missing.FIXED
    if parameters.movingVolume is None:
        return Missing.MOVING
    if parameters.fixedVolume is parameters.movingVolume:
        return Missing.DIFFERENT
    if (parameters.fixedSegmentation is None) != (parameters.movingSegmentation is None):
        return Missing.SEGMENTATION
    if parameters.fixedSegmentation is None and parameters.features.value.endswith("labels"):
        return Missing.SEGMENTATIONS
    if (parameters.fixedLandmarks is None) != (parameters.movingLandmarks is None):
        return Missing.LANDMARKS
    check_volume(parameters.fixedVolume, _("fixed volume"))
    check_volume(parameters.movingVolume, _("moving volume"))
    return Missing.NOTHING


def preset_values(settings: Settings) -> dict[str, Any]:
    """The values of the solver parameters that stand for `settings`, by parameter name; choices as their options."""
    solver, window = settings.solver, settings.features.window
    return {
        "method": AS_PRESET,
        "refinement": AS_PRESET,
        "features": settings.features.name,
        "useWindow": window is not None,
        "windowLow": window[0] if window is not None else 0.0,
        "windowHigh": window[1] if window is not None else 100.0,
        "gridMegavoxels": settings.grid.max_voxels / MEGA,
        "gridSpacing": settings.grid.spacing,
        "levels": solver.levels,
        "searchRadius": solver.search_radius,
        "sigmaLow": solver.sigma_low,
        "sigmaHigh": solver.sigma_high,
        "smoothingPasses": solver.passes,
        "inverseConsistency": solver.inverse_consistency,
        "invertible": solver.invertible,
    }


def show_preset(parameters: Parameters) -> None:
    """Set the solver parameters to what the chosen preset says."""
    for name, value in preset_values(load_preset(parameters.preset)).items():
        now = getattr(parameters, name)
        setattr(parameters, name, type(now)(value) if isinstance(now, Enum) else value)
    parameters.loadedPreset = parameters.preset


def settle_preset(parameters: Parameters) -> None:
    """Make new parameters, and those of a scene whose preset is unknown here, stand for a preset."""
    if parameters.preset not in preset_names():
        parameters.preset, parameters.loadedPreset = preset_names()[0], ""
    if not parameters.loadedPreset:
        show_preset(parameters)


def chosen_method(parameters: Parameters) -> str | None:
    """The method that is to solve in place of the chosen preset's, as `presets.with_method` takes it; None: no other.

    None too where the solver parameters were never set to the preset: then they stand for nothing.
    """
    method = parameters.method.value
    if parameters.loadedPreset != parameters.preset or method == AS_PRESET:
        return None
    settings = load_preset(parameters.preset)
    return None if with_method(settings, method) == settings else str(method)


def obeys_solver_options(parameters: Parameters) -> bool:
    """Whether the parameters `levels` to `invertible` count: they are those of VoxelOpt as it is best here."""
    return chosen_method(parameters) in (None, "voxelopt")


def changed_options(parameters: Parameters) -> dict[str, str]:
    """The solver options that differ from those of the chosen preset and method, as `presets.apply_overrides` takes
    them.

    None differ where the solver parameters were never set to the preset: then they stand for nothing.
    """
    if parameters.loadedPreset != parameters.preset:
        return {}
    settings = load_preset(parameters.preset)
    preset = preset_values(settings)
    now = {name: getattr(parameters, name) for name in preset}
    now["features"] = parameters.features.value
    if not now["useWindow"] and not preset["useWindow"]:
        now["windowLow"], now["windowHigh"] = preset["windowLow"], preset["windowHigh"]
    changed = {name for name, value in now.items() if value != preset[name]}
    texts = {
        "features": ("features.name", now["features"]),
        "gridMegavoxels": ("grid.max_voxels", str(round(now["gridMegavoxels"] * MEGA))),
        "gridSpacing": ("grid.spacing", str(now["gridSpacing"])),
        "levels": ("solver.levels", str(now["levels"])),
        "searchRadius": ("solver.search_radius", str(now["searchRadius"])),
        "sigmaLow": ("solver.sigma_low", str(now["sigmaLow"])),
        "sigmaHigh": ("solver.sigma_high", str(now["sigmaHigh"])),
        "smoothingPasses": ("solver.passes", str(now["smoothingPasses"])),
        "inverseConsistency": ("solver.inverse_consistency", str(now["inverseConsistency"]).lower()),
        "invertible": ("solver.invertible", str(now["invertible"]).lower()),
    }
    obeyed = obeys_solver_options(parameters)
    options = dict(texts[name] for name in texts if name in changed)
    options = {name: text for name, text in options.items() if obeyed or not name.startswith("solver.")}
    if changed & {"useWindow", "windowLow", "windowHigh"}:
        window = f"{now['windowLow']},{now['windowHigh']}" if now["useWindow"] else "none"
        options["features.window"] = window
    method, refinement = chosen_method(parameters), parameters.refinement.value
    usual = settings if method is None else with_method(settings, method)
    if refinement not in (AS_PRESET, usual.refine):
        options["refine"] = refinement
    return options


def run_arguments(parameters: Parameters) -> dict[str, Any]:
    """Arguments of `RegistrationLogic.registerVolumes`. Raises `InputError` where something is still to be chosen."""
    missing = missing_input(parameters)
    if missing is not Missing.NOTHING:
        raise InputError(_("The {what} is not chosen.").format(what=missing.value), _("Choose it first."))
    method = chosen_method(parameters)
    # As released it takes few grids; this changes nothing on those, and lets it have the others.
    any_grid = {"solver.any_size": "true"} if method == "voxelopt-paper" else {}
    return {
        "fixedVolumeNode": parameters.fixedVolume,
        "movingVolumeNode": parameters.movingVolume,
        "preset": parameters.preset,
        "method": method,
        "device": parameters.device,
        "outputTransformNode": parameters.outputTransform,
        "outputVolumeNode": parameters.outputVolume if parameters.placement.value != "transform" else None,
        "entropyVolumeNode": parameters.entropyVolume,
        "jacobianVolumeNode": parameters.jacobianVolume,
        "expectedErrorVolumeNode": parameters.expectedErrorVolume,
        "outputInverseTransformNode": parameters.inverseTransform if parameters.createInverse else None,
        "createOutputVolume": parameters.placement.value != "transform",
        "createInverseTransform": parameters.createInverse,
        "livePreview": parameters.livePreview,
        "fixedMaskNode": parameters.fixedMask,
        "movingMaskNode": parameters.movingMask,
        "fixedMaskSegmentIDs": tuple(parameters.fixedMaskSegments),
        "movingMaskSegmentIDs": tuple(parameters.movingMaskSegments),
        "fixedSegmentationNode": parameters.fixedSegmentation,
        "movingSegmentationNode": parameters.movingSegmentation,
        "initialTransformNode": parameters.initialTransform,
        "fixedLandmarksNode": parameters.fixedLandmarks,
        "movingLandmarksNode": parameters.movingLandmarks,
        "options": {"align": parameters.alignment.value, **any_grid, **changed_options(parameters)},
    }
