"""The numbers of a report as the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """One row. before, after: numbers in `unit`; None where there is nothing to say. hint: how to read it."""

    name: str
    before: float | None
    after: float | None
    unit: str
    hint: str

    def text(self, after: bool) -> str:
        """The number as people read it, with its unit."""
        value = self.after if after else self.before
        if value is None:
            return ""
        digits = f"{value:.0f}" if self.unit == "voxels" else f"{value:.4g}"
        return f"{digits} {self.unit}".strip()


def measures(report: dict[str, Any]) -> list[Measure]:
    """What `report` (see `inspection.report`) holds, in the order in which it should be read."""
    sections = (_folds, _similarity, _truth, _jacobian, _displacement, _entropy, _consistency)
    return [row for section in sections for row in section(report) if row.before is not None or row.after is not None]


def _folds(report: dict[str, Any]) -> list[Measure]:
    jacobian = report.get("jacobian", {})
    return [
        Measure("Folds", None, jacobian.get("folds"), "voxels", "Tissue turned inside out; should be 0"),
        Measure("Folds, share", None, jacobian.get("folds_percent"), "%", "Of all voxels but the outermost"),
    ]


def _similarity(report: dict[str, Any]) -> list[Measure]:
    similarity = report.get("similarity", {})
    before, after = (similarity.get(when) or {} for when in ("before", "after"))

    def row(name: str, key: str, hint: str) -> Measure:
        return Measure(name, before.get(key), after.get(key), "", hint)

    shares = (similarity.get("overlap_percent_before"), similarity.get("overlap_percent_after"))
    return [
        Measure("Body covered by moving", *shares, "%", "Share of the fixed body where the moving volume has data"),
        row("Mutual information (NMI)", "nmi", "Normalized, 1 to 2, higher is more alike; also across modalities"),
        row("Correlation", "ncc", "1 is perfect; within one modality"),
        row("Mean absolute difference", "mad", "In the fixed volume's units; within one modality"),
    ]


def _truth(report: dict[str, Any]) -> list[Measure]:
    rows = []
    overlap, landmarks = report.get("overlap", {}), report.get("landmarks", {})
    if overlap:
        before, after = overlap["before"], overlap["after"]
        rows.append(Measure("Dice, mean", before["mean"], after["mean"], "", "1 is perfect"))
        hint = "Distance that 95 % of the surfaces stay below"
        rows.append(Measure("HD95, mean", before["hd95_mm"], after["hd95_mm"], "mm", hint))
    if landmarks:
        errors = (landmarks["before"]["all"]["mean"], landmarks["after"]["all"]["mean"])
        rows.append(Measure("Landmark error, mean", *errors, "mm", f"{landmarks['after']['all']['n']} points"))
    return rows


def _jacobian(report: dict[str, Any]) -> list[Measure]:
    body, whole = report.get("jacobian_body", {}), report.get("jacobian", {})
    hint = "In the body; 1 keeps volume, above it tissue is larger in the moving volume"
    return [
        Measure("Jacobian, smallest", None, body.get("min"), "", hint),
        Measure("Jacobian, 1st percentile", None, body.get("p1"), "", hint),
        Measure("Jacobian, median", None, body.get("p50"), "", hint),
        Measure("Jacobian, 99th percentile", None, body.get("p99"), "", hint),
        Measure("Jacobian, largest", None, body.get("max"), "", hint),
        Measure("SDlogJ", None, whole.get("sdlogj"), "", "Roughness of the deformation"),
        Measure("SDlogJ, Learn2Reg's", None, whole.get("sdlogj_l2r"), "", "Of log(J + 3), for comparison with papers"),
    ]


def _displacement(report: dict[str, Any]) -> list[Measure]:
    displacement = report.get("displacement", {})
    whole, local = displacement.get("whole", {}), displacement.get("beyond_affine", {})
    motion, rest = "In the body, alignment included", "In the body, after the best affine motion"
    return [
        Measure("Displacement, mean", None, whole.get("mean_mm"), "mm", motion),
        Measure("Displacement, median", None, whole.get("median_mm"), "mm", motion),
        Measure("Displacement, 95 % below", None, whole.get("p95_mm"), "mm", motion),
        Measure("Displacement, largest", None, whole.get("max_mm"), "mm", motion),
        Measure("Deformation, mean", None, local.get("mean_mm"), "mm", rest),
        Measure("Deformation, largest", None, local.get("max_mm"), "mm", rest),
    ]


def _entropy(report: dict[str, Any]) -> list[Measure]:
    entropy = report.get("entropy", {})
    hint = "Displacement entropy in the body; 0 one displacement fits, 1 no signal decides"
    return [
        Measure("Entropy, mean", None, entropy.get("mean"), "", hint),
        Measure("Entropy, median", None, entropy.get("p50"), "", hint),
        Measure("Entropy, 95 % below", None, entropy.get("p95"), "", hint),
        Measure(
            "Entropy above 0.9",
            None,
            entropy.get("high_percent"),
            "%",
            "Of the body, where the images decide hardly anything",
        ),
    ]


def _consistency(report: dict[str, Any]) -> list[Measure]:
    consistency = report.get("inverse_consistency", {})
    hint = "Inverse consistency: how far going there and back ends from the start"
    return [
        Measure("Inverse error, mean", None, consistency.get("mean_mm"), "mm", hint),
        Measure("Inverse error, 95 % below", None, consistency.get("p95_mm"), "mm", hint),
        Measure("Inverse error, largest", None, consistency.get("max_mm"), "mm", hint),
    ]
