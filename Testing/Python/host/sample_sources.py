"""Stand-in for Slicer's module SampleData."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer


class SampleSources:
    """Stand-in for the module SampleData: keeps what was registered and loads it on request.

    `builtin` makes the nodes that Slicer's own samples would be, by name; without it they cannot be downloaded.
    """

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], dict[str, Any]] = {}
        self.builtin: dict[str, Callable[[], Any]] = {}

    def download(self, name: str) -> Any:
        if name not in self.builtin:
            raise ConnectionError(f"the stand-in cannot download {name}")
        return self.builtin[name]()

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
                found = SampleDataSource(sampleName, registry.sources[category, sampleName])
                vars(slicer.modules).setdefault("sampleDataSources", {}).setdefault(category, []).append(found)

            def downloadSample(self, sampleName: str) -> Any:
                (found,) = [(n, known) for (_, n), known in registry.sources.items() if n == sampleName]
                source = SampleDataSource(*found)
                if source.customDownloader is None:
                    raise ConnectionError("the stand-in downloads nothing")
                return source.customDownloader(source)

            def downloadMRBrainTumor1(self) -> Any:
                return registry.download("MRBrainTumor1")

            def downloadMRBrainTumor2(self) -> Any:
                return registry.download("MRBrainTumor2")

        made = types.ModuleType("SampleData")
        made.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
        made.downloadSample = lambda name: SampleDataLogic().downloadSample(name)  # type: ignore[attr-defined]
        return made
