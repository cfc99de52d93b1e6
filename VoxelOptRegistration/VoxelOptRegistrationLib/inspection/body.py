"""Where the patient is in a scan, so that air around the body does not water statistics down."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .morphology import close, open_in_plane

SEARCH_VOXELS = 1_000_000
THRESHOLD = 0.1


def body_mask(image: sitk.Image, background: float | None = None) -> np.ndarray:
    """The largest object that stands out from the darkness, bool (Z, Y, X), holes filled slice by slice.

    Standing out means more than a tenth of the way from the darkest to the 99.5th percentile; `background` is a value
    that means "no data". All True if nothing stands out. Searched on a coarser grid of about a million voxels.
    """
    factor = max(1, round((np.prod(image.GetSize()) / SEARCH_VOXELS) ** (1 / 3)))
    factors = [factor if n >= 8 * factor else 1 for n in image.GetSize()]
    small = sitk.Shrink(sitk.Cast(image, sitk.sitkFloat32), factors)
    values = sitk.GetArrayViewFromImage(small)
    known = np.isfinite(values) if background is None else values != background
    if not known.any():
        return np.ones(image.GetSize()[::-1], dtype=bool)
    low, high = np.percentile(values[known], (0.5, 99.5))
    bright = open_in_plane((values > low + THRESHOLD * (high - low)) & known)
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(bright.astype(np.uint8)))
    largest = close(sitk.GetArrayViewFromImage(sitk.RelabelComponent(parts, sortByObjectSize=True)) == 1)
    objects = sitk.GetImageFromArray(largest.astype(np.uint8))
    filled = [sitk.BinaryFillhole(objects[:, :, k], fullyConnected=False) for k in range(objects.GetDepth())]
    body = sitk.JoinSeries(filled)
    body.CopyInformation(small)
    smooth = sitk.Cast(body, sitk.sitkFloat32)
    full = sitk.Resample(smooth, image, useNearestNeighborExtrapolator=True)
    mask = sitk.GetArrayFromImage(full) > 0.5
    return mask if mask.any() else np.ones(mask.shape, dtype=bool)
