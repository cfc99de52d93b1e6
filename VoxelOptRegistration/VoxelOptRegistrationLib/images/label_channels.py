"""Label maps of two volumes as weighted channels on the working grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from ..features.label_maps import CHANNELS, coarse_presence, label_weights, share_channels
from .grid import Grid
from .resampling import sample_nearest, sample_values


@dataclass(frozen=True)
class LabelSets:
    """common: label values in both maps, ascending; single: those in one only, which count as background."""

    common: tuple[int, ...]
    single: tuple[int, ...]

    @classmethod
    def of(cls, fixed: sitk.Image, moving: sitk.Image) -> LabelSets:
        """Those of two integer label maps; 0 is background."""
        found = [set(np.unique(sitk.GetArrayViewFromImage(image)).tolist()) - {0} for image in (fixed, moving)]
        return cls(tuple(sorted(found[0] & found[1])), tuple(sorted(found[0] ^ found[1])))

    @property
    def channels(self) -> int:
        """Channels that the common labels take."""
        return min(len(self.common), CHANNELS)


def label_channels(
    fixed: sitk.Image, moving: sitk.Image, sets: LabelSets, grid: Grid, transform: sitk.Transform
) -> tuple[np.ndarray, np.ndarray]:
    """Channels (C, Z, Y, X), float32, of the fixed map and of the moving one at transform(p), on `grid`.

    A label's indicator, times its weight, is sampled linearly into its channel. A label that stands in one map only is
    left out: where the other map does not know a structure, it must not push it away.
    """
    identity = sitk.Transform(3, sitk.sitkIdentity)
    pairs = ((fixed, identity), (moving, transform))
    nearest = [torch.from_numpy(_numbers(sample_nearest(image, grid, way), sets)) for image, way in pairs]
    count = len(sets.common)
    counts = sum(torch.bincount(numbers.flatten().long(), minlength=count + 1)[1:] for numbers in nearest)
    weights = label_weights(torch.as_tensor(counts)).numpy()
    presence = coarse_presence(nearest[0], count) | coarse_presence(nearest[1], count)
    channel_of = np.array(share_channels(presence))
    fixed_channels, moving_channels = (_channels(image, way, sets, weights, channel_of, grid) for image, way in pairs)
    return fixed_channels, moving_channels


def _channels(
    image: sitk.Image,
    transform: sitk.Transform,
    sets: LabelSets,
    weights: np.ndarray,
    channel_of: np.ndarray,
    grid: Grid,
) -> np.ndarray:
    image = _cropped(image)
    numbers = _numbers(sitk.GetArrayViewFromImage(image), sets)
    result = np.zeros((sets.channels, *grid.size_zyx), np.float32)
    for channel in range(sets.channels):
        table = np.concatenate([[0.0], np.where(channel_of == channel, weights, 0.0)]).astype(np.float32)
        values = sitk.GetImageFromArray(table[numbers])
        values.CopyInformation(image)
        result[channel] = sample_values(values, grid, transform)
    return result


def _numbers(labels: np.ndarray, sets: LabelSets) -> np.ndarray:
    """0 for background and labels that are not common, i + 1 for the common label i; int16."""
    known = np.array(sets.common, np.int64)
    place = np.searchsorted(known, labels).clip(0, len(known) - 1)
    return np.where(known[place] == labels, place + 1, 0).astype(np.int16)


def _cropped(labels: sitk.Image) -> sitk.Image:
    """The part of a label map that holds labels, with one voxel of background around it where there is any."""
    values = sitk.GetArrayViewFromImage(labels) != 0
    box = []
    for axis in (2, 1, 0):
        inside = np.flatnonzero(values.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2))
    return labels[box[0], box[1], box[2]]
