"""Stand-ins for Slicer's segment selector and checkable node list."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from .ctk_inputs import ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from .mrml_widgets import qMRMLNodeComboBox, qMRMLWidget
from .properties import stored


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A segmentation and one or several of its segments."""

    nodeChanged = Signal(object)
    nodeChosen = Signal(bool)
    currentSegmentChanged = Signal(str)
    segmentSelectionChanged = Signal("QStringList")
    pythonqt_signals = {
        "currentNodeChanged(vtkMRMLNode*)": "nodeChanged",
        "currentNodeChanged(bool)": "nodeChosen",
        "currentSegmentChanged(QString)": "currentSegmentChanged",
        "segmentSelectionChanged(QStringList)": "segmentSelectionChanged",
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
    }
    pythonqt_methods = (
        *("setMRMLScene", "mrmlScene", "currentNode", "currentNodeID", "currentSegmentID", "selectedSegmentIDs"),
        *("setCurrentNode", "setCurrentNodeID", "setCurrentSegmentID", "setSelectedSegmentIDs"),
    )

    def _changed(self) -> None:
        self._show()

    noneEnabled = stored(bool, "noneEnabled", False, _changed)
    editEnabled = stored(bool, "editEnabled", False)
    segmentationNodeSelectorVisible = stored(bool, "segmentationNodeSelectorVisible", True, _changed)
    multiSelection = stored(bool, "multiSelection", False, _changed)
    horizontalLayout = stored(bool, "horizontalLayout", False)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._selector = qMRMLNodeComboBox()
        self._selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._selector.addEnabled = self._selector.removeEnabled = False
        self._segments = QComboBox()
        self._model = QStandardItemModel(self._segments)
        self._segments.setModel(self._model)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._selector)
        layout.addWidget(self._segments)
        self._selector.nodeChanged.connect(self._node_changed)
        self._segments.currentIndexChanged.connect(lambda _: self.currentSegmentChanged.emit(self.currentSegmentID()))
        self._model.itemChanged.connect(lambda _: self.segmentSelectionChanged.emit(self.selectedSegmentIDs()))

    def sceneSet(self) -> None:
        self._selector.setMRMLScene(self._scene)

    def currentNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._selector.currentNode()

    def currentNodeID(self) -> str:
        return str(self._selector.currentNodeID)

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self._selector.setCurrentNode(node)

    def setCurrentNodeID(self, identifier: str) -> None:
        self._selector.setCurrentNodeID(identifier)

    def currentSegmentID(self) -> str:
        return self._segments.currentData() or ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        index = self._segments.findData(identifier)
        if index < 0 and identifier:
            raise ValueError(f"{self.objectName()} has no segment {identifier}")
        self._segments.setCurrentIndex(index if identifier else (0 if self.noneEnabled else -1))

    def selectedSegmentIDs(self) -> list[str]:
        items = [self._model.item(index) for index in range(self._model.rowCount())]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]

    def setSelectedSegmentIDs(self, identifiers: list[str]) -> None:
        for index in range(self._model.rowCount()):
            item = self._model.item(index)
            checked = item.data(Qt.ItemDataRole.UserRole) in identifiers
            item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)

    def refreshSegments(self) -> None:
        """Follow the segmentation, keeping what is chosen."""
        kept, chosen = self.currentSegmentID(), self.selectedSegmentIDs()
        node = self.currentNode()
        blocked = self._segments.blockSignals(True), self._model.blockSignals(True)
        self._model.clear()
        segmentation = node.GetSegmentation() if node is not None else None
        entries = []
        if segmentation is not None:
            entries = [(name, segmentation.GetSegment(name).GetName()) for name in segmentation.GetSegmentIDs()]
        if self.noneEnabled and not self.multiSelection:
            entries.insert(0, ("", "None"))
        for identifier, name in entries:
            item = QStandardItem(name)
            item.setData(identifier, Qt.ItemDataRole.UserRole)
            if self.multiSelection:
                item.setCheckable(True)
                item.setCheckState(Qt.CheckState.Checked if identifier in chosen else Qt.CheckState.Unchecked)
            self._model.appendRow(item)
        self._segments.setCurrentIndex(max(self._segments.findData(kept), 0 if entries else -1))
        self._segments.blockSignals(blocked[0])
        self._model.blockSignals(blocked[1])
        if self.currentSegmentID() != kept:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def _show(self) -> None:
        self._selector.noneEnabled = self.noneEnabled
        self._selector.setVisible(self.segmentationNodeSelectorVisible)
        self.refreshSegments()

    def _node_changed(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self.forget()
        if node is not None:
            events = slicer.vtkSegmentation
            for event in (events.SegmentAdded, events.SegmentRemoved, events.SegmentModified):
                self.observe(node.GetSegmentation(), event, "refreshSegments")
        self.refreshSegments()
        self.nodeChanged.emit(node)
        self.nodeChosen.emit(node is not None)


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A list of nodes of which several can be checked."""

    checkedNodesChanged = Signal()
    pythonqt_signals = qMRMLNodeComboBox.pythonqt_signals | {"checkedNodesChanged()": "checkedNodesChanged"}
    pythonqt_methods = (
        *qMRMLNodeComboBox.pythonqt_methods,
        *("checkedNodes", "uncheckedNodes", "checkState", "setCheckState"),
    )

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._checked: set[str] = set()

    def checkedNodes(self) -> list[slicer.vtkMRMLNode]:
        return [node for node in self._nodes if node.GetID() in self._checked]

    def uncheckedNodes(self) -> list[slicer.vtkMRMLNode]:
        return [node for node in self._nodes if node.GetID() not in self._checked]

    def checkState(self, node: slicer.vtkMRMLNode) -> int:
        return 2 if node.GetID() in self._checked else 0

    def setCheckState(self, node: slicer.vtkMRMLNode, state: Any) -> None:
        before = set(self._checked)
        checked = getattr(state, "value", state) == Qt.CheckState.Checked.value
        (self._checked.add if checked else self._checked.discard)(node.GetID())
        if before != self._checked:
            self.checkedNodesChanged.emit()


class qMRMLSliderWidget(ctkSliderWidget):
    """A slider that knows units; here without them."""


class qMRMLSpinBox(ctkDoubleSpinBox):
    """A spin box that knows units; here without them."""


class qMRMLRangeWidget(ctkRangeWidget):
    """A range that knows units; here without them."""


class qMRMLSubjectHierarchyTreeView(QWidget):
    """Only its name is needed: Slicer's Python layer mentions it."""


class qMRMLSubjectHierarchyComboBox(QWidget):
    """Only its name is needed: Slicer's Python layer mentions it."""
