"""What the numbers of a report should make a reader suspicious of, in plain words."""

from __future__ import annotations

from typing import Any

LOW_OVERLAP_PERCENT = 60.0
MANY_UNCERTAIN_PERCENT = 50.0
MUCH_WRONG_PERCENT = 25.0
STRONG_CHANGE = (1 / 3, 3.0)
INCONSISTENT_VOXELS = 0.5


def find_warnings(report: dict[str, Any]) -> list[str]:
    """Sentences for what is unusual in the sections of `report` (see `report`); an empty list if nothing is."""
    checks = (_overlap, _similarity, _folds, _volume_change, _uncertainty, _expected_error, _consistency, _truth)
    return [sentence for check in checks if (sentence := check(report))]


def _overlap(report: dict[str, Any]) -> str:
    share = report.get("similarity", {}).get("overlap_percent_after")
    if share is None or share >= LOW_OVERLAP_PERCENT:
        return ""
    return (
        f"Only {share:.0f} % of the fixed body is covered by the moving scan after registration. "
        "The transform is extrapolated everywhere else."
    )


def _similarity(report: dict[str, Any]) -> str:
    before, after = (report.get("similarity", {}).get(key) or {} for key in ("before", "after"))
    if before.get("nmi") is None or after.get("nmi") is None or after["nmi"] >= before["nmi"]:
        return ""
    if abs(after["ncc"] or 0) >= abs(before["ncc"] or 0):
        return ""
    return (
        "The scans are less alike after registration than before (normalised mutual information "
        f"{before['nmi']:.3f} before, {after['nmi']:.3f} after). The registration has probably failed."
    )


def _folds(report: dict[str, Any]) -> str:
    jacobian = report.get("jacobian", {})
    if not jacobian.get("folds"):
        return ""
    return (
        f"The deformation folds at {jacobian['folds']} voxels ({jacobian['folds_percent']:.2g} %). "
        "Tissue is turned inside out there; do not measure at these places."
    )


def _volume_change(report: dict[str, Any]) -> str:
    jacobian = report.get("jacobian_body") or report.get("jacobian", {})
    if "p1" not in jacobian or (jacobian["p1"] >= STRONG_CHANGE[0] and jacobian["p99"] <= STRONG_CHANGE[1]):
        return ""
    return (
        "Some tissue changes its volume more than threefold "
        f"(1st and 99th percentile of the Jacobian determinant: {jacobian['p1']:.2f} and {jacobian['p99']:.2f})."
    )


def _uncertainty(report: dict[str, Any]) -> str:
    share = report.get("entropy", {}).get("high_percent", 0.0)
    if share <= MANY_UNCERTAIN_PERCENT:
        return ""
    return (
        f"In {share:.0f} % of the body the images gave hardly any evidence for one displacement over another "
        "(entropy above 0.9). The result there is what smoothing made of its surroundings."
    )


def _expected_error(report: dict[str, Any]) -> str:
    expected = report.get("expected_error", {})
    share = expected.get("above_3mm_percent", 0.0)
    if share <= MUCH_WRONG_PERCENT or not expected.get("calibrated"):
        return ""
    return (
        f"In {share:.0f} % of the body the result is expected to be more than 3 mm off. "
        "Look at the map of the expected error before you measure anything."
    )


def _consistency(report: dict[str, Any]) -> str:
    mean = report.get("inverse_consistency", {}).get("mean_voxels", 0.0)
    if mean <= INCONSISTENT_VOXELS:
        return ""
    return f"The transform and its inverse do not agree: going there and back ends {mean:.2f} voxels away on average."


def _truth(report: dict[str, Any]) -> str:
    worse = []
    overlap, landmarks = report.get("overlap", {}), report.get("landmarks", {})
    if overlap and overlap["after"]["mean"] < overlap["before"]["mean"]:
        worse.append(f"mean Dice {overlap['before']['mean']:.3f} before, {overlap['after']['mean']:.3f} after")
    if landmarks and landmarks["after"]["all"]["mean"] > landmarks["before"]["all"]["mean"]:
        before, after = (landmarks[key]["all"]["mean"] for key in ("before", "after"))
        worse.append(f"mean landmark error {before:.2f} mm before, {after:.2f} mm after")
    return f"The given truth says that registration made things worse: {'; '.join(worse)}." if worse else ""
