"""Averaging over what a voxel of a coarser grid covers, so that nothing aliases."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
import torch

from ..fields.smoothing import convolved
from .grid import Grid
from .transforms import affine_matrix

_FWHM = 2 * math.sqrt(2 * math.log(2))
_LARGEST_ERROR = 0.01
"""Of the Gaussians' weights, what is cut off."""
_LARGEST_REACH = 32
"""Of a Gaussian, voxels."""


def coarsening(image: Grid, grid: Grid, transform: sitk.Transform) -> np.ndarray:
    """How many voxels of `image` one step of `grid` covers, per index axis (x, y, z) of `image`.

    A non-linear transform counts as a rigid one: its local scale is ignored.
    """
    linear = affine_matrix(transform)
    matrix = (np.eye(3) if linear is None else linear[:3, :3]) @ grid.index_to_world[:3, :3]
    return np.linalg.norm(image.world_to_index[:3, :3] @ matrix, axis=1)


def low_pass(image: sitk.Image, ratios: np.ndarray) -> sitk.Image:
    """The average of a float32 image over what a voxel `ratios` times as large along (x, y, z) covers: whole voxels by
    averaging, the rest by a Gaussian.

    Both voxels are taken as Gaussians whose full width at half maximum is their side, so variances subtract.
    """
    sizes = np.array(image.GetSize())
    shrink = [int(np.clip(np.floor(r + 1e-6), 1, n)) for r, n in zip(ratios.tolist(), sizes.tolist(), strict=True)]
    if max(shrink) > 1:
        image = sitk.BinShrink(image, shrink)
    rest = ratios / np.array(shrink)
    variances = np.maximum(rest**2 - 1, 0) / _FWHM**2
    return image if variances.max() < 0.01 else discrete_gaussian(image, variances.tolist())


def discrete_gaussian(image: sitk.Image, variances: list[float]) -> sitk.Image:
    """A float32 image smoothed by discrete Gaussians of these variances along (x, y, z), voxels^2; replicate borders.

    The discrete Gaussian is that of diffusion on a grid (Lindeberg, IEEE PAMI 1990), as ITK has it, whose own
    filter is not exact where the variance is large.
    """
    values = torch.from_numpy(sitk.GetArrayFromImage(image))[None]
    smooth = convolved(values, [_weights(variance) for variance in reversed(variances)])[0]
    result = sitk.GetImageFromArray(smooth.numpy())
    result.CopyInformation(image)
    return result


def _weights(variance: float) -> list[float]:
    """exp(-variance) I_n(variance) for n = 0, 1, 2, ..., with modified Bessel functions of the first kind, until they
    and their mirror images sum up to 1 but for the largest error, or reach farthest; scaled to sum up to 1.
    """
    angles = 2 * np.pi * np.arange(1024) / 1024
    half = np.fft.fft(np.exp(variance * (np.cos(angles) - 1))).real[: _LARGEST_REACH + 1] / angles.size
    sums = 2 * np.cumsum(half) - half[0]
    count = min(max(2, int(np.searchsorted(sums, 1 - _LARGEST_ERROR)) + 1), len(half))
    return (half[:count] / sums[count - 1]).tolist()
