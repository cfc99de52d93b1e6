"""The model of the error: a weighted sum of standardised features, and a curve from it to the error."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class ErrorModel:
    """The expected error rises, or stays, with each feature.

    features: their names, in order; means, scales: how each is standardised; weights: of the standardised ones, not
    negative. scores, errors: the curve from the weighted sum to the expected error, voxels; linear between its points,
    constant beyond them, neither falls. Raises `ValueError` for anything else.
    """

    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    scores: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.means) == len(self.scales) == len(self.weights) > 0:
            raise ValueError("Every feature needs one mean, one scale and one weight.")
        if min(self.scales) <= 0 or min(self.weights) < 0:
            raise ValueError("Scales are positive and weights not negative.")
        if len(self.scores) != len(self.errors) or len(self.scores) < 2:
            raise ValueError("The curve needs two points or more, each with its error.")
        rising = all(a < b for a, b in itertools.pairwise(self.scores))
        if not rising or not all(a <= b for a, b in itertools.pairwise(self.errors)) or self.errors[0] < 0:
            raise ValueError("The curve must not fall, and its errors must not be negative.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ErrorModel:
        """The model that `to_dict` wrote."""
        return cls(**{name: tuple(values) for name, values in data.items()})

    def to_dict(self) -> dict[str, list[Any]]:
        """Lists that JSON can hold."""
        return {name: list(values) for name, values in asdict(self).items()}

    def score(self, features: Tensor) -> Tensor:
        """Weighted sum (...) of features (F, ...); one that is not known (NaN) counts as average."""
        total = torch.zeros_like(features[0])
        for values, mean, scale, weight in zip(features, self.means, self.scales, self.weights, strict=True):
            total += weight * ((values - mean) / scale).nan_to_num(0.0)
        return total

    def expected_error(self, features: Tensor) -> Tensor:
        """Expected error (...), voxels, of features (F, ...)."""
        scores, errors = (torch.tensor(values, dtype=features.dtype) for values in (self.scores, self.errors))
        score = self.score(features).clamp(self.scores[0], self.scores[-1])
        above = torch.searchsorted(scores, score).clamp(1, len(scores) - 1)
        share = (score - scores[above - 1]) / (scores[above] - scores[above - 1])
        return torch.lerp(errors[above - 1], errors[above], share)
