"""The measured calibrations, one file a preset, and which of them holds for given settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..options import Settings
from ..solvers.solution import Evidence
from .features import BOTH_WAYS, evidence_features
from .model import ErrorModel

CALIBRATION_FOLDER = Path(__file__).parents[1] / "calibration_files"
GENERIC = "generic"


@dataclass(frozen=True)
class Calibration:
    """name: of the preset it was measured with, or `generic` for all of them together.

    measured: under which settings (`preset`, `method`, `refine`, `features`) and on what. both_ways, one_way: the
    models with and without the disagreement of the two ways.
    """

    name: str
    measured: dict[str, Any]
    both_ways: ErrorModel
    one_way: ErrorModel

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """The calibration in a file."""
        data = json.loads(path.read_text(encoding="utf-8"))
        models = (ErrorModel.from_dict(data[kind]) for kind in ("both_ways", "one_way"))
        return cls(path.stem, data["measured"], *models)

    def write(self, folder: Path) -> None:
        """Write it into `folder`, where `read` finds it under its name."""
        models = {"both_ways": self.both_ways.to_dict(), "one_way": self.one_way.to_dict()}
        lines = [f'    "{key}": {json.dumps(value)}' for key, value in self.measured.items()]
        text = '{\n  "measured": {\n' + ",\n".join(lines) + "\n  }"
        for kind, model in models.items():
            rows = ",\n".join(f'    "{key}": {json.dumps(value)}' for key, value in model.items())
            text += f',\n  "{kind}": {{\n{rows}\n  }}'
        (folder / f"{self.name}.json").write_text(text + "\n}\n", encoding="utf-8", newline="\n")

    def expected_error(self, evidence: Evidence, voxel_mm: float) -> Tensor:
        """Expected length of the error (Z, Y, X), mm, on the grid of `evidence`, whose voxels have sides of about
        `voxel_mm`.
        """
        features = evidence_features(evidence)
        model = self.both_ways if len(features) == len(BOTH_WAYS) else self.one_way
        return model.expected_error(features).mul_(voxel_mm)

    def holds_for(self, settings: Settings) -> bool:
        """Whether it was measured with these settings, as far as they matter."""
        return self.measured == {**self.measured, **_deciding(settings)}


def calibration_for(settings: Settings) -> tuple[Calibration, bool]:
    """The calibration that comes closest to the settings, and whether it was measured with them."""
    path = CALIBRATION_FOLDER / f"{settings.preset}.json"
    if path.is_file():
        own = Calibration.read(path)
        if own.holds_for(settings):
            return own, True
    return Calibration.read(CALIBRATION_FOLDER / f"{GENERIC}.json"), False


def _deciding(settings: Settings) -> Mapping[str, Any]:
    return {
        "preset": settings.preset,
        "method": settings.method,
        "refine": settings.refine,
        "features": settings.features.name,
    }
