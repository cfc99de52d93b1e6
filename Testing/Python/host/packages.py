"""Stand-ins for installing Python packages: `slicer.packaging`, and the PyTorch extension's PyTorchUtils."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import subprocess
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QTimer


@dataclass
class Packages:
    """Which Python packages this Slicer has, and what was asked to be installed. Nothing is really installed.

    installed: versions by distribution name, over those really there; None: neither record nor files. unrecorded: names
    whose files are there without a record. torch_error: raised by ``torchInstalled()``, as after an interrupted
    installation. requests: (who, what) in order; "pip" with its arguments, "installTorch", "uninstallTorch".
    """

    installed: dict[str, str | None] = field(default_factory=dict)
    unrecorded: set[str] = field(default_factory=set)
    torch_error: Exception | None = None
    pip_returns: int = 0
    requests: list[tuple[str, Any]] = field(default_factory=list)
    _version: Callable[[str], str] = importlib.metadata.version
    _find_spec: Callable[..., Any] = importlib.util.find_spec

    def version(self, name: str) -> str:
        """As ``importlib.metadata.version``."""
        version = self.installed.get(name, "")
        if version is None or name in self.unrecorded:
            raise importlib.metadata.PackageNotFoundError(name)
        return version or self._version(name)

    def find_spec(self, name: str, package: str | None = None) -> Any:
        """As ``importlib.util.find_spec``."""
        return None if self.installed.get(name, "") is None else self._find_spec(name, package)

    def execute(
        self,
        module: str,
        args: list[str],
        blocking: bool = True,
        logCallback: Callable[[str], None] | None = None,
        completedCallback: Callable[[int], None] | None = None,
    ) -> None:
        """As ``slicer.util.executePythonModule``."""
        self.requests.append((module, list(args)))
        if module == "pip" and self.pip_returns == 0:
            for text in args[1:]:
                self.installed[name_of(text)] = "99.0" if args[0] == "install" else None
        if logCallback is not None:
            logCallback(f"{module} {' '.join(args)}")
        if not blocking and completedCallback is not None:
            QTimer.singleShot(0, lambda: completedCallback(self.pip_returns))
        elif self.pip_returns:
            raise subprocess.CalledProcessError(self.pip_returns, [module, *args])

    def module(self) -> types.ModuleType:
        """To be put at ``sys.modules["slicer.packaging"]``."""
        made = types.ModuleType("slicer.packaging")
        vars(made).update(
            pip_ensure=self.pip_ensure,
            pip_check=self.pip_check,
            pip_install=self.pip_install,
            load_requirements=load_requirements,
            isPipInstallInProgress=lambda: False,
        )
        return made

    def pip_check(self, requirements: Any) -> bool:
        for text in [requirements] if isinstance(requirements, str) else requirements:
            try:
                importlib.metadata.version(name_of(text))
            except importlib.metadata.PackageNotFoundError:
                return False
        return True

    def pip_ensure(
        self,
        requirements: Any,
        constraints: Any = None,
        skip_packages: Any = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> None:
        wanted = [requirements] if isinstance(requirements, str) else list(requirements)
        missing = [text for text in wanted if not self.pip_check(text)]
        if not missing or (skip_in_testing and slicer.app.testingEnabled()):
            return
        question = f"{len(missing)} Python packages need to be installed. Continue?"
        if prompt_install and not slicer.util.confirmOkCancelDisplay(question, detailedText="\n".join(missing)):
            raise RuntimeError("User declined package installation")
        self.pip_install(missing)

    def pip_install(self, requirements: Any, **options: Any) -> None:
        wanted = shlex.split(requirements) if isinstance(requirements, str) else list(requirements)
        slicer.util.executePythonModule("pip", ["install", *wanted])

    def torch_module(self) -> types.ModuleType:
        """To be put at ``sys.modules["PyTorchUtils"]``: what the PyTorch extension offers."""
        packages = self

        class PyTorchUtilsLogic:
            @staticmethod
            def torchInstalled() -> bool:
                if packages.torch_error is not None:
                    raise packages.torch_error
                return importlib.util.find_spec("torch") is not None

            def installTorch(
                self,
                askConfirmation: bool = False,
                forceComputationBackend: str | None = None,
                torchVersionRequirement: str | None = None,
                torchvisionVersionRequirement: str | None = None,
            ) -> Any:
                packages.requests.append(("installTorch", torchVersionRequirement))
                if askConfirmation and not slicer.util.confirmOkCancelDisplay("PyTorch will be downloaded. Continue?"):
                    return None
                packages.installed.pop("torch", None)
                packages.unrecorded.discard("torch")
                packages.torch_error = None
                return types.ModuleType("torch")

            def uninstallTorch(self, askConfirmation: bool = False) -> None:
                packages.requests.append(("uninstallTorch", None))
                packages.installed["torch"], packages.torch_error = None, None
                packages.unrecorded.discard("torch")

            def getCompatibleComputationBackends(self) -> list[str]:
                return ["cpu"]

        made = types.ModuleType("PyTorchUtils")
        made.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]
        return made


def load_requirements(path: str | Path) -> list[str]:
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith(("-", "#"))]


def name_of(requirement: str) -> str:
    """The distribution's name in a requirement such as ``"torch>=2.4; sys_platform == 'linux'"``."""
    return re.split(r"[<>=!~;\[ ]", str(requirement))[0]
