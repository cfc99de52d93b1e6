"""What a user sets while looking at a result; kept on the panel's parameter node, so saved with the scene."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Union

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLMarkupsFiducialNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

# Slicer's wrapper knows typing.Union only, and needs the None to allow that nothing is chosen.
Structures = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007


class TransferDirection(Enum):
    """Where other data are taken; values as `qa.transfer.Direction`."""

    TO_FIXED = "moving to fixed"
    TO_MOVING = "fixed to moving"

    def label(self) -> str:
        """What the panel calls it."""
        return {
            TransferDirection.TO_FIXED: _("From the moving volume to the fixed one"),
            TransferDirection.TO_MOVING: _("From the fixed volume to the moving one"),
        }[self]


@parameterNodeWrapper
class ReviewParameterNode:
    """The state of the sections for checking, measuring and transfer.

    reviewMix: percent; reviewTile, reviewSpacing: mm; reviewSpeed: turns per second; reviewThreshold: entropy;
    reviewErrorThreshold: mm.
    """

    reviewMix: Annotated[float, WithinRange(0.0, 100.0)] = 50.0
    reviewTile: Annotated[float, WithinRange(5.0, 100.0)] = 25.0
    reviewSpeed: Annotated[float, WithinRange(0.5, 5.0)] = 2.0
    reviewThreshold: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    reviewErrorThreshold: Annotated[float, WithinRange(0.0, 6.0)] = 1.0
    reviewSpacing: Annotated[float, WithinRange(4.0, 60.0)] = 15.0
    reviewFixedSegments: Structures = None
    reviewMovingSegments: Structures = None
    reviewFixedLandmarks: vtkMRMLMarkupsFiducialNode
    reviewMovingLandmarks: vtkMRMLMarkupsFiducialNode
    transferDirection: TransferDirection = TransferDirection.TO_FIXED
