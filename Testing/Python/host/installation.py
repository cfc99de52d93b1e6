"""Puts the stand-in modules where `import` finds them, and takes them away again."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtWidgets import QWidget

from . import (
    ctk_containers,
    ctk_inputs,
    i18n,
    mrml_widgets,
    parameter_node,
    parameter_types,
    scripted_module,
    segment_widgets,
)
from .application import qSlicerApplication, qSlicerScriptedLoadableModuleWidget
from .packages import Packages
from .pythonqt import wrap, wrapper_class
from .qt_module import Dialogs, make_qt_module
from .sample_sources import SampleSources
from .signals import keep_error
from .ui_loader import make_loader_class

GENUINE = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper", "packaging")
_genuine: dict[str, types.ModuleType] = {}
"""Slicer's own modules once imported: the library keeps references to them from one host to the next."""
CTK = {
    kind.__name__: kind
    for module in (ctk_containers, ctk_inputs)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, QWidget) and kind.__name__.startswith("ctk")
}
MRML = {
    kind.__name__: kind
    for module in (mrml_widgets, segment_widgets)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, QWidget) and kind.__name__.startswith("qMRML")
}


class Installation:
    """What was put into `sys.modules` and onto `slicer`, so that it can be taken back."""

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType | None] = {}
        self._attributes: dict[str, Any] = {}
        self._replaced: list[tuple[Any, str, Any]] = []
        self._path: list[str] | None = None

    def module(self, name: str, made: types.ModuleType) -> None:
        self._modules.setdefault(name, sys.modules.get(name))
        sys.modules[name] = made
        if name.startswith("slicer."):
            self.attribute(name.partition(".")[2], made)

    def attribute(self, name: str, value: Any) -> None:
        self._attributes.setdefault(name, vars(slicer).get(name, self))
        setattr(slicer, name, value)

    def replace(self, owner: Any, name: str, value: Any) -> None:
        self._replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def genuine(self, folder: Path) -> None:
        """Let `slicer.i18n` and the like come from Slicer's own Python layer."""
        source = folder if (folder / "ScriptedLoadableModule.py").is_file() else folder / "slicer"
        if not (source / "ScriptedLoadableModule.py").is_file():
            raise FileNotFoundError(f"SLICER_PYTHON_DIR={folder} holds no ScriptedLoadableModule.py")
        for name in GENUINE:
            self._modules.setdefault(f"slicer.{name}", None)
        for name, module in _genuine.items():
            sys.modules[name] = module
            if name.count(".") == 1:
                setattr(slicer, name.partition(".")[2], module)
        self._path = list(slicer.__path__)
        slicer.__path__.insert(0, str(source))

    def undo(self) -> None:
        if self._path is not None:
            names = tuple(f"slicer.{name}" for name in GENUINE)
            _genuine.update({name: module for name, module in sys.modules.items() if name.startswith(names)})
            for name in GENUINE:
                vars(slicer).pop(name, None)
        gone = tuple(f"{name}." for name, before in self._modules.items() if before is None)
        for known in [known for known in sys.modules if f"{known}.".startswith(gone)]:
            del sys.modules[known]
        sys.modules.update({name: before for name, before in self._modules.items() if before is not None})
        for name, value in self._attributes.items():
            if value is self:
                delattr(slicer, name)
            else:
                setattr(slicer, name, value)
        for owner, name, value in reversed(self._replaced):
            setattr(owner, name, value)
        if self._path is not None:
            slicer.__path__[:] = self._path


def install(
    application: qSlicerApplication, dialogs: Dialogs, packages: Packages, samples: SampleSources
) -> Installation:
    """Modules qt, ctk, slicer.*, SampleData, PyTorchUtils; slicer.app, slicer.modules and the widget classes."""
    done = Installation()
    qt = make_qt_module(dialogs)
    qt.QUiLoader = make_loader_class(CTK | MRML)
    done.module("qt", qt)
    ctk = types.ModuleType("ctk")
    vars(ctk).update({name: wrapper_class(kind) for name, kind in CTK.items()})
    done.module("ctk", ctk)
    for name, kind in (MRML | {"qSlicerScriptedLoadableModuleWidget": qSlicerScriptedLoadableModuleWidget}).items():
        done.attribute(name, wrapper_class(kind))
    hierarchy = types.ModuleType("qSlicerSubjectHierarchyModuleWidgetsPythonQt")
    for name in ("qMRMLSubjectHierarchyTreeView", "qMRMLSubjectHierarchyComboBox"):
        setattr(hierarchy, name, wrapper_class(MRML[name]))
    done.module(hierarchy.__name__, hierarchy)
    done.replace(sys, "excepthook", keep_error)
    done.replace(slicer.util, "executePythonModule", packages.execute)
    done.replace(importlib.metadata, "version", packages.version)
    done.replace(importlib.util, "find_spec", packages.find_spec)
    done.attribute("app", wrap(application))
    done.attribute("modules", types.SimpleNamespace())
    done.module("SampleData", samples.module())
    done.module("PyTorchUtils", packages.torch_module())
    folder = os.environ.get("SLICER_PYTHON_DIR")
    if folder:
        done.genuine(Path(folder))
        return done
    done.module("slicer.i18n", _module("slicer.i18n", tr=i18n.tr, translate=i18n.translate))
    done.module("slicer.ScriptedLoadableModule", _copy("slicer.ScriptedLoadableModule", scripted_module))
    wrapper = _copy("slicer.parameterNodeWrapper", parameter_types)
    wrapper.parameterNodeWrapper = parameter_node.parameterNodeWrapper  # type: ignore[attr-defined]
    done.module("slicer.parameterNodeWrapper", wrapper)
    done.module("slicer.packaging", packages.module())
    return done


def _module(name: str, **members: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(members)
    return made


def _copy(name: str, source: types.ModuleType) -> types.ModuleType:
    classes = {key: kind for key, kind in vars(source).items() if getattr(kind, "__module__", None) == source.__name__}
    return _module(name, **classes)
