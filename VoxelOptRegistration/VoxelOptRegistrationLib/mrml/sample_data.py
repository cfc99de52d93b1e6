"""Pairs of volumes to try the module on, offered in Slicer's module Sample Data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from .sample import add_sample_pair


def register_sample_data(icons: Path) -> None:
    """Offer the pairs; `icons` is the folder with the small picture. Called once Slicer has started."""
    import SampleData

    category = _("VoxelOpt Registration")
    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    register(
        category=category,
        sampleName="VoxelOptAbdomenPair",
        thumbnailFileName=str(icons / "AbdomenPair.png"),
        customDownloader=_abdomen_pair,
    )
    register(category=category, sampleName="VoxelOptBrainTumorPair", customDownloader=_brain_pair)


def _abdomen_pair(source: Any) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """Generated on this computer, with a known deformation; nothing is downloaded."""
    pair = add_sample_pair()
    return _shown(pair.fixed, pair.moving)


def _brain_pair(source: Any) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """Slicer's own samples MRBrainTumor1 and MRBrainTumor2: one patient before and after."""
    import SampleData

    logic = SampleData.SampleDataLogic()
    return _shown(logic.downloadMRBrainTumor1(), logic.downloadMRBrainTumor2())


def _shown(
    fixed: slicer.vtkMRMLScalarVolumeNode, moving: slicer.vtkMRMLScalarVolumeNode
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    slicer.util.setSliceViewerLayers(background=fixed, foreground=moving, foregroundOpacity=0.5, fit=True)
    return [fixed, moving]
