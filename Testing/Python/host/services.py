"""Stand-ins for what the module asks of Slicer around it: package installation, sample data, the PyTorch extension."""

from __future__ import annotations

import importlib.metadata
import re
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Packages:
    """What `slicer.packaging` and `PyTorchUtils` are asked for, and how the test wants them to answer.

    installed: versions by distribution name, over those really installed; None: not there. accept: whether the person
    agrees to an installation. torch_error: raised by ``torchInstalled()``, as after an interrupted installation.
    """

    installed: dict[str, str | None] = field(default_factory=dict)
    accept: bool = True
    torch_error: Exception | None = None
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def version(self, name: str) -> str | None:
        if name in self.installed:
            return self.installed[name]
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

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
        wanted = [requirements] if isinstance(requirements, str) else list(requirements)
        return all(self.version(re.split(r"[<>=!~;\[ ]", str(text))[0]) for text in wanted)

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
        self.requests.append(("pip_ensure", requirements))
        if self.pip_check(requirements):
            return
        if prompt_install and not self.accept:
            raise RuntimeError("User declined package installation")
        self._install(requirements)

    def pip_install(self, requirements: Any, **options: Any) -> None:
        self.requests.append(("pip_install", requirements))
        self._install(requirements)

    def _install(self, requirements: Any) -> None:
        for text in [requirements] if isinstance(requirements, str) else requirements:
            self.installed[re.split(r"[<>=!~;\[ ]", str(text))[0]] = "1.0"

    def torch_module(self) -> types.ModuleType:
        """To be put at ``sys.modules["PyTorchUtils"]``: what the PyTorch extension offers."""
        packages = self

        class PyTorchUtilsLogic:
            @staticmethod
            def torchInstalled() -> bool:
                if packages.torch_error is not None:
                    raise packages.torch_error
                return packages.version("torch") is not None

            def installTorch(
                self,
                askConfirmation: bool = False,
                forceComputationBackend: str | None = None,
                torchVersionRequirement: str | None = None,
                torchvisionVersionRequirement: str | None = None,
            ) -> Any:
                packages.requests.append(("installTorch", torchVersionRequirement))
                if askConfirmation and not packages.accept:
                    return None
                packages.installed["torch"], packages.torch_error = "2.8.0", None
                return types.ModuleType("torch")

            def uninstallTorch(self, askConfirmation: bool = False) -> None:
                packages.requests.append(("uninstallTorch", None))
                packages.installed["torch"], packages.torch_error = None, None

            def getCompatibleComputationBackends(self) -> list[str]:
                return ["cpu"]

        made = types.ModuleType("PyTorchUtils")
        made.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]
        return made


def load_requirements(path: str | Path) -> list[str]:
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith(("-", "#"))]


class SampleSources:
    """Stand-in for the module SampleData: keeps what was registered and loads it on request."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], dict[str, Any]] = {}

    def module(self) -> types.ModuleType:
        registry = self

        class SampleDataSource:
            def __init__(self, name: str, known: dict[str, Any]) -> None:
                self.sampleName = name
                self.customDownloader = known.get("customDownloader")
                self.nodeNames, self.uris, self.fileNames = (known.get(k) for k in ("nodeNames", "uris", "fileNames"))

        class SampleDataLogic:
            @staticmethod
            def registerCustomSampleDataSource(
                category: str = "Custom",
                sampleName: str | None = None,
                uris: Any = None,
                fileNames: Any = None,
                nodeNames: Any = None,
                customDownloader: Any = None,
                thumbnailFileName: str | None = None,
                loadFileTypes: Any = None,
                loadFiles: Any = None,
                loadFileProperties: Any = None,
                checksums: Any = None,
                loadFileType: Any = None,
            ) -> None:
                if thumbnailFileName is not None and not Path(thumbnailFileName).is_file():
                    raise FileNotFoundError(thumbnailFileName)
                assert sampleName is not None
                registry.sources[category, sampleName] = dict(
                    uris=uris,
                    fileNames=fileNames,
                    nodeNames=nodeNames,
                    customDownloader=customDownloader,
                    thumbnailFileName=thumbnailFileName,
                    checksums=checksums,
                    loadFiles=loadFiles,
                )

            def downloadSample(self, sampleName: str) -> Any:
                (found,) = [(n, known) for (_, n), known in registry.sources.items() if n == sampleName]
                source = SampleDataSource(*found)
                if source.customDownloader is None:
                    raise ConnectionError("the stand-in downloads nothing")
                return source.customDownloader(source)

        made = types.ModuleType("SampleData")
        made.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
        made.downloadSample = lambda name: SampleDataLogic().downloadSample(name)  # type: ignore[attr-defined]
        return made
