"""Small versions of two volumes, and how well a transform brings their structures together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
import torch

from ..features.mind import mind_ssc
from .grid import SMALLEST_SIDE, Grid
from .resampling import sample_mask, sample_volume

SEARCH_VOXELS = 60_000
"""Voxels of the fixed volume at which alignments are sought: a fraction of a second each."""
JUDGE_VOXELS = 200_000
"""... and at which they are compared: coarser voxels see outlines rather than structures."""
_RADIUS, _DILATION = 1, 1
_RIM = 2
"""Coarse voxels that a descriptor reaches: this far from the edge of the overlap it is not compared."""


@dataclass(frozen=True, eq=False)
class CoarseVolume:
    """image: float32 in [0, 1] between its 1st and 99th percentile; region: uint8, 1 where there is data to compare."""

    image: sitk.Image
    region: sitk.Image
    grid: Grid

    @cached_property
    def descriptors(self) -> torch.Tensor:
        """MIND-SSC of the image, (12, Z, Y, X)."""
        return _descriptors(self.image)

    @property
    def region_volume(self) -> float:
        """mm^3."""
        voxel = abs(float(np.linalg.det(self.grid.index_to_world[:3, :3])))
        return voxel * float(np.count_nonzero(sitk.GetArrayViewFromImage(self.region)))

    @property
    def centre(self) -> np.ndarray:
        """Centre of the region's bounding box, LPS mm."""
        found = np.argwhere(sitk.GetArrayViewFromImage(self.region))[:, ::-1]
        return self._world((found.min(axis=0) + found.max(axis=0)) / 2)

    @property
    def centre_of_mass(self) -> np.ndarray:
        """Intensity-weighted centre of the region, LPS mm."""
        weight = sitk.GetArrayViewFromImage(self.image) * sitk.GetArrayViewFromImage(self.region)
        total = float(weight.sum())
        if total <= 0:
            return self.centre
        sides = [weight.sum(axis=tuple({0, 1, 2} - {axis})) @ np.arange(weight.shape[axis]) for axis in (2, 1, 0)]
        return self._world(np.array(sides) / total)

    def _world(self, index: np.ndarray) -> np.ndarray:
        return self.grid.index_to_world[:3, :3] @ index + self.grid.index_to_world[:3, 3]


@dataclass(frozen=True)
class Agreement:
    """difference: mean absolute difference of MIND-SSC descriptors, 0 = same structures; infinite without overlap.
    overlap: share of the smaller region that both volumes cover."""

    difference: float
    overlap: float

    @property
    def similarity(self) -> float:
        """1 - difference, 0 without overlap."""
        return max(0.0, 1.0 - self.difference)


def coarse_spacing(image: sitk.Image, voxels: int) -> float:
    """Side, mm, of voxels so large that about `voxels` of them fill the field of view; the finest side at least."""
    grid = Grid.of(image)
    extent = float(np.prod(np.array(grid.size_xyz) * np.array(grid.spacing)))
    return max((extent / voxels) ** (1 / 3), min(grid.spacing))


def coarse_volume(image: sitk.Image, spacing: float, mask: sitk.Image | None, background: float | None) -> CoarseVolume:
    """`image` at about `spacing` mm a side, compared inside `mask` (on its grid) and where it is above `background`."""
    full = Grid.of(image)
    z, y, x = (
        max(SMALLEST_SIDE, round(n * side / spacing)) for n, side in zip(full.size_zyx, full.spacing[::-1], strict=True)
    )
    grid = full.resized((z, y, x))
    values, region = sample_volume(image, grid, background=background)
    if mask is not None:
        region &= sample_mask(mask, grid)
    low, high = np.percentile(values[region] if region.any() else values, [1, 99])
    scaled = np.clip((values - low) / max(float(high - low), 1e-12), 0, 1).astype(np.float32)
    return CoarseVolume(
        grid.place(sitk.GetImageFromArray(scaled)), grid.place(sitk.GetImageFromArray(region.astype(np.uint8))), grid
    )


def compare(fixed: CoarseVolume, moving: CoarseVolume, transform: sitk.Transform) -> Agreement:
    """How well `transform` (fixed point -> moving point, mm, LPS) brings the structures of `moving` onto `fixed`."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(fixed.image)
    resampler.SetTransform(transform)
    covered = sitk.Resample(moving.region, fixed.image, transform, sitk.sitkNearestNeighbor) & fixed.region
    share = float(np.count_nonzero(sitk.GetArrayViewFromImage(covered)))
    share *= abs(float(np.linalg.det(fixed.grid.index_to_world[:3, :3])))
    share /= max(min(fixed.region_volume, moving.region_volume), 1e-12)
    inner = sitk.GetArrayFromImage(sitk.BinaryErode(covered, (_RIM,) * 3, sitk.sitkBox, 0.0, 1.0, False)) > 0
    if not inner.any():
        return Agreement(float("inf"), min(share, 1.0))
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOn()
    difference = (_descriptors(resampler.Execute(moving.image)) - fixed.descriptors).abs().mean(dim=0).numpy()
    return Agreement(float(difference[inner].mean(dtype=np.float64)), min(share, 1.0))


def _descriptors(image: sitk.Image) -> torch.Tensor:
    return mind_ssc(torch.from_numpy(sitk.GetArrayFromImage(image)), radius=_RADIUS, dilation=_DILATION)
