"""Everything that a user sets in the panel, typed and with ranges; saved with the scene."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from ..presets import preset_names

# Slicer's wrapper knows typing.Union only, and needs the None to allow that nothing is chosen.
Drawing = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007


class ResultPlacement(Enum):
    """What becomes of a successful run."""

    BOTH = "both"
    TRANSFORM = "transform"
    VOLUME = "volume"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            ResultPlacement.BOTH: _("Moved volume and warped copy"),
            ResultPlacement.TRANSFORM: _("Moved volume (under the transform)"),
            ResultPlacement.VOLUME: _("Warped copy (on the fixed grid)"),
        }[self]


class AlignmentChoice(Enum):
    """How the volumes are brought together before the deformable step; values as `options.Alignment`."""

    AUTO = "auto"
    NONE = "none"
    CENTER = "center"
    MOMENTS = "moments"
    RIGID = "rigid"
    AFFINE = "affine"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            AlignmentChoice.AUTO: _("Automatic: the best of these"),
            AlignmentChoice.NONE: _("None: leave them where they are"),
            AlignmentChoice.CENTER: _("Centers of the volumes"),
            AlignmentChoice.MOMENTS: _("Centers of mass"),
            AlignmentChoice.RIGID: _("Rigid: shift and turn"),
            AlignmentChoice.AFFINE: _("Affine: shift, turn, scale, shear"),
        }[self]


class FeatureChoice(Enum):
    """What is compared; values as `options.FeatureOptions.name`."""

    MIND = "mind"
    INTENSITY = "intensity"
    STRUCTURE_AND_LABELS = "mind+labels"
    LABELS = "labels"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            FeatureChoice.MIND: _("Local structure (any contrast)"),
            FeatureChoice.INTENSITY: _("Gray values (same contrast)"),
            FeatureChoice.STRUCTURE_AND_LABELS: _("Local structure and both segmentations"),
            FeatureChoice.LABELS: _("Both segmentations alone"),
        }[self]


class MethodChoice(Enum):
    """What searches the deformation; values as `presets.METHODS`, or the preset's own."""

    PRESET = "preset"
    VOXELOPT = "voxelopt"
    VOXELOPT_PAPER = "voxelopt-paper"
    CONVEXADAM = "convexadam"
    SAMCONVEX = "samconvex"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            MethodChoice.PRESET: _("As the preset says"),
            MethodChoice.VOXELOPT: _("VoxelOpt"),
            MethodChoice.VOXELOPT_PAPER: _("VoxelOpt as published"),
            MethodChoice.CONVEXADAM: _("ConvexAdam"),
            MethodChoice.SAMCONVEX: _("SAMConvex"),
        }[self]


class RefinementChoice(Enum):
    """What refines the deformation that was found; values as `presets.REFINEMENTS`, or what is usual."""

    PRESET = "preset"
    NONE = "none"
    LOCAL_CORRELATION = "local-ncc"
    FEATURES = "features"
    ADAM = "adam"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            RefinementChoice.PRESET: _("As preset or method says"),
            RefinementChoice.NONE: _("None"),
            RefinementChoice.LOCAL_CORRELATION: _("Local correlation"),
            RefinementChoice.FEATURES: _("Features"),
            RefinementChoice.ADAM: _("Adam"),
        }[self]


@parameterNodeWrapper
class VoxelOptRegistrationParameterNode:
    """The panel's state.

    preset: its values are in `method` to `invertible` when `loadedPreset` is the same name; the user may then change
    them one by one. Segment lists: IDs of the segments of the mask that count, none for all of them.
    gridMegavoxels: largest working grid, million voxels; gridSpacing: finest working spacing, mm, 0 for the fixed
    volume's own; sigmaLow, sigmaHigh: least and most smoothing, standard deviation in working voxels.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    preset: Annotated[str, Choice(preset_names())] = "generic"

    placement: ResultPlacement = ResultPlacement.BOTH
    outputTransform: vtkMRMLTransformNode
    outputVolume: vtkMRMLScalarVolumeNode
    livePreview: bool = True
    entropyVolume: vtkMRMLScalarVolumeNode
    jacobianVolume: vtkMRMLScalarVolumeNode
    expectedErrorVolume: vtkMRMLScalarVolumeNode
    createInverse: bool = True
    inverseTransform: vtkMRMLTransformNode

    fixedMask: Drawing = None
    fixedMaskSegments: list[str]
    movingMask: Drawing = None
    movingMaskSegments: list[str]
    fixedSegmentation: Drawing = None
    movingSegmentation: Drawing = None

    initialTransform: vtkMRMLTransformNode
    alignment: AlignmentChoice = AlignmentChoice.AUTO
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode

    loadedPreset: str = ""
    method: MethodChoice = MethodChoice.PRESET
    refinement: RefinementChoice = RefinementChoice.PRESET
    features: FeatureChoice = FeatureChoice.MIND
    useWindow: bool = False
    windowLow: Annotated[float, WithinRange(-100000.0, 100000.0)] = 0.0
    windowHigh: Annotated[float, WithinRange(-100000.0, 100000.0)] = 100.0
    gridMegavoxels: Annotated[float, WithinRange(0.01, 100.0)] = 1.5
    gridSpacing: Annotated[float, WithinRange(0.0, 20.0)] = 0.0
    levels: Annotated[int, WithinRange(1, 8)] = 5
    searchRadius: Annotated[int, WithinRange(1, 3)] = 1
    sigmaLow: Annotated[float, WithinRange(0.01, 5.0)] = 0.1
    sigmaHigh: Annotated[float, WithinRange(0.01, 5.0)] = 0.5
    smoothingPasses: Annotated[int, WithinRange(0, 20)] = 3
    inverseConsistency: bool = True
    invertible: bool = True

    device: str = "auto"
