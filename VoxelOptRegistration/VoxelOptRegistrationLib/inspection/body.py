"""Where the patient is in a scan, so that air around the body does not water statistics down."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .morphology import close, open_in_plane

SEARCH_VOXELS = 1_000_000
THRESHOLD = 0.1
PADDING_GAP = 0.6
"""How far padding is from air, as a share of the way from air to the brightest."""


def body_mask(image: sitk.Image, background: float | None = None) -> np.ndarray:
    """The largest object that stands out from the darkness, bool (Z, Y, X), holes filled slice by slice.

    Standing out means more than a tenth of the way from the darkness to the 99.5th percentile, and darkness is the 10th
    percentile of what Otsu's threshold leaves below, a padding much darker than the rest of that left out, so that it
    does not make air stand out.
    `background` is a value that means "no data". All True if nothing stands out. Searched on a coarser grid of about a
    million voxels.
    """
    factor = max(1, round((np.prod(image.GetSize()) / SEARCH_VOXELS) ** (1 / 3)))
    factors = [factor if n >= 8 * factor else 1 for n in image.GetSize()]
    small = sitk.Shrink(sitk.Cast(image, sitk.sitkFloat32), factors)
    values = sitk.GetArrayViewFromImage(small)
    known = np.isfinite(values) if background is None else values != background
    if not known.any():
        return np.ones(image.GetSize()[::-1], dtype=bool)
    low, high = _darkness(values[known]), np.percentile(values[known], 99.5)
    bright = open_in_plane((values > low + THRESHOLD * (high - low)) & known)
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(bright.astype(np.uint8)))
    parts = sitk.RelabelComponent(parts, sortByObjectSize=True)
    largest = close(sitk.GetArrayViewFromImage(parts) == 1)
    objects = sitk.GetImageFromArray(largest.astype(np.uint8))
    filled = [sitk.BinaryFillhole(objects[:, :, k], fullyConnected=False) for k in range(objects.GetDepth())]
    body = sitk.JoinSeries(filled)
    body.CopyInformation(small)
    smooth = sitk.Cast(body, sitk.sitkFloat32)
    full = sitk.Resample(smooth, image, useNearestNeighborExtrapolator=True)
    mask = sitk.GetArrayFromImage(full) > 0.5
    return mask if mask.any() else np.ones(mask.shape, dtype=bool)


def _darkness(values: np.ndarray) -> float:
    clipped = np.clip(values, *np.percentile(values, (0.5, 99.5)))
    dark = clipped[clipped <= _otsu(clipped)]
    if dark.size == 0:
        return float(clipped.min())
    threshold = _otsu(dark)
    darker, lighter = dark[dark <= threshold], dark[dark > threshold]
    if lighter.size and lighter.mean() - darker.mean() > PADDING_GAP * (clipped.max() - lighter.mean()):
        dark = lighter
    return float(np.percentile(dark, 10))


def _otsu(values: np.ndarray) -> float:
    found = sitk.OtsuThresholdImageFilter()
    found.Execute(sitk.GetImageFromArray(values.reshape(1, -1)))
    return float(found.GetThreshold())
