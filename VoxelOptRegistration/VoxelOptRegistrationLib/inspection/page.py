"""`report.html`: one page that stands alone, for the screen and for paper. All text from outside is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from .charts import colour_bar_svg, histogram_svg
from .page_style import STYLE
from .page_tables import alignment_table, input_table, key_table, numbers, summary_rows, truth_tables
from .pictures import Gallery, Place, View

TALLEST = 440  # CSS pixels, of a slice
CARE = (
    "Research software, not a medical device. Numbers cannot prove a registration right: "
    "look at the slices where it matters to you before you use it."
)
CAPTIONS = {
    "fixed": "Fixed",
    "before": "Moving, before",
    "after": "Moving, after",
    "checkerboard before": "Checkerboard, before",
    "checkerboard after": "Checkerboard, after",
    "difference before": "Fixed minus moving, before",
    "difference after": "Fixed minus moving, after",
    "entropy": "Uncertainty",
    "expected error": "Expected error",
    "jacobian": "Local volume change",
    "displacement": "Displacement",
}
ROWS = (
    ("fixed", "before", "after"),
    ("checkerboard before", "checkerboard after", "difference before", "difference after"),
    ("entropy", "expected error", "jacobian", "displacement"),
)


def build_page(report: dict[str, Any], gallery: Gallery) -> str:
    """The page for a plain `report` (see `report`) with its pictures."""
    inputs = report.get("inputs", {})
    fixed, moving = (_short(inputs.get(key, {}).get("name", f"the {key} scan")) for key in ("fixed", "moving"))
    title = f"Registration of {moving} onto {fixed}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(_run_line(report))}</p>',
        _warnings(report.get("warnings", [])),
        f'<div class="box care">{CARE}</div>',
        "<h2>At a glance</h2>",
        _summary(report),
        "<h2>Slices</h2>",
        f'<p class="note">{_reading_note(gallery)}</p>',
        *(_place(place, gallery, first=k == 0) for k, place in enumerate(gallery.places)),
        "<h2>Distributions</h2>",
        _charts(report),
        "<h2>Details</h2>",
        _details(report),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(sections)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _reading_note(gallery: Gallery) -> str:
    low, high = gallery.window
    return (
        "Axial slices are seen from the feet, coronal ones from the front, in the fixed scan&rsquo;s own axes; "
        "the letters follow its header. "
        f"Grey runs from {low:.4g} to {high:.4g} in the fixed scan&rsquo;s units. "
        "&ldquo;Before&rdquo; is where the scans&rsquo; headers put them. Coloured maps are drawn inside the body."
    )


def _short(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or name


def _run_line(report: dict[str, Any]) -> str:
    settings, device = report.get("settings", {}), report.get("device", {})
    total = report.get("timings_s", {}).get("total")
    facts = [
        f"Preset {settings['preset']}" if settings.get("preset") else "",
        f"method {settings['method']}" if settings.get("method") else "",
        f"on {device.get('title') or device.get('name')}" if device else "",
        f"{total:.1f} s" if total is not None else "",
        str(report.get("created", "")).replace("T", " ").replace("+00:00", " UTC"),
    ]
    return " · ".join(fact for fact in facts if fact)


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return '<div class="box calm">None of the automatic checks found anything unusual.</div>'
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in warnings)
    return f'<div class="box warn"><strong>Look at this first</strong><ul>{items}</ul></div>'


def _summary(report: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="number">{escape(before)}</td><td class="number">{escape(after)}</td>'
        f'<td class="hint">{escape(hint)}</td></tr>'
        for name, before, after, hint in summary_rows(report)
    )
    head = '<tr><th>Measure</th><th class="number">Before</th><th class="number">After</th><th>How to read it</th></tr>'
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _place(place: Place, gallery: Gallery, *, first: bool) -> str:
    x, y, z = place.point_mm
    where = f"{abs(x):.0f} mm {'L' if x >= 0 else 'R'}, {abs(y):.0f} mm {'P' if y >= 0 else 'A'}, "
    where += f"{abs(z):.0f} mm {'S' if z >= 0 else 'I'}"
    parts = [f'<section class="{"first" if first else "place"}"><h2>{escape(place.title)}</h2>']
    parts.append(f'<p class="note">All slices here pass through {where} in scanner coordinates.</p>')
    for view in place.views:
        parts.append(f"<h3>{view.plane.name.capitalize()}</h3>")
        rows = ROWS if len(view.pictures) > 3 else (tuple(view.pictures),)
        for row in rows:
            names = tuple(name for name in row if name in view.pictures)
            kind = "four" if len(names) == 4 else "three"
            figures = "".join(_figure(view, name, gallery) for name in names)
            parts.append(f'<div class="row {kind}">{figures}</div>')
    return "".join(parts) + "</section>"


def _figure(view: View, name: str, gallery: Gallery) -> str:
    data = base64.b64encode(view.pictures[name]).decode("ascii")
    width, height = view.extent_mm
    left, right, top, bottom = view.plane.letters
    letters = "".join(
        f'<b class="{side}">{letter}</b>'
        for side, letter in zip(("left", "right", "top", "bottom"), (left, right, top, bottom), strict=True)
    )
    ruler_mm = next(mm for mm in (50, 20, 10, 5, 2, 1, 0.5) if mm < 0.5 * width or mm == 0.5)
    ruler = f'<span class="ruler" style="width:{100 * ruler_mm / width:.2f}%"><i>{ruler_mm:g} mm</i></span>'
    alt = f"{CAPTIONS[name]}, {view.plane.name} slice"
    image = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
    shape = f"aspect-ratio:{width:.3f}/{height:.3f};width:min(100%,{TALLEST * width / height:.0f}px)"
    fit = f'<div class="fit" style="{shape}">{image}{letters}{ruler}</div>'
    scale = gallery.scales.get(name)
    bar = colour_bar_svg(scale, folds=name == "jacobian") if scale else ""
    return f'<figure><div class="slice">{fit}</div><figcaption>{CAPTIONS[name]}</figcaption>{bar}</figure>'


def _charts(report: dict[str, Any]) -> str:
    histograms = report.get("histograms", {})
    charts = []
    if "jacobian" in histograms:
        axis = "Jacobian determinant (1: volume kept; 0 or less: fold)"
        chart = histogram_svg(histograms["jacobian"], axis, (-0.5, 0, 0.5, 1, 1.5, 2, 2.5), bad_below=0.0, mark=1.0)
        outside = histograms["jacobian"]["below"] + histograms["jacobian"]["above"]
        note = f"In the body; folds in magenta; {outside} voxels outside the drawn range."
        charts.append(f'<div>{chart}<p class="note">{note}</p></div>')
    if "entropy" in histograms:
        axis = "Displacement entropy (0 certain, 1 no signal)"
        chart = histogram_svg(histograms["entropy"], axis, (0, 0.25, 0.5, 0.75, 1))
        note = "In the body. Where it is high, the images gave no evidence for one displacement over another."
        charts.append(f'<div>{chart}<p class="note">{note}</p></div>')
    return f'<div class="columns">{"".join(charts)}</div>'


def _details(report: dict[str, Any]) -> str:
    left = [input_table(report.get("inputs", {})), alignment_table(report)]
    left.append(key_table("Time", {k: f"{v:.2f} s" for k, v in report.get("timings_s", {}).items() if v is not None}))
    right = [
        key_table("Settings", numbers(report.get("settings", {}))),
        key_table("Software", report.get("versions", {})),
    ]
    left.append(truth_tables(report))
    return f'<div class="columns"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
