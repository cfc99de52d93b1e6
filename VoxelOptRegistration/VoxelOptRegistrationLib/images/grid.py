"""Voxel grids in physical space, and the choice of the grid that the solver works on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import SimpleITK as sitk

from ..errors import ComputationError
from ..options import GridOptions

SMALLEST_SIDE = 8
"""Voxels a side that the solver needs at least."""
_MEMORY_COARSENING = 2.0
"""Lack of memory may coarsen the spacing this many times beyond what the voxel budget asks for; more is an error."""

_DIRECTIONS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


@dataclass(frozen=True, eq=False)
class Grid:
    """size_zyx: voxels per array axis; index_to_world: 4 x 4, maps a voxel index (x, y, z) to a point in LPS mm.

    Axes may be oblique, left-handed or sheared.
    """

    size_zyx: tuple[int, int, int]
    index_to_world: np.ndarray

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of a 3-D image."""
        x, y, z = image.GetSize()
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
        matrix[:3, 3] = image.GetOrigin()
        return cls((z, y, x), matrix)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel sides along the index axes (x, y, z), mm."""
        x, y, z = np.linalg.norm(self.index_to_world[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def size_xyz(self) -> tuple[int, int, int]:
        z, y, x = self.size_zyx
        return x, y, z

    @property
    def voxels(self) -> int:
        return self.size_zyx[0] * self.size_zyx[1] * self.size_zyx[2]

    @property
    def title(self) -> str:
        """For people: "134 x 162 x 92 voxels of 1.47 mm"."""
        return " x ".join(str(n) for n in self.size_xyz) + f" voxels of {max(self.spacing):.2f} mm"

    @property
    def direction(self) -> np.ndarray:
        """3 x 3, columns of length one: the index axes in LPS."""
        return self.index_to_world[:3, :3] / np.array(self.spacing)

    @property
    def world_to_index(self) -> np.ndarray:
        """4 x 4, maps a point in LPS mm to a continuous voxel index (x, y, z)."""
        return np.linalg.inv(self.index_to_world)

    def same_as(self, other: Grid) -> bool:
        """Whether both have the same voxels, up to rounding (a millionth of a voxel)."""
        if self.size_zyx != other.size_zyx:
            return False
        difference = self.world_to_index @ other.index_to_world - np.eye(4)
        return (
            float(np.abs(difference[:3, :3] @ np.array(self.size_xyz)).max()) + float(np.abs(difference[:3, 3]).max())
            < 1e-6
        )

    def place(self, image: sitk.Image) -> sitk.Image:
        """Give `image`, an array of this size, the geometry of this grid; returns it."""
        image.SetSpacing(self.spacing)
        image.SetDirection(self.direction.ravel().tolist())
        image.SetOrigin(self.index_to_world[:3, 3].tolist())
        return image

    def to_reference_image(self) -> sitk.Image:
        """A uint8 image of zeros with this geometry, for SimpleITK filters that want a reference."""
        return self.place(sitk.Image(self.size_xyz, sitk.sitkUInt8))

    def resized(self, size_zyx: tuple[int, int, int]) -> Grid:
        """The grid of `size_zyx` voxels over the same field of view (from voxel edge to voxel edge)."""
        factor = np.array(self.size_xyz) / np.array(size_zyx[::-1])
        matrix = self.index_to_world.copy()
        matrix[:3, :3] = self.index_to_world[:3, :3] * factor
        matrix[:3, 3] += self.index_to_world[:3, :3] @ ((factor - 1) / 2)
        return Grid(size_zyx, matrix)

    def thinned(self, points: int) -> Grid:
        """Every n-th voxel along all axes, the first one among them, with the least n that leaves about `points`.

        Sides keep two voxels at least, where they have two.
        """
        stride = max(1, math.ceil((self.voxels / points) ** (1 / 3)))
        steps = [min(stride, max(1, side - 1)) for side in self.size_xyz]
        x, y, z = (math.ceil(side / step) for side, step in zip(self.size_xyz, steps, strict=True))
        return Grid((z, y, x), self.index_to_world @ np.diag([*steps, 1.0]))

    def with_spacing(self, spacing: float) -> Grid:
        """The grid over the same field of view whose voxel sides are `spacing` mm, to within half a voxel in all."""
        sides = [
            max(SMALLEST_SIDE, round(n * side / spacing)) for n, side in zip(self.size_xyz, self.spacing, strict=True)
        ]
        return self.resized((sides[2], sides[1], sides[0]))

    def reoriented(self, axes: str) -> Grid:
        """The same voxels with array axes that point, as nearly as may be, where `axes` says, slowest axis first.

        axes: one each of R or L, A or P, S or I, for example "SPL" for the array of an upright LPS image.
        """
        wanted = np.array([_DIRECTIONS[letter] for letter in reversed(axes)])
        cosines = wanted @ self.direction
        order = max(permutations(range(3)), key=lambda p: sum(abs(cosines[i, p[i]]) for i in range(3)))
        matrix = self.index_to_world.copy()
        for new, old in enumerate(order):
            column = self.index_to_world[:3, old]
            turned = cosines[new, old] < 0
            matrix[:3, new] = -column if turned else column
            matrix[:3, 3] += column * (self.size_xyz[old] - 1) if turned else 0.0
        x, y, z = (self.size_xyz[old] for old in order)
        return Grid((z, y, x), matrix)


def plan_working_grid(
    fixed: sitk.Image,
    options: GridOptions,
    available_bytes: int,
    bytes_per_voxel: int,
    *,
    taken_bytes: int = 0,
    remedy: str = "Close other programs",
) -> Grid:
    """The grid to solve on: fixed's axes, field of view and centre; sides equal to within a voxel in the extent.

    Its spacing is the coarsest of fixed's finest side, `options.spacing` and what `options.max_voxels` and the memory
    (`available_bytes`, less the `taken_bytes` of any grid, at `bytes_per_voxel`) allow. Thin axes are upsampled to it,
    and every axis has 8 voxels or more.
    Raises ComputationError naming the largest grid that fits if memory would coarsen the spacing more than twofold
    beyond what the budget asks for, or if not even the smallest grid fits; remedy: what gives it more memory.
    """
    grid = Grid.of(fixed)
    finest = max(options.spacing, min(grid.spacing))
    wanted = _finest_within(grid, finest, options.max_voxels)
    affordable = max(available_bytes - taken_bytes, 0) // bytes_per_voxel
    if affordable < SMALLEST_SIDE**3:
        raise ComputationError(
            f"{_size(available_bytes)} of memory are too little: with the smallest grid ({SMALLEST_SIDE} voxels a side)"
            f" {_size(taken_bytes + SMALLEST_SIDE**3 * bytes_per_voxel)} are needed.",
            f"{remedy} or choose another device.",
        )
    if wanted.voxels <= affordable:
        return wanted
    largest = _finest_within(grid, finest, affordable)
    if max(largest.spacing) > _MEMORY_COARSENING * max(wanted.spacing):
        raise ComputationError(
            f"Not enough memory for the working grid: {wanted.title} needs "
            f"{_size(taken_bytes + wanted.voxels * bytes_per_voxel)}, {_size(available_bytes)} can be used; "
            f"the largest grid that fits is {largest.title}.",
            f"{remedy}, choose another device, or set grid.max_voxels={largest.voxels} to accept it.",
        )
    return largest


def _finest_within(grid: Grid, finest: float, budget: int) -> Grid:
    """The finest grid over the same field of view with sides of at least `finest` mm and at most `budget` voxels."""
    extent = np.array(grid.size_xyz) * np.array(grid.spacing)
    spacing = max(finest, float(np.prod(extent) / budget) ** (1 / 3) * 0.9)
    while True:
        x, y, z = (max(SMALLEST_SIDE, int(n)) for n in np.floor(extent / spacing + 1e-6))
        if x * y * z <= budget:
            return grid.resized((z, y, x))
        spacing *= 1.002


def _size(size: int) -> str:
    """For people."""
    if size < 2**20:
        return f"{size / 2**10:.0f} KiB"
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"
