"""Stand-ins for Slicer's node selectors, following the real scene."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
import slicer
import vtk
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QWidget

from .ctk_inputs import row
from .properties import stored

SCENE_EVENTS = {
    "NodeAddedEvent": "follow",
    "NodeRemovedEvent": "follow",
    "EndBatchProcessEvent": "refresh",
    "EndCloseEvent": "refresh",
    "EndImportEvent": "refresh",
}


class qMRMLWidget(QWidget):
    """A widget that knows the scene, and tells those connected to it in the .ui file."""

    mrmlSceneChanged = Signal(object)
    pythonqt_signals: dict[str, str] = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    pythonqt_methods: tuple[str, ...] = ("setMRMLScene", "mrmlScene")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._observed: list[tuple[vtk.vtkObject, int]] = []

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not None and not isinstance(scene, slicer.vtkMRMLScene):
            raise TypeError(f"setMRMLScene takes a scene, not {scene!r}")
        if scene is self._scene:
            return
        self._scene = scene
        self.sceneSet()
        self.mrmlSceneChanged.emit(scene)

    def sceneSet(self) -> None:
        """What the widget does with another scene."""

    def observe(self, target: vtk.vtkObject, event: Any, method: str) -> None:
        """Call the named method without arguments at the event, as long as this widget lives."""
        reference = weakref.ref(self)

        def call(caller: vtk.vtkObject, name: str) -> None:
            widget = reference()
            if widget is not None and shiboken6.isValid(widget):
                getattr(widget, method)()

        self._observed.append((target, target.AddObserver(event, call)))

    def forget(self) -> None:
        for target, tag in self._observed:
            target.RemoveObserver(tag)
        self._observed.clear()


class qMRMLNodeComboBox(qMRMLWidget):
    """A list of the scene's nodes of some classes; without `noneEnabled` the first one is chosen by itself."""

    nodeChanged = Signal(object)
    nodeChosen = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    nodeActivated = Signal(object)
    pythonqt_signals = {
        "currentNodeChanged(vtkMRMLNode*)": "nodeChanged",
        "currentNodeChanged(bool)": "nodeChosen",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
    }
    pythonqt_methods: tuple[str, ...] = (
        *("setMRMLScene", "mrmlScene", "currentNode", "setCurrentNode", "setCurrentNodeID", "nodeCount"),
        *("addNode", "addAttribute", "nodeFromIndex", "setCurrentNodeIndex"),
    )

    def _changed(self) -> None:
        self.refresh()

    nodeTypes = stored("QStringList", "nodeTypes", [], _changed)
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [], _changed)
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, _changed)
    showHidden = stored(bool, "showHidden", False, _changed)
    noneEnabled = stored(bool, "noneEnabled", False, _changed)
    noneDisplay = stored(str, "noneDisplay", "None", _changed)
    addEnabled = stored(bool, "addEnabled", True, _changed)
    removeEnabled = stored(bool, "removeEnabled", True, _changed)
    editEnabled = stored(bool, "editEnabled", False, _changed)
    renameEnabled = stored(bool, "renameEnabled", False, _changed)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    baseName = stored(str, "baseName", "")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QComboBox()
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._nodes: list[Any] = []
        self._id = ""
        self._attributes: list[tuple[str, str, str | None]] = []
        self._refreshing = False
        row(self, self._box)
        self._box.activated.connect(self._activated)
        self.setEnabled(False)

    def sceneSet(self) -> None:
        self.forget()
        self.setEnabled(self._scene is not None)
        if self._scene is not None:
            for event, method in SCENE_EVENTS.items():
                self.observe(self._scene, getattr(slicer.vtkMRMLScene, event), method)
        self.refresh()

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._id) if self._scene is not None and self._id else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode takes a node, not {node!r}")
        self._choose(node if node in self._nodes else None)

    def setCurrentNodeID(self, identifier: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(identifier) if self._scene is not None else None)

    currentNodeID = Property(str, lambda self: self._id, setCurrentNodeID)

    def nodeCount(self) -> int:
        return len(self._nodes)

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode | None:
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def addAttribute(self, kind: str, name: str, value: str | None = None) -> None:
        self._attributes.append((kind, name, value))
        self.refresh()

    def addNode(self, kind: str | None = None) -> slicer.vtkMRMLNode:
        """What the entry "Create new ..." does."""
        if not self.addEnabled:
            raise AssertionError(f"{self.objectName()} does not offer new nodes")
        name = self.baseName or (kind or self.nodeTypes[0]).replace("vtkMRML", "").replace("Node", "")
        assert self._scene is not None, "addNode needs a scene"
        node = self._scene.AddNewNodeByClass(kind or self.nodeTypes[0], self._scene.GenerateUniqueName(name))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def follow(self) -> None:
        """A node has come or gone; as Slicer's own, this does nothing for one that it does not list."""
        if self._found() != self._nodes:
            self.refresh()

    def refresh(self) -> None:
        """Follow the scene."""
        if self._refreshing:
            return
        self._refreshing = True
        self._nodes = self._found()
        self._box.clear()
        entries = ([self.noneDisplay] if self.noneEnabled else []) + [node.GetName() or "" for node in self._nodes]
        self._box.addItems(entries)
        if self.addEnabled and self.nodeTypes:
            self._box.insertSeparator(self._box.count())
            kind = self.nodeTypes[0].replace("vtkMRML", "").replace("Node", "")
            self._box.addItem(f"Create new {self.baseName or kind}")
        for target, tag in list(self._observed):
            if isinstance(target, slicer.vtkMRMLNode) and target not in self._nodes:
                target.RemoveObserver(tag)
                self._observed.remove((target, tag))
        for node in self._nodes:
            if not any(target is node for target, _ in self._observed):
                self.observe(node, vtk.vtkCommand.ModifiedEvent, "_renamed")
        self._refreshing = False
        current = self.currentNode()
        if current is None and not self.noneEnabled and self._nodes:
            current = self._nodes[0]
        self._choose(current if current in self._nodes else None)

    def _found(self) -> list[slicer.vtkMRMLNode]:
        """The nodes to list, in the scene's order."""
        if self._scene is None:
            return []
        found: dict[slicer.vtkMRMLNode, None] = {}
        for kind in self.nodeTypes:
            collection = self._scene.GetNodesByClass(kind)
            collection.UnRegister(None)
            found.update(dict.fromkeys(map(collection.GetItemAsObject, range(collection.GetNumberOfItems()))))
        nodes = [node for node in found if self._fits(node)]
        return nodes if len(self.nodeTypes) == 1 else sorted(nodes, key=self._scene.IsNodePresent)

    def _fits(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        kinds = self.nodeTypes
        if not any(node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind for kind in kinds):
            return False
        wanted = [(name, value) for kind, name, value in self._attributes if node.IsA(kind)]
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for name, value in wanted
        )

    def _renamed(self) -> None:
        offset = int(self.noneEnabled)
        for index, node in enumerate(self._nodes):
            self._box.setItemText(index + offset, node.GetName() or "")

    def _activated(self, index: int) -> None:
        index -= int(self.noneEnabled)
        if index > len(self._nodes):
            self.addNode()
        elif index < len(self._nodes):
            self._choose(self._nodes[index] if index >= 0 else None)
            self.nodeActivated.emit(self.currentNode())

    def _choose(self, node: slicer.vtkMRMLNode | None) -> None:
        position = self._nodes.index(node) + int(self.noneEnabled) if node is not None else 0
        self._box.setCurrentIndex(position if node is not None or self.noneEnabled else -1)
        identifier = node.GetID() if node is not None else ""
        if identifier == self._id:
            return
        self._id = identifier
        self.nodeChanged.emit(node)
        self.nodeChosen.emit(node is not None)
        self.currentNodeIDChanged.emit(identifier)
