"""One-click views of a registration in the linked slice viewers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import slicer

from ..mrml.geometry import Geometry
from ..mrml.record import Registration
from ..mrml.translation import tr as _
from .comparison import checkerboard, difference, swipe, tile_voxels
from .deformation import show_arrows, show_grid
from .layers import SavedViews, fit_viewers, read_views, restore_views, set_foreground_opacity, set_layers
from .maps import entropy_overlay, expected_error_overlay, fold_labels, hide_legends, jacobian_overlay, show_legend
from .pair import ComparedPair
from .scratch import remove_scratch, scratch_volume

DIFFERENCE_SHARE = 0.5
"""Of the fixed volume's window: differences up to here are told apart."""


class View(Enum):
    """What can be looked at."""

    BLEND = "blend"
    SWIPE = "swipe"
    CHECKERBOARD = "checkerboard"
    FLICKER = "flicker"
    BEFORE_AFTER = "before and after"
    DIFFERENCE = "difference"
    ENTROPY = "entropy"
    EXPECTED_ERROR = "expected error"
    JACOBIAN = "jacobian"

    @property
    def flickers(self) -> bool:
        """Whether the view is two pictures that take turns, see `Review.turn`."""
        return self in (View.FLICKER, View.BEFORE_AFTER)


@dataclass(frozen=True)
class ViewOptions:
    """How the views look.

    after: whether the moving volume is shown after registration. mix: opacity of the upper layer, or how far across
    the swipe is, 0 to 1. tile_mm: side of the checkerboard's squares. entropy_threshold: entropy below is not shown;
    error_threshold: the same for the expected error, mm.
    grid, arrows: whether the deformation is drawn on top, its lines or arrows spacing_mm apart.
    """

    after: bool = True
    mix: float = 0.5
    tile_mm: float = 25.0
    entropy_threshold: float = 0.0
    error_threshold: float = 0.0
    grid: bool = False
    arrows: bool = False
    spacing_mm: float = 15.0


class Review:
    """Shows one registration in all slice viewers, and puts them back as they were.

    Works on the scene alone: without slice viewers it changes nothing that is seen. Call `restore` in the end.
    """

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self.view: View | None = None
        self._pair = ComparedPair(registration)
        self._scene = registration.fixed.GetScene()
        self._saved: SavedViews | None = None
        self._upper_shown = True

    @property
    def available(self) -> tuple[View, ...]:
        """The views that this registration has the volumes for."""
        needed = {
            View.ENTROPY: self.registration.entropy,
            View.EXPECTED_ERROR: self.registration.expected_error,
            View.JACOBIAN: self.registration.jacobian,
        }
        return tuple(view for view in View if view not in needed or _has_voxels(needed[view]))

    @property
    def changed(self) -> tuple[str, ...]:
        """Which of "fixed" and "moving" are not what they were when they were registered."""
        return self._pair.changed

    @property
    def active(self) -> bool:
        """Whether there is something to restore."""
        return self._saved is not None

    def begin(self) -> None:
        """Remember what the slice viewers show and where, if that was not done since the last `restore`."""
        if self._saved is None:
            self._saved = read_views(self._scene)

    def show(self, view: View, options: ViewOptions) -> None:
        """Show `view`; again with other options to change how it looks.

        Where the slice viewers showed something else than the fixed volume, they are fitted to it. Raises `InputError`
        where a volume has lost its voxels, `ValueError` for a view that is not available.
        """
        if view not in self.available:
            raise ValueError(f"This registration has no volume for the view {view.value}.")
        first = self.view is None and not self._looks_at_fixed()
        self.begin()
        draw: dict[View, Callable[[ViewOptions], None]] = {
            View.BLEND: self._blend,
            View.SWIPE: self._swipe,
            View.CHECKERBOARD: self._checkerboard,
            View.FLICKER: self._flicker,
            View.BEFORE_AFTER: self._before_after,
            View.DIFFERENCE: self._difference,
            View.ENTROPY: self._entropy,
            View.EXPECTED_ERROR: self._expected_error,
            View.JACOBIAN: self._jacobian,
        }
        hide_legends(self._scene)
        draw[view](options)
        self.view = view
        self.draw_deformation(options)
        if first:
            fit_viewers()

    def draw_deformation(self, options: ViewOptions) -> None:
        """Draw or hide grid and arrows on top of whatever is shown."""
        self.begin()
        show_grid(self.registration.transform, options.grid, options.spacing_mm)
        show_arrows(self.registration.transform, options.arrows, options.spacing_mm)

    def turn(self) -> None:
        """In a view that flickers: the other picture."""
        if self.view is not None and self.view.flickers:
            self._upper_shown = not self._upper_shown
            set_foreground_opacity(self._scene, 1.0 if self._upper_shown else 0.0)

    def restore(self) -> None:
        """Show again what was shown before the first view, and remove everything temporary."""
        saved, self._saved, self.view = self._saved, None, None
        if saved is not None:
            restore_views(self._scene, saved)
        remove_scratch(self._scene)

    def _looks_at_fixed(self) -> bool:
        """Whether the slice viewers show the fixed volume already, so that where they look should be left alone."""
        shown = {layers.background for layers in read_views(self._scene).layers.values()}
        return shown == {self.registration.fixed.GetID()}

    def _blend(self, options: ViewOptions) -> None:
        set_layers(self._scene, self.registration.fixed, self._pair.moving_node(options.after), options.mix)

    def _flicker(self, options: ViewOptions) -> None:
        self._upper_shown = True
        set_layers(self._scene, self.registration.fixed, self._pair.moving_node(options.after), 1.0)

    def _before_after(self, options: ViewOptions) -> None:
        self._upper_shown = True
        set_layers(self._scene, self._pair.moving_node(False), self._pair.moving_node(True), 1.0)

    def _swipe(self, options: ViewOptions) -> None:
        moving = self._pair.moving(options.after)
        self._show_mixture(_("Swipe"), swipe(self._pair.fixed.astype(np.float32), moving, options.mix))

    def _checkerboard(self, options: ViewOptions) -> None:
        i, j, k = np.linalg.norm(self._pair.geometry.ijk_to_world[:3, :3], axis=0)
        tile = tile_voxels(options.tile_mm, (float(k), float(j), float(i)))
        moving = self._pair.moving(options.after)
        self._show_mixture(_("Checkerboard"), checkerboard(self._pair.fixed.astype(np.float32), moving, tile))

    def _difference(self, options: ViewOptions) -> None:
        values = difference(self._pair.fixed, self._pair.moving(options.after))
        limit = DIFFERENCE_SHARE * self._pair.window.width
        self._show_mixture(_("Fixed minus moving"), values, (-limit, limit))

    def _entropy(self, options: ViewOptions) -> None:
        overlay = entropy_overlay(self.registration.entropy, options.entropy_threshold, self._pair.body)
        set_layers(self._scene, self.registration.fixed, overlay, options.mix)
        show_legend(overlay, _("Displacement entropy"))

    def _expected_error(self, options: ViewOptions) -> None:
        overlay = expected_error_overlay(self.registration.expected_error, options.error_threshold, self._pair.body)
        set_layers(self._scene, self.registration.fixed, overlay, options.mix)
        show_legend(overlay, _("Expected error (mm)"))

    def _jacobian(self, options: ViewOptions) -> None:
        jacobian = self.registration.jacobian
        overlay, folds = jacobian_overlay(jacobian, self._pair.body), fold_labels(jacobian)
        set_layers(self._scene, self.registration.fixed, overlay, options.mix, folds)
        show_legend(overlay, _("Jacobian determinant"))

    def _show_mixture(self, title: str, values: np.ndarray, window: tuple[float, float] | None = None) -> None:
        geometry: Geometry = self._pair.geometry
        node = scratch_volume(self._scene, "mixture", title, values, geometry)
        node.SetName(title)
        low, high = window or (self._pair.window.low, self._pair.window.high)
        display = node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetAutoWindowLevel(False)
            display.SetWindowLevelMinMax(low, high)
        set_layers(self._scene, node)


def _has_voxels(node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
    return node is not None and node.GetScene() is not None and node.GetImageData() is not None
