"""What goes into a background registration and what comes out: numpy arrays with their place in LPS space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import Device
from ..errors import InputError, RegistrationError
from ..progress import Progress

if TYPE_CHECKING:
    from .job import Job


def _matrix(value: np.ndarray, name: str) -> np.ndarray:
    """The 4x4 affine matrix `value` in float64; raises `InputError` where it is none."""
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise InputError(f"The {name} is not a 4 x 4 affine matrix.", "Its last row must be 0 0 0 1, all finite.")
    return matrix


def _points(value: np.ndarray, name: str) -> np.ndarray:
    """The points `value` as float64 (N, 3); raises `InputError` where they are none."""
    points = np.asarray(value, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"The {name} are not points in space.", "Give one or more, three finite coordinates each.")
    return points


@dataclass(frozen=True, eq=False)
class ImageData:
    """A volume and where it lies.

    array: (Z, Y, X) scalars, or (Z, Y, X, 3) displacement vectors with components (x, y, z), mm, LPS.
    index_to_world: (4, 4), maps the voxel index (x, y, z, 1) to LPS, mm; may be oblique, left-handed or sheared.
    Raises `InputError` for another shape, an element type that is not a number, or a matrix that cannot be inverted.
    """

    array: np.ndarray
    index_to_world: np.ndarray

    def __post_init__(self) -> None:
        shape = self.array.shape
        if not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)) or 0 in shape:
            raise InputError(f"An array of shape {shape} is not a volume.", "Give a single 3-D volume.")
        if self.array.dtype.kind not in "biuf" or self.array.dtype.itemsize > 8:
            raise InputError(f"Voxels of type {self.array.dtype} are not supported.", "Use integers or real numbers.")
        matrix = _matrix(self.index_to_world, "volume's geometry")
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if not (spacing > 0).all() or abs(np.linalg.det(matrix[:3, :3] / spacing)) < 1e-9:
            raise InputError("The volume's geometry is flat.", "Spacing and directions must span three dimensions.")
        object.__setattr__(self, "index_to_world", matrix)


@dataclass(frozen=True, eq=False)
class RegistrationRequest:
    """One registration.

    fixed, moving: scalar volumes; the masks and labels lie on the grid of theirs.
    initial: fixed point -> moving point, LPS, mm: a (4, 4) matrix, or an `ImageData` of displacement vectors; None for
    no initial transform.
    settings: the JSON form of `options.Settings`, as `presets.settings_to_dict` makes it.
    fixed_name, moving_name: what the report calls the volumes. inverse: whether the outcome shall hold the inverse.
    fixed_landmarks, moving_landmarks: the same points in both, (N, 3), LPS, mm; None for none.
    """

    fixed: ImageData
    moving: ImageData
    fixed_mask: ImageData | None = None
    moving_mask: ImageData | None = None
    fixed_labels: ImageData | None = None
    moving_labels: ImageData | None = None
    initial: np.ndarray | ImageData | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    fixed_name: str = "fixed"
    moving_name: str = "moving"
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None
    inverse: bool = True

    def __post_init__(self) -> None:
        for name, image in self.volumes().items():
            if image.array.ndim != 3:
                raise InputError(f"The {name.replace('_', ' ')} holds vectors.", "Give a volume with one component.")
        if isinstance(self.initial, ImageData):
            if self.initial.array.ndim != 4:
                raise InputError("The initial displacement holds no vectors.", "Give three components per voxel, mm.")
        elif self.initial is not None:
            object.__setattr__(self, "initial", _matrix(self.initial, "initial transform"))
        for name in ("fixed_landmarks", "moving_landmarks"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _points(getattr(self, name), name.replace("_", " ")))

    def volumes(self) -> dict[str, ImageData]:
        """The scalar volumes given, by field name."""
        names = ("fixed", "moving", "fixed_mask", "moving_mask", "fixed_labels", "moving_labels")
        return {name: image for name in names if (image := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class RegistrationOutcome:
    """The result, in ordinary arrays that the caller owns.

    displacement: (Z, Y, X, 3) float32 on the fixed grid, components (x, y, z), mm, LPS: moving point minus fixed point,
    alignment and initial transform included.
    inverse_displacement: the same from moving to fixed, on the moving grid; None where nobody asked for it.
    warped (moving's type), entropy (float32, 0 to 1), jacobian (float32), expected_error (float32, mm): (Z, Y, X) on
    the fixed grid.
    report: settings, versions, timings and statistics.
    inverse_valid: bool, (Z, Y, X) on the moving grid, where the inverse leads into the fixed volume; None with it.
    """

    displacement: np.ndarray
    inverse_displacement: np.ndarray | None
    warped: np.ndarray
    entropy: np.ndarray
    jacobian: np.ndarray
    expected_error: np.ndarray
    report: dict[str, Any]
    inverse_valid: np.ndarray | None = None


@dataclass(frozen=True)
class DeviceAnswer:
    """What can compute here, the choice of `auto` first; where nothing can, `error` says why."""

    devices: tuple[Device, ...] = ()
    error: RegistrationError | None = None


def _ignore(_: object) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Callbacks:
    """Who is told what, always on the thread that calls `poll` or `wait`.

    progress: steps; preview: the displacement so far, on every n-th voxel of the fixed grid, after each pyramid level
    (None: none are made);
    log: lines for a log pane; finished: the `Job`, once, when it is done, failed or cancelled.
    """

    progress: Callable[[Progress], None] = _ignore
    preview: Callable[[ImageData], None] | None = None
    log: Callable[[str], None] = _ignore
    finished: Callable[[Job], None] = _ignore
