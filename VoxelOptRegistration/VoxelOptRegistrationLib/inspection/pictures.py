"""The pictures of a report: slices of both scans and of the registration's own maps, as PNG files in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .affine_motion import lengths_beyond_affine
from .body import body_mask
from .colours import FOLD, ColourScale, entropy_scale, error_scale, jacobian_scale, length_scale
from .places import Index, middle, most_deformed, peak, point
from .planes import PLANES, AnatomicalAxes, Plane, square_pixels
from .png import encode_png
from .similarity import resample_with_gaps
from .statistics import find_folds

SOFT_TISSUE = (-160.0, 240.0)  # HU
LUNG = (-1100.0, 300.0)
AIR, LUNG_TISSUE = -700.0, -500.0
CHECKS = 7  # squares along the longer side


@dataclass(frozen=True)
class View:
    """One plane through one place. extent_mm: width and height of every picture; pictures: PNG bytes by name."""

    plane: Plane
    extent_mm: tuple[float, float]
    pictures: dict[str, bytes]


@dataclass(frozen=True)
class Place:
    """A place that is worth a look: what is there, where (LPS mm) and its views."""

    title: str
    point_mm: tuple[float, float, float]
    views: tuple[View, ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures of a report and the scales of their colours."""

    places: tuple[Place, ...]
    scales: dict[str, ColourScale]
    window: tuple[float, float]


def draw_gallery(
    fixed: sitk.Image,
    moving: sitk.Image,
    warped: sitk.Image,
    displacement: np.ndarray,
    jacobian: np.ndarray,
    entropy: np.ndarray,
    *,
    expected_error: np.ndarray | None = None,
    body: np.ndarray | None = None,
    window: tuple[float, float] | None = None,
    background: float | None = None,
) -> Gallery:
    """Draw slices through the middle of the body, its most uncertain and its most deformed place.

    warped: the moving scan on the grid of `fixed`. displacement (Z, Y, X, 3) mm LPS, jacobian, entropy and, if known,
    expected_error (mm) (Z, Y, X) on that grid. body: bool, there too, found in `fixed` where it is not given. window:
    intensities shown from black to white, chosen from the scans if not given. background: the value that stands for
    "no data".
    """
    body = body_mask(fixed, background) if body is None else body
    lengths = lengths_beyond_affine(displacement, body)
    before = resample_with_gaps(moving, fixed, sitk.Transform(3, sitk.sitkIdentity), background)
    after, here = sitk.GetArrayViewFromImage(warped), sitk.GetArrayViewFromImage(fixed)
    fixed_window = window or display_window(here, body, background)
    moving_window = window or _same_kind(fixed_window, display_window(after, body, background))
    scales = {
        "entropy": entropy_scale(),
        "expected error": error_scale(),
        "jacobian": jacobian_scale(),
        "displacement": length_scale(float(np.percentile(lengths[body], 98))),
    }
    axes = AnatomicalAxes.of(fixed)
    folds = find_folds(jacobian)
    errors = np.zeros(jacobian.shape, np.float32) if expected_error is None else expected_error

    def view(plane: Plane, position: Index, names: tuple[str, ...]) -> View:
        pixel = axes.pixel_mm(plane)

        def cut(array: np.ndarray, smooth: bool = True) -> np.ndarray:
            slice_there = axes.slice(array, plane, position)
            return square_pixels(slice_there.astype(np.float32) if smooth else slice_there, pixel, smooth=smooth)

        f = _grey(cut(here), fixed_window)
        b, a = (_grey(cut(scan), moving_window) for scan in (before, after))
        inside = cut(body, smooth=False)
        painters: dict[str, Callable[[], np.ndarray]] = {
            "fixed": lambda: f,
            "before": lambda: b,
            "after": lambda: a,
            "checkerboard before": lambda: _checkerboard(f, b),
            "checkerboard after": lambda: _checkerboard(f, a),
            "difference before": lambda: _difference(f, b),
            "difference after": lambda: _difference(f, a),
            "entropy": lambda: scales["entropy"].lay_over(f, cut(entropy), inside),
            "expected error": lambda: scales["expected error"].lay_over(f, cut(errors), inside),
            "jacobian": lambda: _mark(scales["jacobian"].lay_over(f, cut(jacobian), inside), cut(folds, False)),
            "displacement": lambda: scales["displacement"].lay_over(f, cut(lengths), inside),
        }
        rows, columns = axes.slice(here, plane, position).shape
        pictures = {name: encode_png(painters[name]()) for name in names}
        return View(plane, (columns * pixel[1], rows * pixel[0]), pictures)

    every = (
        ("fixed", "before", "after")
        + ("checkerboard before", "checkerboard after", "difference before", "difference after")
        + ("entropy", *(() if expected_error is None else ("expected error",)), "jacobian", "displacement")
    )
    places = []
    for title, position, names in (
        ("Middle of the body", middle(axes, body), every),
        ("Where the match is most uncertain", peak(axes, entropy, body), ("fixed", "after", "entropy")),
        (*most_deformed(axes, jacobian, body), ("fixed", "after", "jacobian")),
    ):
        views = tuple(view(plane, position, names) for plane in PLANES)
        places.append(Place(title, point(fixed, axes, position), views))
    return Gallery(tuple(places), scales, fixed_window)


def display_window(values: np.ndarray, body: np.ndarray, background: float | None = None) -> tuple[float, float]:
    """Intensities to show, from black to white.

    A CT of the trunk, which has air around the body, gets a soft-tissue or, if much of the body is lung, a lung window;
    everything else the 1 and 99.5 percentiles inside the body.
    """
    known = values[body & np.isfinite(values)]
    if background is not None:
        known = known[known != background]
    if not known.size:
        return (0.0, 1.0)
    known = known[:: max(1, known.size // 500_000)]
    outside = values[~body]
    if outside.size and np.median(outside) < AIR and np.any(np.abs(known) < 150):
        return LUNG if np.mean(known < LUNG_TISSUE) > 0.25 else SOFT_TISSUE
    low, high = (float(v) for v in np.percentile(known, (1, 99.5)))
    return (low, high) if high > low else (low, low + 1)


def _same_kind(fixed: tuple[float, float], moving: tuple[float, float]) -> tuple[float, float]:
    """One window for both scans if their own ones are much alike, so that differences mean something."""
    width = fixed[1] - fixed[0]
    alike = all(abs(a - b) < 0.25 * width for a, b in zip(fixed, moving, strict=True))
    return fixed if alike else moving


def _grey(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    scaled = (np.nan_to_num(values, nan=window[0]) - window[0]) * (255 / (window[1] - window[0]))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _checkerboard(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    side = max(1, round(max(one.shape) / CHECKS))
    row, column = np.ogrid[: one.shape[0], : one.shape[1]]
    return np.where((row // side + column // side) % 2 == 0, one, other)


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.clip(128 + (one.astype(np.int16) - other) // 2, 0, 255).astype(np.uint8)


def _mark(picture: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return np.where(folds[..., None], np.array(FOLD, np.uint8), picture)
