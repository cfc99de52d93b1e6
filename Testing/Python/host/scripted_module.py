"""Stand-in for `slicer.ScriptedLoadableModule`: the base classes of a scripted module."""

from __future__ import annotations

import importlib
import unittest
from pathlib import Path
from typing import Any

import slicer


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        super().__init__()
        import qt

        self.parent = parent
        self.moduleName = type(self).__name__
        icon = Path(self.resourcePath(f"Icons/{self.moduleName}.png"))
        if icon.is_file():
            parent.icon = qt.QIcon(str(icon))
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return "<p>For more information see the online documentation.</p>"

    def runTest(self, msec: int = 100, **keywords: Any) -> None:
        case = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**keywords)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        import qt

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        else:
            self.parent = parent
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        manager = slicer.app.moduleManager()
        manager.connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        """The section for developers is left out."""

    def cleanup(self) -> None:
        """Before the module goes."""

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def onReloadAndTest(self, **keywords: Any) -> None:
        if not self.developerMode:
            raise AttributeError("only developers have the button Reload and Test")
        with slicer.util.tryWithErrorDisplay("Reload and Test failed."):
            self.onReload()
            slicer.selfTests[self.moduleName](msec=0, **keywords)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            manager = slicer.app.moduleManager()
            manager.disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        if not self.isSingletonParameterNode:
            raise NotImplementedError("the stand-in keeps one parameter node")
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            return slicer.mrmlScene.AddNode(self.createParameterNode())
        if node.GetAttribute("ModuleName") != self.moduleName:
            node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    messageDelay: int | None = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        delays = [delay for delay in (self.messageDelay, msec, requestedDelay, 100) if delay is not None]
        slicer.util.delayDisplay(message, delays[0])

    def runTest(self) -> None:
        raise AssertionError(f"{type(self).__name__} defines no test")
