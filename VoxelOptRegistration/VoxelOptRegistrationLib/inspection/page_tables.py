"""The tables of `report.html`."""

from __future__ import annotations

from html import escape
from typing import Any

REGIONS_AT_A_GLANCE = 4

Row = tuple[str, str, str, str]


def summary_rows(report: dict[str, Any]) -> list[Row]:
    """(measure, before, after, how to read it) for whatever `report` holds."""
    rows: list[Row] = []
    if "similarity" in report:
        rows += _similarity_rows(report["similarity"])
    if "overlap" in report:
        before, after = report["overlap"]["before"], report["overlap"]["after"]
        hint = f"{after['labels']} labels; 1 is perfect"
        rows.append(("Dice of the labels, mean", _number(before["mean"], 3), _number(after["mean"], 3), hint))
        hint = "Surface distance that 95 % of the surfaces stay below"
        rows.append(("HD95 of the labels, mean", _mm(before["hd95_mm"]), _mm(after["hd95_mm"]), hint))
    if "landmarks" in report:
        before, after = report["landmarks"]["before"], report["landmarks"]["after"]
        for region in after if len(after) <= REGIONS_AT_A_GLANCE else ("all",):
            name = "Landmark error, mean" + ("" if region == "all" else f" ({region})")
            count, largest = after[region]["n"], _mm(after[region]["max"])
            hint = f"{count} point{'s' if count > 1 else ''}; largest {largest}"
            rows.append((name, _mm(before[region]["mean"]), _mm(after[region]["mean"]), hint))
    if "constraints" in report:
        used = report["constraints"]
        pairs, alone = used["after"]["n"], _mm(used["solved"]["mean"])
        hint = f"{pairs} pairs that the result was bent to, so no measure of its accuracy; {alone} without them"
        name = "Distance of the given landmarks, mean"
        rows.append((name, _mm(used["before"]["mean"]), _mm(used["after"]["mean"]), hint))
    rows += _jacobian_rows(report.get("jacobian", {}), report.get("jacobian_body", {}))
    entropy = report.get("entropy", {})
    if entropy.get("voxels"):
        hint = f"0 certain, 1 no signal; above 0.9 in {entropy['high_percent']:.1f} % of the body"
        rows.append(("Displacement entropy, mean", "", _number(entropy["mean"], 3), hint))
    expected = report.get("expected_error", {})
    if expected.get("voxels"):
        hint = f"Above 3 mm in {expected['above_3mm_percent']:.1f} % of the body; {_calibration_words(expected)}"
        rows.append(("Expected error, mean", "", _mm(expected["mean_mm"]), hint))
    displacement = report.get("displacement", {})
    if displacement.get("whole", {}).get("voxels"):
        whole, local = displacement["whole"], displacement["beyond_affine"]
        rows.append(("Displacement, mean", "", _mm(whole["mean_mm"]), f"Whole mapping; largest {_mm(whole['max_mm'])}"))
        hint = f"What is left after the best affine motion; largest {_mm(local['max_mm'])}"
        rows.append(("Deformation, mean", "", _mm(local["mean_mm"]), hint))
    consistency = report.get("inverse_consistency", {})
    if consistency.get("points"):
        hint = f"How far there and back ends from the start; {consistency['mean_voxels']:.3f} voxels"
        rows.append(("Inverse-consistency error, mean", "", _mm(consistency["mean_mm"]), hint))
    return rows


def _calibration_words(expected: dict[str, Any]) -> str:
    """What stands behind the expected error."""
    if expected.get("calibrated"):
        words = (
            f"calibrated for the preset {expected['calibration']} on synthetic deformations, real errors can be larger"
        )
    else:
        words = "not calibrated for these settings, so read it as a ranking, not as mm"
    return words if expected.get("both_ways", True) else f"{words}; one direction was solved, so it is less sure"


def _similarity_rows(similarity: dict[str, Any]) -> list[Row]:
    before, after = similarity["before"], similarity["after"]
    shares = [f"{similarity[f'overlap_percent_{when}']:.0f} %" for when in ("before", "after")]
    return [
        ("Fixed body covered by the moving scan", shares[0], shares[1], "Outside, nothing can be compared"),
        (
            "Normalised mutual information",
            _number(before["nmi"], 3),
            _number(after["nmi"], 3),
            "1 to 2, higher is more alike; also across modalities",
        ),
        ("Correlation", _number(before["ncc"], 3), _number(after["ncc"], 3), "1 is perfect; within one modality"),
        (
            "Mean absolute difference",
            _number(before["mad"], 4, significant=True),
            _number(after["mad"], 4, significant=True),
            "In the fixed scan's units; within one modality",
        ),
    ]


def _jacobian_rows(whole: dict[str, Any], body: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    if whole.get("voxels"):
        hint = "Voxels where tissue is turned inside out; should be 0"
        rows.append(("Folds", "", f"{whole['folds']} ({whole['folds_percent']:.2g} %)", hint))
    if body.get("voxels"):
        spread = f"{body['p1']:.2f} to {body['p99']:.2f}"
        rows.append(("Local volume, 1st to 99th percentile", "", spread, "Jacobian determinant; 1 keeps volume"))
    if whole.get("voxels"):
        hint = f"Roughness of the deformation; {whole['sdlogj_l2r']:.3f} as Learn2Reg counts it"
        rows.append(("SDlogJ", "", _number(whole["sdlogj"], 3), hint))
    return rows


def key_table(title: str, values: dict[str, Any]) -> str:
    """A two-column table, or nothing if there are no values."""
    if not values:
        return ""
    rows = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in values.items())
    return f"<h3>{escape(title)}</h3><table><tbody>{rows}</tbody></table>"


def truth_tables(report: dict[str, Any]) -> str:
    """Landmark errors per region and overlap per label, before and after."""
    tables = ""
    if "landmarks" in report:
        before, after = report["landmarks"]["before"], report["landmarks"]["after"]
        values = {
            f"{region} ({error['n']})": f"{_mm(before[region]['mean'])} → {_mm(error['mean'])}"
            for region, error in after.items()
        }
        tables += key_table("Mean landmark error, before → after", values)
    if "overlap" in report:
        before, after = (report["overlap"][when]["per_label"] for when in ("before", "after"))
        values = {}
        for label in sorted({*before, *after}, key=int):
            pair = [_number(side.get(label, {}).get("dice"), 3) for side in (before, after)]
            values[f"label {label}"] = " → ".join(pair)
        tables += key_table("Dice of each label, before → after", values)
    return tables


def input_table(inputs: dict[str, Any]) -> str:
    """Names, sizes and spacings of what was given."""
    values = {}
    for key, value in inputs.items():
        if isinstance(value, dict):
            size = " × ".join(str(n) for n in value.get("size", []))
            spacing = " × ".join(f"{mm:.3g}" for mm in value.get("spacing_mm", []))
            value = "; ".join(t for t in (str(value.get("name", "")), size, f"{spacing} mm" if spacing else "") if t)
        if value:
            values[key.replace("_", " ")] = value
    return key_table("Inputs", values)


def alignment_table(report: dict[str, Any]) -> str:
    """Alignment, working grid, device and memory."""
    values: dict[str, Any] = {}
    alignment, grid, device = (report.get(key) or {} for key in ("alignment", "working_grid", "device"))
    if alignment.get("mode"):
        values["Alignment"] = alignment["mode"]
    notes = alignment.get("notes")
    if notes:
        values["Alignment notes"] = "; ".join(notes) if isinstance(notes, list) else notes
    if grid.get("size"):
        spacing = " × ".join(f"{mm:.3g}" for mm in grid.get("spacing_mm", []))
        values["Working grid"] = " × ".join(str(n) for n in grid["size"]) + (f"; {spacing} mm" if spacing else "")
    if device:
        values["Device"] = device.get("title") or device.get("name")
    if report.get("peak_memory_mib"):
        values["Peak memory"] = f"{report['peak_memory_mib']:.0f} MiB"
        if report.get("memory"):
            values["Peak memory"] += f"; {report['memory']['predicted_mib']:.0f} MiB expected"
    return key_table("Computation", values)


def numbers(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as "section.option": value."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= numbers(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _number(value: float | None, digits: int, *, significant: bool = False) -> str:
    if value is None:
        return "n/a"
    return f"{value:.{digits}g}" if significant else f"{value:.{digits}f}"


def _mm(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f} mm"
