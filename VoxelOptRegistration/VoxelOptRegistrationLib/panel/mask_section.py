"""Which segments of a mask count: the segment selectors have no connector to the parameter node, so here is one."""

from __future__ import annotations

from typing import Any


class MaskSegments:
    """Keeps a segment selector and the parameters `<role>Mask` and `<role>MaskSegments` in step; role: fixed, moving.

    The mask itself is chosen with a node selector that has a connector. For a label map there are no segments to choose
    and the selector is hidden.
    """

    def __init__(self, selector: Any, label: Any, role: str) -> None:
        self._selector, self._label = selector, label
        self._node_name, self._list_name = f"{role}Mask", f"{role}MaskSegments"
        self._parameters: Any = None
        self._shown: Any = None
        self._updating = False
        selector.connect("segmentSelectionChanged(QStringList)", self.onSelection)
        self.update()

    def setParameterNode(self, parameters: Any) -> None:
        """Show and edit this parameter node; None: none."""
        self._parameters, self._shown = parameters, None
        self.update()

    def update(self) -> None:
        """Follow the parameter node."""
        node = getattr(self._parameters, self._node_name) if self._parameters is not None else None
        segmentation = node if node is not None and node.IsA("vtkMRMLSegmentationNode") else None
        for widget in (self._selector, self._label):
            widget.visible = segmentation is not None
        if self._shown is not None and self._shown is not segmentation:
            setattr(self._parameters, self._list_name, [])
        self._shown = segmentation
        self._updating = True
        try:
            if self._selector.currentNode() is not segmentation:
                self._selector.setCurrentNode(segmentation)
            if segmentation is not None:
                self._show_list(segmentation)
        finally:
            self._updating = False

    def onSelection(self, identifiers: Any = None) -> None:
        """The user has checked or unchecked a segment."""
        if self._updating or self._parameters is None or self._selector.currentNode() is None:
            return
        setattr(self._parameters, self._list_name, [str(name) for name in self._selector.selectedSegmentIDs()])

    def _show_list(self, segmentation: Any) -> None:
        # A scene that is being loaded may not have its segments yet: what is not there now is kept all the same.
        wanted = getattr(self._parameters, self._list_name)
        known = [name for name in wanted if segmentation.GetSegmentation().GetSegment(name) is not None]
        if sorted(self._selector.selectedSegmentIDs()) != sorted(known):
            self._selector.setSelectedSegmentIDs(known)
