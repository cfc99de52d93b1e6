"""Images on other grids: volumes for the solver, masks, and the warped result."""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional

from .grid import Grid
from .low_pass import coarsening, low_pass
from .transforms import affine_matrix

_NEXT_TO_THE_BORDER = 1e-4
"""So close to the border of a field of view, voxels, ITK's rounding decides what lies inside."""


def sample_volume(
    image: sitk.Image,
    grid: Grid,
    transform: sitk.Transform | None = None,
    *,
    background: float | None = None,
    anti_alias: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """`image` at transform(p) for every voxel centre p of `grid`, linear.

    background: values at or below it are no data (-2048 HU outside a CT scan circle); None if there are none.
    anti_alias: low-pass first where `grid` is coarser than the image, so that each voxel averages what it covers.
    Returns values, float32 (Z, Y, X), and valid, bool (Z, Y, X): False outside the image's field of view and where
    a voxel without data takes part. Values there continue the nearest valid ones smoothly, so they make no edge.
    """
    transform = transform or sitk.Transform(3, sitk.sitkIdentity)
    reference = grid.to_reference_image()
    valid = _inside(image, grid, transform)
    values = sitk.Cast(image, sitk.sitkFloat32)
    ratios = coarsening(Grid.of(image), grid, transform) if anti_alias else np.ones(3)
    if background is None:
        sampled = _resample(low_pass(values, ratios), reference, transform, sitk.sitkLinear, None)
        result = sitk.GetArrayFromImage(sampled)
    else:
        data = sitk.Cast(values > background, sitk.sitkFloat32)
        touched = sitk.GetArrayFromImage(_resample(data, reference, transform, sitk.sitkLinear, None)) < 0.999
        weighted = _resample(low_pass(values * data, ratios), reference, transform, sitk.sitkLinear, None)
        weight = _resample(low_pass(data, ratios), reference, transform, sitk.sitkLinear, None)
        result = sitk.GetArrayFromImage(weighted) / np.maximum(sitk.GetArrayFromImage(weight), 1e-6)
        valid &= ~touched
        result = fill_invalid(result, valid)
    return result, valid


def sample_values(image: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> np.ndarray:
    """`image` at transform(p) for every voxel centre p of `grid`, linear, low-passed where `grid` is coarser.

    float32 (Z, Y, X); beyond the image's field of view its nearest voxel.
    """
    transform = transform or sitk.Transform(3, sitk.sitkIdentity)
    smooth = low_pass(sitk.Cast(image, sitk.sitkFloat32), coarsening(Grid.of(image), grid, transform))
    return sitk.GetArrayFromImage(_resample(smooth, grid.to_reference_image(), transform, sitk.sitkLinear, None))


def sample_nearest(image: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> np.ndarray:
    """`image` at transform(p) for every voxel centre p of `grid`, nearest, (Z, Y, X) of its own type; 0 outside it."""
    transform = transform or sitk.Transform(3, sitk.sitkIdentity)
    return sitk.GetArrayFromImage(_resample(image, grid.to_reference_image(), transform, sitk.sitkNearestNeighbor, 0.0))


def sample_mask(mask: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> np.ndarray:
    """`mask` at transform(p) for every voxel centre p of `grid`, nearest: bool (Z, Y, X), False outside it."""
    transform = transform or sitk.Transform(3, sitk.sitkIdentity)
    moved = _resample(mask != 0, grid.to_reference_image(), transform, sitk.sitkNearestNeighbor, 0.0)
    return sitk.GetArrayFromImage(moved) > 0


def warp_image(moving: sitk.Image, reference: sitk.Image, transform: sitk.Transform, *, default: float) -> sitk.Image:
    """`moving` at transform(p) on the grid of `reference`, linear, in moving's pixel type; `default` outside it.

    Integer types are rounded and kept within their range.
    """
    warped = _resample(moving, reference, transform, sitk.sitkLinear, default, sitk.sitkFloat64)
    return like(moving, warped)


def like(image: sitk.Image, values: sitk.Image) -> sitk.Image:
    """`values`, real numbers, in the pixel type of `image`: rounded and kept within the range of integer types."""
    kind = sitk.GetArrayViewFromImage(image).dtype
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        rounded = np.rint(sitk.GetArrayViewFromImage(values))
        # The largest 64-bit integers have no float64 of their own: the cast below must not wrap around.
        high = np.nextafter(float(limits.max), 0) if float(limits.max) > limits.max else float(limits.max)
        whole = sitk.GetImageFromArray(np.clip(rounded, float(limits.min), high).astype(kind))
        whole.CopyInformation(values)
        values = whole
    return sitk.Cast(values, image.GetPixelID())


def fill_invalid(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`values` (Z, Y, X) with invalid voxels replaced by averages of ever larger neighbourhoods (push-pull).

    Valid voxels are kept exactly. Without any valid voxel the result is 0.
    """
    if valid.all():
        return values
    filled = _push_pull(torch.from_numpy(values)[None, None], torch.from_numpy(valid)[None, None].to(torch.float32))
    return np.where(valid, values, filled[0, 0].numpy()).astype(np.float32, copy=False)


def _push_pull(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Halve until every voxel has data (push), then take coarse values where fine ones lack (pull). (1, 1, Z, Y, X)."""
    known = torch.where(weight > 0, values, 0.0)
    if bool((weight > 0).all()) or max(weight.shape) == 1:
        return known
    halves = [min(2, n) for n in weight.shape[2:]]
    total = functional.avg_pool3d(known * weight, halves, ceil_mode=True)
    share = functional.avg_pool3d(weight, halves, ceil_mode=True)
    coarse = _push_pull(total / share.clamp_min(1e-12), (share > 0).to(weight.dtype))
    size = [int(n) for n in values.shape[2:]]
    fine = functional.interpolate(coarse, size=size, mode="trilinear", align_corners=False)
    return torch.where(weight > 0, known, fine)


def _resample(
    image: sitk.Image,
    reference: sitk.Image,
    transform: sitk.Transform,
    interpolator: int,
    default: float | None,
    pixel_type: int = sitk.sitkUnknown,
) -> sitk.Image:
    """Resample; `default` outside the image, or the nearest value where it is None. Without a pixel type, its own."""
    if pixel_type == sitk.sitkUnknown and _leaves_in_place(transform, Grid.of(image), Grid.of(reference)):
        return image
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(reference)
    resampler.SetTransform(transform)
    resampler.SetInterpolator(interpolator)
    resampler.SetOutputPixelType(pixel_type)
    if default is None:
        resampler.UseNearestNeighborExtrapolatorOn()
    else:
        resampler.SetDefaultPixelValue(default)
    return resampler.Execute(image)


def _inside(image: sitk.Image, grid: Grid, transform: sitk.Transform) -> np.ndarray:
    """Whether transform(p) lies in the field of view of `image`, for every voxel centre p of `grid`: (Z, Y, X)."""
    linear = affine_matrix(transform)
    if linear is not None:
        to_voxels = Grid.of(image).world_to_index @ linear @ grid.index_to_world
        corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in grid.size_xyz))]) @ to_voxels.T
        beyond = np.abs(corners[:, :3] - (np.array(image.GetSize()) - 1) / 2) - np.array(image.GetSize()) / 2
        if beyond.max() < -_NEXT_TO_THE_BORDER:
            return np.ones(grid.size_zyx, bool)
    ones = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    ones.CopyInformation(image)
    inside = _resample(ones, grid.to_reference_image(), transform, sitk.sitkNearestNeighbor, 0.0)
    return sitk.GetArrayFromImage(inside) > 0


def _leaves_in_place(transform: sitk.Transform, image: Grid, reference: Grid) -> bool:
    """Whether every voxel of `reference` takes the value of the same voxel of `image`."""
    linear = affine_matrix(transform)
    return linear is not None and np.array_equal(linear, np.eye(4)) and image.same_as(reference)
