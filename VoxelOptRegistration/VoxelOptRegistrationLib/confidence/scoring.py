"""How well a map predicts a known error: ranks, detection and calibration."""

from __future__ import annotations

import numpy as np


def rank_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Spearman's rank correlation of two samples (N,), ties at their mean rank; NaN where one does not vary."""
    ranks = [_ranks(values) - 0.5 * (len(values) + 1) for values in (predicted, observed)]
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float((ranks[0] * ranks[1]).sum() / spread) if spread > 0 else float("nan")


def detection(predicted: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the ROC curve: how often, of two voxels of which one is `wrong` (bool), it has the larger prediction.

    Ties count half; NaN where all or none are wrong.
    """
    count = int(wrong.sum())
    rest = wrong.size - count
    if count == 0 or rest == 0:
        return float("nan")
    return float((_ranks(predicted)[wrong].sum() - 0.5 * count * (count + 1)) / (count * rest))


def reliability(predicted: np.ndarray, observed: np.ndarray, parts: int = 10) -> list[tuple[float, float]]:
    """Mean prediction and mean observation in each of `parts` equal shares of the samples, by rising prediction."""
    order = np.argsort(predicted, kind="stable")
    return [(float(predicted[p].mean()), float(observed[p].mean())) for p in np.array_split(order, parts) if p.size]


def calibration_error(predicted: np.ndarray, observed: np.ndarray, parts: int = 10) -> float:
    """Mean distance between prediction and observation over the shares of `reliability`, in their unit."""
    return float(np.mean([abs(a - b) for a, b in reliability(predicted, observed, parts)]))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[inverse]
