"""Small versions of two volumes, and how well an alignment brings their structures together."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..features.mind import mind_ssc
from .grid import Grid
from .resampling import sample_mask, sample_volume
from .transforms import affine_matrix

JUDGE_VOXELS = 400_000
"""Voxels of the fixed volume at which alignments are compared: coarser voxels see outlines rather than structures."""
_LARGEST = 4 * JUDGE_VOXELS
"""Voxels of the larger volume at most."""
FACTORS = (1, 2, 4)
"""How many times coarser than for comparing the voxels can be: the sides of a coarse volume divide by all of these."""
_RADIUS, _DILATION = 1, 1
RIM = 2
"""Coarse voxels that a descriptor reaches: this far from the edge of the overlap it is not compared."""
_PAIRS = 20_000
_ENOUGH = 0.7
"""Overlap from which on more of it is no advantage."""


@dataclass(frozen=True, eq=False)
class CoarseVolume:
    """values: float32 (Z, Y, X) in [0, 1] between the 1st and 99th percentile; region: bool, where there is data to
    compare.
    """

    values: Tensor
    region: Tensor
    grid: Grid

    @cached_property
    def descriptors(self) -> Tensor:
        """MIND-SSC of the values, (12, Z, Y, X)."""
        return describe(self.values)

    @cached_property
    def region_volume(self) -> float:
        """mm^3."""
        return self.voxel_volume * float(self.region.sum())

    @property
    def voxel_volume(self) -> float:
        """mm^3."""
        return abs(float(np.linalg.det(self.grid.index_to_world[:3, :3])))

    @cached_property
    def centre(self) -> np.ndarray:
        """Centre of the region's bounding box, LPS mm."""
        found = np.argwhere(self.region.numpy())[:, ::-1]
        return self._world((found.min(axis=0) + found.max(axis=0)) / 2)

    @cached_property
    def centre_of_mass(self) -> np.ndarray:
        """Intensity-weighted centre of the region, LPS mm."""
        weight = (self.values * self.region).numpy().astype(np.float64)
        total = float(weight.sum())
        if total <= 0:
            return self.centre
        sides = [weight.sum(axis=tuple({0, 1, 2} - {axis})) @ np.arange(weight.shape[axis]) for axis in (2, 1, 0)]
        return self._world(np.array(sides) / total)

    def coarser(self, factor: int) -> CoarseVolume:
        """The same with voxels `factor` (of FACTORS) times as large, averages of the ones with data."""
        if factor == 1:
            return self
        weight = self.region.to(torch.float32)
        share = functional.avg_pool3d(weight[None], factor)[0]
        known = functional.avg_pool3d((self.values * weight)[None], factor)[0] / share.clamp_min(1e-6)
        values = torch.where(share > 0, known, functional.avg_pool3d(self.values[None], factor)[0])
        z, y, x = (n // factor for n in self.grid.size_zyx)
        return CoarseVolume(values, share >= 0.5, self.grid.resized((z, y, x)))

    def sampled(self, grid: Grid, matrix: np.ndarray) -> tuple[Tensor, Tensor]:
        """Values and region at matrix(p) for every voxel centre p of `grid`; values go on as they end at the border."""
        if Grid(self.grid.size_zyx, np.linalg.solve(matrix, self.grid.index_to_world)).same_as(grid):
            # Interpolation would blur by a rounding error what agrees exactly.
            return self.values, self.region.clone()
        indices = self.grid.world_to_index @ matrix @ grid.index_to_world
        # One voxel more on every side: there the region ends, half a voxel beyond the outermost centres.
        both = torch.stack((self.values, self.region.to(torch.float32)))[None]
        padded = torch.cat(
            (
                functional.pad(both[:, :1], (1,) * 6, mode="replicate"),
                functional.pad(both[:, 1:], (1,) * 6),
            ),
            dim=1,
        )
        last = np.array(self.grid.size_xyz) + 1.0
        scaled = np.diag([*(2 / last), 1.0]) @ indices
        scaled[:3, 3] += 2 / last - 1
        lines = [
            torch.from_numpy(np.outer(np.arange(n), scaled[:3, axis]).astype(np.float32))
            for axis, n in enumerate(grid.size_xyz)
        ]
        offset = torch.from_numpy(scaled[:3, 3].astype(np.float32))
        points = lines[2][:, None, None] + lines[1][:, None] + (lines[0] + offset)
        found = functional.grid_sample(padded, points[None], mode="bilinear", padding_mode="border", align_corners=True)
        return found[0, 0], found[0, 1] >= 0.5

    def _world(self, index: np.ndarray) -> np.ndarray:
        return self.grid.index_to_world[:3, :3] @ index + self.grid.index_to_world[:3, 3]


@dataclass(frozen=True)
class Agreement:
    """difference: mean absolute difference of MIND-SSC descriptors, 0 = same structures; infinite without overlap.
    overlap: share of the smaller region that both volumes cover. chance: the difference of unrelated places of the
    two volumes.
    """

    difference: float
    overlap: float
    chance: float

    @property
    def similarity(self) -> float:
        """1 - difference, 0 without overlap."""
        return max(0.0, 1.0 - self.difference)

    @property
    def cost(self) -> float:
        """The difference, growing to chance as the overlap vanishes: leaving most of the body outside never pays."""
        trust = min(1.0, self.overlap / _ENOUGH)
        return min(self.difference, self.chance) * trust + self.chance * (1 - trust)

    @property
    def fit(self) -> float:
        """What is taken away of the difference between unrelated places, 0 to 1."""
        return 1 - self.cost / self.chance if self.chance > 0 else 1.0


def describe(values: Tensor) -> Tensor:
    """MIND-SSC of (Z, Y, X) for coarse voxels, (12, Z, Y, X)."""
    return mind_ssc(values, radius=_RADIUS, dilation=_DILATION)


def inner(region: Tensor, rim: int) -> Tensor:
    """`region`, bool (Z, Y, X), without what is within `rim` voxels of its edge or of the border."""
    outside = functional.pad(1.0 - region[None, None].to(torch.float32), (rim,) * 6, value=1.0)
    for axis in range(3):
        kernel = [1, 1, 1]
        kernel[axis] = 2 * rim + 1
        outside = functional.max_pool3d(outside, tuple(kernel), stride=1)
    return outside[0, 0] == 0


def coarse_spacing(image: sitk.Image, voxels: int) -> float:
    """Side, mm, of voxels so large that about `voxels` of them fill the field of view; the finest side at least."""
    grid = Grid.of(image)
    extent = float(np.prod(np.array(grid.size_xyz) * np.array(grid.spacing)))
    return max((extent / voxels) ** (1 / 3), min(grid.spacing))


def coarse_volume(
    image: sitk.Image,
    spacing: float,
    mask: sitk.Image | None,
    background: float | None,
    placed_by: sitk.Transform | None = None,
) -> CoarseVolume:
    """`image` at about `spacing` mm a side, compared inside `mask` (on its grid) and where it is above `background`.

    placed_by: the volume is seen through this transform: what `image` shows at placed_by(p) is shown at p.
    """
    full = Grid.of(image)
    linear = np.eye(4) if placed_by is None else affine_matrix(placed_by)
    if linear is not None:
        grid = _divisible(full, spacing)
        values, region = sample_volume(image, grid, background=background)
        if mask is not None:
            region &= sample_mask(mask, grid)
        grid = Grid(grid.size_zyx, np.linalg.inv(linear) @ grid.index_to_world)
    else:
        grid = _divisible(_seen_through(full, placed_by), spacing)
        values, region = sample_volume(image, grid, placed_by, background=background)
        if mask is not None:
            region &= sample_mask(mask, grid, placed_by)
    low, high = np.percentile(values[region] if region.any() else values, [1, 99])
    scaled = np.clip((values - low) / max(float(high - low), 1e-12), 0, 1).astype(np.float32)
    return CoarseVolume(_smoothed(torch.from_numpy(scaled)), torch.from_numpy(region), grid)


def _smoothed(values: Tensor) -> Tensor:
    """(Z, Y, X) averaged with weights 1/4, 1/2, 1/4 along every axis.

    Noise from voxel to voxel would make any interpolation look like an improvement.
    """
    for axis in range(3):
        pad, size = [0] * 6, values.shape[axis]
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = 1
        padded = functional.pad(values[None, None], pad, mode="replicate")[0, 0]
        ends = padded.narrow(axis, 0, size) + padded.narrow(axis, 2, size)
        values = 0.5 * values + 0.25 * ends
    return values


def compare(fixed: CoarseVolume, moving: CoarseVolume, matrix: np.ndarray, chance: float, rim: int = RIM) -> Agreement:
    """How well `matrix` (4 x 4, fixed point -> moving point, LPS mm) brings the structures of `moving` onto `fixed`."""
    values, covered = moving.sampled(fixed.grid, matrix)
    covered &= fixed.region
    share = float(covered.sum()) * fixed.voxel_volume / max(min(fixed.region_volume, moving.region_volume), 1e-12)
    compared = inner(covered, rim)
    count = float(compared.sum())
    if count == 0:
        return Agreement(float("inf"), min(share, 1.0), chance)
    difference = (describe(values) - fixed.descriptors).abs_().mean(dim=0)
    return Agreement(float(difference[compared].mean(dtype=torch.float64)), min(share, 1.0), chance)


def chance_difference(fixed: CoarseVolume, moving: CoarseVolume) -> float:
    """Mean absolute difference of the descriptors of unrelated places: one in each volume, drawn independently."""
    draw = torch.Generator().manual_seed(0)
    drawn = []
    for volume in (fixed, moving):
        places = volume.region.flatten().nonzero()[:, 0]
        places = places[torch.randint(len(places), (_PAIRS,), generator=draw)]
        drawn.append(volume.descriptors.flatten(1)[:, places])
    return float((drawn[0] - drawn[1]).abs_().mean(dtype=torch.float64))


def _divisible(full: Grid, spacing: float) -> Grid:
    """The field of view of `full` at about `spacing` mm a side, with sides that divide by every one of FACTORS."""
    unit = int(np.lcm.reduce(FACTORS))
    extent = np.array(full.size_xyz) * np.array(full.spacing)
    spacing = max(spacing, float(np.prod(extent) / _LARGEST) ** (1 / 3))
    x, y, z = (unit * max(2, round(side / spacing / unit)) for side in extent.tolist())
    return full.resized((z, y, x))


def _seen_through(full: Grid, transform: sitk.Transform) -> Grid:
    """A grid with the axes and spacing of `full` about all points that `transform` maps into its field of view."""
    steps = [np.linspace(-0.5, n - 0.5, 6) for n in full.size_xyz]
    places = np.array([(*index, 1.0) for index in itertools.product(*steps)])
    targets = (places @ full.index_to_world.T)[:, :3]
    points = np.array([pull_back(transform, target, target) for target in targets])
    indices = (np.c_[points, np.ones(len(points))] @ full.world_to_index.T)[:, :3]
    low, high = np.floor(indices.min(axis=0)), np.ceil(indices.max(axis=0))
    matrix = full.index_to_world.copy()
    matrix[:3, 3] += matrix[:3, :3] @ low
    x, y, z = (int(n) for n in high - low + 1)
    return Grid((z, y, x), matrix)


def pull_back(transform: sitk.Transform, target: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The point that a non-linear `transform` takes to `target`, from `guess`, by fixed-point iteration."""
    point = guess
    for _ in range(20):
        point = point + target - np.array(transform.TransformPoint(point.tolist()))
    return point
