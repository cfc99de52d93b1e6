"""From the evidence of a match to the numbers that the model of the error takes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fields.smoothing import gaussian_smooth
from ..solvers.solution import Evidence

BOTH_WAYS = ("entropy", "dissimilarity", "disagreement")
ONE_WAY = ("entropy", "dissimilarity")
"""The features, in the order of the maps: with the way back solved, and without."""
SIGMA = 2.0
"""Voxels of the Gaussian over which evidence is averaged: errors of smooth fields are as smooth."""
_LEAST = {"dissimilarity": 0.005, "disagreement": 0.05}
"""What is added before the logarithm, in the unit of each."""
_LEAST_SHARE = 1e-3


def evidence_features(evidence: Evidence) -> Tensor:
    """The features (F, Z, Y, X) in the order of `BOTH_WAYS` or `ONE_WAY`, each larger where an error is likelier.

    All are averaged over the neighbourhood; dissimilarity and disagreement, which have no upper end, are logarithms.
    NaN where nothing near could be compared.
    """
    maps = [_average(evidence.entropy)]
    for name in BOTH_WAYS[1:]:
        values = getattr(evidence, name)
        if values is not None:
            maps.append((_average(values) + _LEAST[name]).log())
    return torch.stack(maps)


def _average(values: Tensor) -> Tensor:
    """Gaussian mean of the known values (Z, Y, X) around each voxel; NaN where hardly any is known."""
    known = values.isfinite()
    total, share = gaussian_smooth(torch.stack([values.nan_to_num(0.0), known.to(values.dtype)]), SIGMA)
    return (total / share).masked_fill(share < _LEAST_SHARE, torch.nan)
