"""What the panel says about each view."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..qa.views import View


def change_words(role: str) -> str:
    """Warning that the "fixed" or "moving" volume is not what it was when it was registered."""
    return {
        "fixed": _("The fixed volume was changed or moved after registration: what is shown here may not hold."),
        "moving": _(
            "The moving volume was changed or moved after registration (hardened, for example): it is shown as it "
            "is now."
        ),
    }[role]


def deformation_words() -> str:
    """How to read grid and arrows."""
    return _(
        "Drawn as tissue moves, from the moving volume to the fixed one: the grid was regular in the moving volume; "
        "arrows end where tissue comes to lie. Color is distance: blue 0, green 10, yellow 20, red 40 mm."
    )


def mix_title(view: View | None) -> str:
    """What the first slider does."""
    if view in (View.ENTROPY, View.EXPECTED_ERROR, View.JACOBIAN):
        return _("Color &opacity:")
    return _("&Moving share:") if view is View.SWIPE else _("&Moving opacity:")


def view_words(view: View | None) -> str:
    """What to look for."""
    return {
        None: "",
        View.BLEND: _("Look for double contours: there the volumes do not match."),
        View.SWIPE: _("Organ borders should run on across the dividing line."),
        View.CHECKERBOARD: _("Organ borders should run on from square to square."),
        View.FLICKER: _("Whatever jumps between the two pictures does not match."),
        View.BEFORE_AFTER: _("The moving volume before and after registration take turns."),
        View.DIFFERENCE: _("Fixed minus moving. Even gray is no difference; means little between CT and MR."),
        View.ENTROPY: _(
            "Colored where the images left the displacement open (0 one fits, 1 no signal). There the result is what "
            "smoothing made of its surroundings."
        ),
        View.EXPECTED_ERROR: _(
            "Colored by how far off the result is to be expected, green 0 to red 6 mm. Calibrated on synthetic "
            "deformations; real errors can be larger, most of all where anatomy is missing."
        ),
        View.JACOBIAN: _(
            "Blue: smaller in the moving volume than in the fixed one; orange: larger; gray: same size. "
            "Magenta: folds, where tissue would be turned inside out."
        ),
    }[view]
