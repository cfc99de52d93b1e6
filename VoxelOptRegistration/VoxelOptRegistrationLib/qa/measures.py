"""The numbers of a report as the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..mrml.translation import translate

CONTEXT = "qa.measures"
"""Where Slicer's translators find the texts of this file."""


def _(text: str) -> str:
    """Mark a text to be translated by `shown`; what is saved is the same in all languages."""
    return text


def shown(text: str) -> str:
    """A name, hint or unit of a `Measure` in the language of the application."""
    return translate(CONTEXT, text)


@dataclass(frozen=True)
class Measure:
    """One row. before, after: numbers in `unit`; None where there is nothing to say. hint: how to read it.

    Texts are English; `shown` translates them.
    """

    name: str
    before: float | None
    after: float | None
    unit: str
    hint: str

    def text(self, after: bool) -> str:
        """The number as people read it, with its unit, in the language of the application."""
        value = self.after if after else self.before
        if value is None:
            return ""
        digits = f"{value:.0f}" if self.unit == "voxels" else f"{value:.4g}"
        return f"{digits} {shown(self.unit)}".strip()


def measures(report: dict[str, Any]) -> list[Measure]:
    """What `report` (see `inspection.report`) holds, in the order in which it should be read."""
    sections = (_folds, _similarity, _truth, _jacobian, _displacement, _entropy, _expected_error, _consistency)
    return [row for section in sections for row in section(report) if row.before is not None or row.after is not None]


def _folds(report: dict[str, Any]) -> list[Measure]:
    jacobian = report.get("jacobian", {})
    return [
        Measure(_("Folds"), None, jacobian.get("folds"), _("voxels"), _("Tissue turned inside out; should be 0")),
        Measure(_("Folds, share"), None, jacobian.get("folds_percent"), "%", _("Of all voxels but the outermost")),
    ]


def _similarity(report: dict[str, Any]) -> list[Measure]:
    similarity = report.get("similarity", {})
    before, after = (similarity.get(when) or {} for when in ("before", "after"))

    def row(name: str, key: str, hint: str) -> Measure:
        return Measure(name, before.get(key), after.get(key), "", hint)

    shares = (similarity.get("overlap_percent_before"), similarity.get("overlap_percent_after"))
    return [
        Measure(
            _("Body covered by moving"), *shares, "%", _("Share of the fixed body where the moving volume has data")
        ),
        row(
            _("Mutual information (NMI)"), "nmi", _("Normalized, 1 to 2, higher is more alike; also across modalities")
        ),
        row(_("Correlation"), "ncc", _("1 is perfect; within one modality")),
        row(_("Mean absolute difference"), "mad", _("In the fixed volume's units; within one modality")),
    ]


def _truth(report: dict[str, Any]) -> list[Measure]:
    rows = []
    overlap, landmarks = report.get("overlap", {}), report.get("landmarks", {})
    if overlap:
        before, after = overlap["before"], overlap["after"]
        rows.append(Measure(_("Dice, mean"), before["mean"], after["mean"], "", _("1 is perfect")))
        hint = _("Distance that 95 % of the surfaces stay below")
        rows.append(Measure(_("HD95, mean"), before["hd95_mm"], after["hd95_mm"], "mm", hint))
    if landmarks:
        errors = (landmarks["before"]["all"]["mean"], landmarks["after"]["all"]["mean"])
        rows.append(Measure(_("Landmark error, mean"), *errors, "mm", _("Mean distance over all points")))
    return rows


def _jacobian(report: dict[str, Any]) -> list[Measure]:
    body, whole = report.get("jacobian_body", {}), report.get("jacobian", {})
    hint = _("In the body; 1 keeps volume, above it tissue is larger in the moving volume")
    return [
        Measure(_("Jacobian, smallest"), None, body.get("min"), "", hint),
        Measure(_("Jacobian, 1st percentile"), None, body.get("p1"), "", hint),
        Measure(_("Jacobian, median"), None, body.get("p50"), "", hint),
        Measure(_("Jacobian, 99th percentile"), None, body.get("p99"), "", hint),
        Measure(_("Jacobian, largest"), None, body.get("max"), "", hint),
        Measure(_("SDlogJ"), None, whole.get("sdlogj"), "", _("Roughness of the deformation")),
        Measure(
            _("SDlogJ, Learn2Reg's"), None, whole.get("sdlogj_l2r"), "", _("Of log(J + 3), for comparison with papers")
        ),
    ]


def _displacement(report: dict[str, Any]) -> list[Measure]:
    displacement = report.get("displacement", {})
    whole, local = displacement.get("whole", {}), displacement.get("beyond_affine", {})
    motion, rest = _("In the body, alignment included"), _("In the body, after the best affine motion")
    return [
        Measure(_("Displacement, mean"), None, whole.get("mean_mm"), "mm", motion),
        Measure(_("Displacement, median"), None, whole.get("median_mm"), "mm", motion),
        Measure(_("Displacement, 95 % below"), None, whole.get("p95_mm"), "mm", motion),
        Measure(_("Displacement, largest"), None, whole.get("max_mm"), "mm", motion),
        Measure(_("Deformation, mean"), None, local.get("mean_mm"), "mm", rest),
        Measure(_("Deformation, largest"), None, local.get("max_mm"), "mm", rest),
    ]


def _entropy(report: dict[str, Any]) -> list[Measure]:
    entropy = report.get("entropy", {})
    hint = _("Displacement entropy in the body; 0 one displacement fits, 1 no signal decides")
    return [
        Measure(_("Entropy, mean"), None, entropy.get("mean"), "", hint),
        Measure(_("Entropy, median"), None, entropy.get("p50"), "", hint),
        Measure(_("Entropy, 95 % below"), None, entropy.get("p95"), "", hint),
        Measure(
            _("Entropy above 0.9"),
            None,
            entropy.get("high_percent"),
            "%",
            _("Of the body, where the images decide hardly anything"),
        ),
    ]


def _expected_error(report: dict[str, Any]) -> list[Measure]:
    expected = report.get("expected_error", {})
    hint = _("In the body; not calibrated for these settings, so read it as a ranking")
    if expected.get("calibrated"):
        hint = _("In the body; calibrated on synthetic deformations, real errors can be larger")
    return [
        Measure(_("Expected error, mean"), None, expected.get("mean_mm"), "mm", hint),
        Measure(_("Expected error, 95 % below"), None, expected.get("p95_mm"), "mm", hint),
        Measure(_("Expected error above 3 mm"), None, expected.get("above_3mm_percent"), "%", hint),
    ]


def _consistency(report: dict[str, Any]) -> list[Measure]:
    consistency = report.get("inverse_consistency", {})
    hint = _("Inverse consistency: how far going there and back ends from the start")
    return [
        Measure(_("Inverse error, mean"), None, consistency.get("mean_mm"), "mm", hint),
        Measure(_("Inverse error, 95 % below"), None, consistency.get("p95_mm"), "mm", hint),
        Measure(_("Inverse error, largest"), None, consistency.get("max_mm"), "mm", hint),
    ]
