"""What the slice views show, remembered so that it can be put back. Without slice views nothing happens."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


@dataclass(frozen=True)
class _Layers:
    background: str | None
    foreground: str | None
    label: str | None
    foreground_opacity: float
    label_opacity: float


@dataclass(frozen=True, eq=False)
class SliceLayers:
    """The layers of every slice view of the scene."""

    scene: slicer.vtkMRMLScene
    layers: dict[str, _Layers]

    @classmethod
    def of(cls, scene: slicer.vtkMRMLScene) -> SliceLayers:
        """What the views show now."""
        return cls(
            scene,
            {
                node.GetID(): _Layers(
                    node.GetBackgroundVolumeID(),
                    node.GetForegroundVolumeID(),
                    node.GetLabelVolumeID(),
                    node.GetForegroundOpacity(),
                    node.GetLabelOpacity(),
                )
                for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", scene)
            },
        )

    def restore(self) -> None:
        """Show it again; a volume that left the scene is left out."""
        for identifier, layers in self.layers.items():
            node = self.scene.GetNodeByID(identifier)
            if node is None:
                continue
            with slicer.util.NodeModify(node):
                node.SetBackgroundVolumeID(self._present(layers.background))
                node.SetForegroundVolumeID(self._present(layers.foreground))
                node.SetLabelVolumeID(self._present(layers.label))
                node.SetForegroundOpacity(layers.foreground_opacity)
                node.SetLabelOpacity(layers.label_opacity)

    def _present(self, identifier: str | None) -> str | None:
        return identifier if identifier and self.scene.GetNodeByID(identifier) is not None else None
