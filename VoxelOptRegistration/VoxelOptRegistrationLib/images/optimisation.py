"""Rigid and affine transforms that bring two coarse volumes together (SimpleITK)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from .coarse import CoarseVolume

_ITERATIONS = 150
_BINS = 32


def rigid_from(
    fixed: CoarseVolume, moving: CoarseVolume, initial: sitk.Transform, start: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Rigid transforms found from `start` (4 x 4, LPS mm), one per metric: (metric's name, 4 x 4).

    They map fixed points to points that `initial` takes on to moving points.
    """
    for metric in ("mutual information", "correlation"):
        transform = sitk.Euler3DTransform()
        transform.SetCenter(fixed.centre.tolist())
        transform.SetMatrix(start[:3, :3].ravel().tolist(), 1e-6)
        transform.SetTranslation(_translation_about(start, fixed.centre).tolist())
        step = max(fixed.grid.spacing)
        if _optimise(fixed, moving, initial, transform, metric, step, (2, 1)):
            yield metric, _matrix(transform)


def affine_from(
    fixed: CoarseVolume, moving: CoarseVolume, initial: sitk.Transform, start: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Affine transforms found from `start`, like `rigid_from`."""
    for metric in ("mutual information", "correlation"):
        transform = sitk.AffineTransform(3)
        transform.SetCenter(fixed.centre.tolist())
        transform.SetMatrix(start[:3, :3].ravel().tolist())
        transform.SetTranslation(_translation_about(start, fixed.centre).tolist())
        step = max(fixed.grid.spacing) / 2
        if _optimise(fixed, moving, initial, transform, metric, step, (1,)):
            yield metric, _matrix(transform)


def _optimise(
    fixed: CoarseVolume,
    moving: CoarseVolume,
    initial: sitk.Transform,
    transform: sitk.Transform,
    metric: str,
    step: float,
    shrink: tuple[int, ...],
) -> bool:
    """Optimise `transform` in place; False if the metric cannot be computed (no overlap, nothing to see)."""
    method = sitk.ImageRegistrationMethod()
    # One thread and one work unit: sums in parallel differ from run to run in the last digits.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    if metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(fixed.region)
    method.SetMetricMovingMask(moving.region)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step, minStep=step / 100, numberOfIterations=_ITERATIONS, relaxationFactor=0.8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([0.5 * factor if factor > 1 else 0.0 for factor in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetMovingInitialTransform(initial)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed.image, moving.image)
    except RuntimeError:
        return False
    return bool(np.isfinite(transform.GetParameters()).all())


def _translation_about(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """ITK's translation of a centred transform: matrix(p) = R (p - centre) + centre + translation."""
    return matrix[:3, :3] @ centre + matrix[:3, 3] - centre


def _matrix(transform: sitk.Transform) -> np.ndarray:
    centre = np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = centre + np.array(transform.GetTranslation()) - matrix[:3, :3] @ centre
    return matrix
