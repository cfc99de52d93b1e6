"""The views of a result: buttons, sliders, and the way to its worst places."""

from __future__ import annotations

from functools import partial
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..mrml.record import Registration
from ..qa.places import Place, Worst, describe, jump_to, worst_places
from ..qa.views import Review, View, ViewOptions
from .told import told
from .view_words import change_words, deformation_words, mix_title, view_words

_SIDES = (View.BLEND, View.SWIPE, View.CHECKERBOARD, View.FLICKER, View.DIFFERENCE)
_MIXED = (View.BLEND, View.SWIPE, View.ENTROPY, View.EXPECTED_ERROR, View.JACOBIAN)
_SHOWING = {Worst.FOLD: View.JACOBIAN, Worst.DISPLACEMENT: View.BLEND, Worst.ENTROPY: View.ENTROPY}


class ViewsSection:
    """Looks after the section `reviewSection` of `ui`."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._review: Review | None = None
        self._after = True
        self._next: dict[Worst, int] = {}
        self._buttons = {
            View.BLEND: ui.blendButton,
            View.SWIPE: ui.swipeButton,
            View.CHECKERBOARD: ui.checkerboardButton,
            View.FLICKER: ui.flickerButton,
            View.BEFORE_AFTER: ui.beforeAfterButton,
            View.DIFFERENCE: ui.differenceButton,
            View.ENTROPY: ui.entropyButton,
            View.EXPECTED_ERROR: ui.expectedErrorButton,
            View.JACOBIAN: ui.jacobianButton,
        }
        self._worst = {
            Worst.FOLD: ui.worstFoldButton,
            Worst.DISPLACEMENT: ui.worstDisplacementButton,
            Worst.ENTROPY: ui.worstEntropyButton,
        }
        for view, button in self._buttons.items():
            button.connect("clicked(bool)", partial(self.onViewButton, view))
        for kind, button in self._worst.items():
            button.connect("clicked(bool)", partial(self.onWorstButton, kind))
        ui.beforeButton.connect("clicked(bool)", partial(self.onSideButton, False))
        ui.afterButton.connect("clicked(bool)", partial(self.onSideButton, True))
        ui.restoreButton.connect("clicked(bool)", self.onRestoreButton)
        for slider in (ui.mixSlider, ui.tileSlider, ui.thresholdSlider, ui.errorThresholdSlider, ui.spacingSlider):
            slider.connect("valueChanged(double)", self.onOption)
        ui.speedSlider.connect("valueChanged(double)", self.onSpeed)
        for box in (ui.gridCheckBox, ui.arrowsCheckBox):
            box.connect("toggled(bool)", self.onDeformation)
        ui.reviewSection.connect("contentsCollapsed(bool)", self.onCollapsed)
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self.onTurn)
        self.setRegistration(None)

    def setRegistration(self, registration: Registration | None) -> None:
        """Look at this one from now on; the slice views are put back first."""
        self.restore()
        self._review, self._next = None, {}
        title = _("Register first; then the result can be checked here.")
        if registration is not None:
            title = _("Result: {name}").format(name=registration.name)
            self._review = Review(registration)
        self._ui.reviewTitle.text = title
        self._ui.reviewBody.visible = registration is not None
        available = self._review.available if self._review is not None else ()
        for view, button in self._buttons.items():
            button.enabled = view in available
        named = registration.report.get("worst_voxels", {}) if registration is not None else {}
        for kind, button in self._worst.items():
            button.enabled = bool(named.get(kind.value))
        self._ui.placeNote.visible = False

    def restore(self) -> None:
        """Show again what the slice views showed before."""
        self._timer.stop()
        if self._review is not None and self._review.active:
            self._review.restore()
        for box in (self._ui.gridCheckBox, self._ui.arrowsCheckBox):
            blocked = box.blockSignals(True)
            box.checked = False
            box.blockSignals(blocked)
        self._follow()

    def onViewButton(self, view: View, checked: bool = True) -> None:
        """Show a view; pressed again it stays."""
        self._show(view)

    def onSideButton(self, after: bool, checked: bool = True) -> None:
        """Show the moving volume before or after registration."""
        self._after = after
        self._again()

    def onOption(self, value: float = 0.0) -> None:
        """A slider was moved."""
        if self._review is not None and self._review.active:
            self._again()

    def onSpeed(self, value: float = 0.0) -> None:
        """Pictures take turns faster or slower."""
        self._timer.setInterval(self._interval())

    def onDeformation(self, checked: bool = True) -> None:
        """Draw or hide grid and arrows."""
        if self._review is None:
            return
        with told(_("The deformation could not be drawn.")):
            self._review.draw_deformation(self._options())
        self._follow()

    def onWorstButton(self, kind: Worst, checked: bool = True) -> None:
        """Go to the worst place, or to the next after it."""
        if self._review is None:
            return
        with told(_("The place could not be shown.")):
            places: list[Place] = worst_places(self._review.registration, kind)
            if not places:
                return
            number = self._next.get(kind, 0) % len(places)
            self._next[kind] = number + 1
            self._review.begin()
            if self._review.view is None:
                self._show(_SHOWING[kind] if _SHOWING[kind] in self._review.available else View.BLEND)
            jump_to(slicer.mrmlScene, places[number].position)
            text = _("Place {number} of {count}: {what}").format(
                number=number + 1, count=len(places), what=describe(places[number], kind)
            )
            self._ui.placeNote.text = text
            self._ui.placeNote.visible = True

    def onRestoreButton(self) -> None:
        """Leave checking."""
        self.restore()
        self._ui.placeNote.visible = False

    def onCollapsed(self, collapsed: bool) -> None:
        """Folding the section away is leaving it."""
        if collapsed:
            self.restore()

    def onTurn(self) -> None:
        """The other picture's turn."""
        if self._review is not None:
            self._review.turn()

    def _show(self, view: View) -> None:
        if self._review is None:
            return
        with told(_("The view could not be shown.")):
            self._review.show(view, self._options())
        self._timer.stop()
        if view.flickers:
            self._timer.start(self._interval())
        self._follow()

    def _again(self) -> None:
        if self._review is not None and self._review.view is not None:
            self._show(self._review.view)
        elif self._review is not None and self._review.active:
            self.onDeformation()
        self._follow()

    def _tell_changes(self) -> None:
        """Say so where what is shown is not what was registered."""
        changed = self._changed()
        self._ui.changeNote.visible = bool(changed)
        self._ui.changeNote.text = "\n".join(map(change_words, changed))

    def _changed(self) -> tuple[str, ...]:
        try:
            return self._review.changed if self._review is not None and self._review.active else ()
        except InputError:
            return ()

    def _options(self) -> ViewOptions:
        ui = self._ui
        return ViewOptions(
            after=self._after,
            mix=ui.mixSlider.value / 100,
            tile_mm=ui.tileSlider.value,
            entropy_threshold=ui.thresholdSlider.value,
            error_threshold=ui.errorThresholdSlider.value,
            grid=ui.gridCheckBox.checked,
            arrows=ui.arrowsCheckBox.checked,
            spacing_mm=ui.spacingSlider.value,
        )

    def _interval(self) -> int:
        return round(1000 / self._ui.speedSlider.value)

    def _follow(self) -> None:
        """Let the widgets say what is shown, and offer what makes a difference to it."""
        ui, view = self._ui, self._review.view if self._review is not None else None
        for each, button in self._buttons.items():
            button.checked = each is view
        ui.beforeButton.checked, ui.afterButton.checked = not self._after, self._after
        for widget in (ui.movingLabel, ui.beforeButton, ui.afterButton):
            widget.enabled = view is None or view in _SIDES
        for name, shown in (
            ("mix", view in _MIXED),
            ("tile", view is View.CHECKERBOARD),
            ("speed", view is not None and view.flickers),
            ("threshold", view is View.ENTROPY),
            ("errorThreshold", view is View.EXPECTED_ERROR),
        ):
            for widget in (getattr(ui, f"{name}Slider"), getattr(ui, f"{name}SliderLabel")):
                widget.visible = shown
        ui.mixSliderLabel.text = mix_title(view)
        ui.viewOptions.visible = view is not None and view is not View.DIFFERENCE
        ui.viewNote.text = view_words(view)
        ui.viewNote.visible = view is not None
        deformed = ui.gridCheckBox.checked or ui.arrowsCheckBox.checked
        ui.spacingOptions.visible = deformed
        ui.deformationNote.visible = deformed
        ui.deformationNote.text = deformation_words()
        self._tell_changes()
        ui.restoreButton.enabled = self._review is not None and self._review.active
