"""The results as bars: one standalone SVG, a panel per section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .jobs import OURS, REST
from .results import Line, Results, Section
from .scaling import FIT

WIDTH, LABELS, NUMBERS, MARGIN = 860, 250, 200, 16
ROW, BAR, TITLE, GAP = 21, 14, 30, 22
BLUE, GREY, LIGHT, OTHER = "#1f77b4", "#9aa5b1", "#dde3ea", "#c7c7c7"
STAGE_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#17becf")
STYLE = (
    "text{font-family:Helvetica,Arial,'Liberation Sans',sans-serif;font-size:12px;fill:#1c2733}"
    ".title{font-size:14px;font-weight:600}.small{font-size:11px;fill:#566573}.number{fill:#34495e}"
)


@dataclass(frozen=True)
class Bar:
    """A row: its label, lengths with colours one after the other, what is written behind; head: written above."""

    label: str
    parts: Sequence[tuple[float, str]]
    text: str
    head: str = ""


@dataclass(frozen=True)
class Panel:
    """Bars on one scale, from 0 to the longest; legend: colours and their meaning."""

    title: str
    bars: Sequence[Bar]
    legend: Sequence[tuple[str, str]] = ()

    @property
    def height(self) -> int:
        """Pixels."""
        heads = sum(bool(bar.head) for bar in self.bars)
        return TITLE + ROW * (len(self.bars) + heads + self.legend_rows) + GAP

    @property
    def legend_rows(self) -> int:
        """Rows that the legend takes."""
        return (len(self.legend) + 3) // 4


def to_svg(results: Results) -> str:
    """The picture; panels without numbers are left out."""
    makers = {"solver": solver_panels, "operations": operation_panels, "jobs": job_panels, "scaling": scaling_panels}
    panels = [
        panel for key, make in makers.items() if (section := results.section(key)) for panel in make(results, section)
    ]
    height = 2 * MARGIN + 34 + sum(panel.height for panel in panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="voxelopt benchmark speed"><style>{STYLE}</style>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    machine = results.machine
    where = f"{machine.get('processor', '')}, threads: {machine.get('threads', '')}, {machine.get('device', '')}"
    parts.append(_text(MARGIN, MARGIN + 12, f"Measured on: {where}", "small"))
    top = MARGIN + 34
    for panel in panels:
        parts += _drawn(panel, top)
        top += panel.height
    return "".join(parts) + "</svg>\n"


def _drawn(panel: Panel, top: int) -> list[str]:
    parts = [_text(MARGIN, top + 14, panel.title, "title")]
    y = top + TITLE
    for position, (name, colour) in enumerate(panel.legend):
        x = MARGIN + LABELS + (position % 4) * 145
        row = y + (position // 4) * ROW
        parts.append(f'<rect x="{x}" y="{row + 3}" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(x + 16, row + 13, name, "small"))
    y += panel.legend_rows * ROW
    longest = max((sum(length for length, _ in bar.parts) for bar in panel.bars), default=0.0) or 1.0
    scale = (WIDTH - 2 * MARGIN - LABELS - NUMBERS) / longest
    for bar in panel.bars:
        if bar.head:
            parts.append(_text(MARGIN + LABELS, y + 15, bar.head))
            y += ROW
        parts.append(_text(MARGIN + LABELS - 8, y + 12, bar.label, anchor="end"))
        end = float(MARGIN + LABELS)
        for length, colour in bar.parts:
            box = f'x="{end:.1f}" y="{y + 1}" width="{length * scale:.1f}" height="{BAR}"'
            parts.append(f'<rect {box} fill="{colour}"/>')
            end += length * scale
        parts.append(_text(end + 6, y + 12, bar.text, "number"))
        y += ROW
    return parts


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def solver_panels(_: Results, section: Section) -> list[Panel]:
    """Seconds of every variant; the traffic's floor beneath."""
    bars = []
    for line in section.lines:
        seconds = line.values["seconds"]
        ratio = line.values.get("times_literal", 1.0)
        text = f"{seconds:.3g} s" + (f", {ratio:.1f} times as fast" if ratio != 1.0 else "")
        bars.append(Bar(line.variant, [(seconds, BLUE if line.variant.startswith("kernels") else GREY)], text))
    floor = section.lines[0].values.get("floor_ms") if section.lines else None
    if floor is not None:
        bars.append(Bar("memory traffic's floor, one way", [(floor / 1e3, BLUE)], f"{floor / 1e3:.3g} s"))
    return [Panel(f"Solver alone, seconds: {section.lines[0].case}", bars)] if bars else []


def operation_panels(_: Results, section: Section) -> list[Panel]:
    """Where there is a kernel: its share of plain torch's time."""
    bars = []
    for line in section.lines:
        kernel, plain = line.values.get("kernel_ms"), line.values["plain_ms"]
        if kernel is None:
            continue
        share = kernel / plain
        rest = [(1 - share, LIGHT)] if share < 1 else []
        bars.append(Bar(line.case, [(share, BLUE), *rest], f"{plain:.4g} to {kernel:.4g} ms, {1 / share:.1f} times"))
    legend = (("kernel", BLUE), ("plain torch", LIGHT))
    return [Panel("Operations with a kernel: share of the time in plain torch", bars, legend)] if bars else []


def job_panels(results: Results, section: Section) -> list[Panel]:
    """Seconds of every program on every pair; ours by stages."""
    staged = results.section("stages")
    stages = {line.case: line.values for line in staged.lines} if staged else {}
    sums: dict[str, float] = {}
    for values in stages.values():
        for name, seconds in values.items():
            sums[name] = sums.get(name, 0.0) + seconds
    largest = sorted((name for name in sums if name != REST), key=lambda name: -sums[name])[: len(STAGE_COLOURS)]
    colours = dict(zip((name for name in sums if name in largest), STAGE_COLOURS, strict=False))
    bars, earlier = [], ""
    for line in section.lines:
        if "alone_s" not in line.values:
            continue
        parts = _stacked(stages.get(line.case, {}), colours) if line.variant == OURS else []
        parts = parts or [(line.values["whole_s" if line.variant == OURS else "alone_s"], GREY)]
        bars.append(Bar(line.variant, parts, _job_text(line), head=line.case if line.case != earlier else ""))
        earlier = line.case
    legend = [*colours.items(), ("other stages", OTHER), (REST, LIGHT), ("other programs' call", GREY)]
    return [Panel("Whole jobs, seconds", bars, legend)] if bars else []


def _stacked(stages: Mapping[str, float], colours: Mapping[str, str]) -> list[tuple[float, str]]:
    parts = [(seconds, colours[name]) for name, seconds in stages.items() if name in colours]
    other = sum(seconds for name, seconds in stages.items() if name not in colours and name != REST)
    return [*parts, (other, OTHER), (stages[REST], LIGHT)] if stages else []


def _job_text(line: Line) -> str:
    if line.variant == OURS:
        return f"{line.values['whole_s']:.1f} s whole, {line.values['alone_s']:.1f} s alone"
    ratio = line.values.get("whole_ratio")
    return f"{line.values['alone_s']:.1f} s" + (f", {ratio:.2f} times our whole" if ratio is not None else "")


def scaling_panels(_: Results, section: Section) -> list[Panel]:
    """Time per voxel, and memory, of every size."""
    panels = []
    for key, heading, digits, unit in (
        ("microseconds_per_voxel", "Time per voxel as the volume grows", 2, "microseconds"),
        ("peak_mib", "Peak memory as the volume grows", 0, "MiB"),
    ):
        for case in dict.fromkeys(line.case for line in section.lines):
            mine = [line for line in section.lines if line.case == case and line.variant != FIT and key in line.values]
            bars = [
                Bar(line.variant, [(line.values[key], BLUE)], f"{line.values[key]:.{digits}f} {unit}") for line in mine
            ]
            if bars:
                panels.append(Panel(f"{heading}: {case}", bars))
    return panels
