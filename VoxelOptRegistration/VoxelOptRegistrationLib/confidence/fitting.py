"""Fitting the model of the error to registrations whose error is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .model import ErrorModel

_LEAST_ERROR = 0.03
"""Voxels, added before the logarithm: smaller errors are all the same."""
_CURVE_POINTS = 24
_DESCENTS = 200


def fit_model(names: Sequence[str], features: np.ndarray, errors: np.ndarray) -> ErrorModel:
    """The model of errors (N,), voxels, with features (F, N), NaN where not known, named `names`.

    The weights are those of a linear regression of the error's logarithm under the constraint that none is negative;
    the curve is the isotonic regression of the error itself on their sum (Barlow et al., 1972), in about 24 points.
    Raises `ValueError` for fewer than 50 samples or errors that are all alike in every way.
    """
    if errors.size < 2 * _CURVE_POINTS + 2:
        raise ValueError(f"{errors.size} errors are too few to fit a model to.")
    means = np.nanmean(features, axis=1)
    scales = np.maximum(np.nanstd(features, axis=1), 1e-9)
    standard = np.nan_to_num((features - means[:, None]) / scales[:, None])
    target = np.log(errors + _LEAST_ERROR)
    weights = _not_negative_least_squares(standard, target - target.mean())
    if not weights.any():
        raise ValueError("No feature rises with the error.")
    linear = (tuple(names), _rounded(means), _rounded(scales), _rounded(weights))
    draft = ErrorModel(*linear, scores=(0.0, 1.0), errors=(0.0, 0.0))
    score = draft.score(torch.from_numpy(np.asarray(features, dtype=np.float64))).numpy()
    scores, expected = _curve(score, errors)
    return ErrorModel(*linear, scores, expected)


def isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sequence that never falls and is nearest to `values` (N,) in least squares, each with its weight."""
    blocks: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            total = last[1] + before[1]
            blocks.append([(last[0] * last[1] + before[0] * before[1]) / total, total, last[2] + before[2]])
    return np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])


def _curve(score: np.ndarray, errors: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Points of the curve: means over as many samples each, the largest scores in finer and finer parts."""
    order = np.argsort(score, kind="stable")
    shares = np.concatenate([np.arange(_CURVE_POINTS - 4) / (_CURVE_POINTS - 4), [0.97, 0.985, 0.993, 1.0]])
    edges = np.unique((shares * errors.size).round().astype(int))
    parts = [order[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    middles = np.array([score[part].mean() for part in parts])
    means = isotonic(np.array([errors[part].mean() for part in parts]), np.array([float(part.size) for part in parts]))
    kept = np.r_[True, np.diff(middles.round(4)) > 0]
    if kept.sum() < 2:
        raise ValueError("The features are the same everywhere.")
    return _rounded(middles[kept]), _rounded(means[kept])


def _not_negative_least_squares(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights (F,) >= 0 that bring weights @ design (F, N) nearest to `target` (N,), by coordinate descent."""
    gram, product = design @ design.T, design @ target
    weights = np.zeros(len(gram))
    for _ in range(_DESCENTS):
        for k in range(len(gram)):
            if gram[k, k] > 0:
                weights[k] = max(0.0, weights[k] + (product[k] - gram[k] @ weights) / gram[k, k])
    return weights


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.round(4).tolist())
