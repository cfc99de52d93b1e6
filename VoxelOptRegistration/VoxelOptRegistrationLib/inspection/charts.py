"""Histograms and colour bars as inline SVG."""

from __future__ import annotations

from typing import Any

import numpy as np

from .colours import ColourScale

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 40


def histogram_svg(
    histogram: dict[str, Any],
    axis: str,
    ticks: tuple[float, ...],
    *,
    bad_below: float | None = None,
    mark: float | None = None,
) -> str:
    """A histogram (see `statistics.histogram`): share of voxels, percent, against `axis`.

    Bins up to `bad_below` are drawn in the colour of folds; `mark` draws a vertical line.
    """
    low, high, counts = histogram["low"], histogram["high"], histogram["counts"]
    total = max(1, sum(counts) + histogram["below"] + histogram["above"])
    shares = [100 * c / total for c in counts]
    top = _nice(max([*shares, 0.1]))
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return LEFT + plot_width * (value - low) / (high - low)

    def y(share: float) -> float:
        return TOP + plot_height * (1 - share / top)

    step = (high - low) / len(counts)
    width = plot_width / len(counts) - 0.6
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Histogram: {axis}">']
    for share in (0.0, top / 2, top):
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:g} %</text>')
    for k, share in enumerate(shares):
        start = low + k * step
        kind = "bar bad" if bad_below is not None and start + step <= bad_below + 1e-9 else "bar"
        if share:
            box = f'x="{x(start):.2f}" y="{y(share):.2f}" width="{width:.2f}" height="{y(0) - y(share):.2f}"'
            parts.append(f'<rect class="{kind}" {box}/>')
    if mark is not None:
        parts.append(f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP}" y2="{y(0):.1f}"/>')
    for tick in ticks:
        parts.append(f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{y(0):.1f}" y2="{y(0) + 4:.1f}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{y(0) + 17:.1f}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{LEFT + plot_width / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{axis}</text></svg>')
    return "".join(parts)


def colour_bar_svg(scale: ColourScale, *, folds: bool = False) -> str:
    """A colour bar with its ticks and title; `folds` adds the colour of folds."""
    width, height, margin = 320, 44, 14
    colours = scale.bar()
    each = (width - 2 * margin) / len(colours)
    parts = [f'<svg class="scale" viewBox="0 0 {width} {height}" role="img" aria-label="Colours: {scale.title}">']
    parts.append(f'<text x="{width / 2}" y="10" text-anchor="middle">{scale.title}</text>')
    for k, colour in enumerate(colours):
        parts.append(f'<rect x="{margin + k * each:.2f}" y="15" width="{each + 0.4:.2f}" height="11" fill="{colour}"/>')
    for tick in scale.ticks:
        place = margin + (width - 2 * margin) * _position(scale, tick)
        parts.append(f'<text x="{place:.1f}" y="38" text-anchor="middle">{tick:g}</text>')
    parts.append("</svg>")
    if folds:
        parts.append('<span class="fold-key"><i></i>fold (0 or less)</span>')
    return "".join(parts)


def _position(scale: ColourScale, value: float) -> float:
    return float(scale.position(np.array(value, dtype=float)))


def _nice(value: float) -> float:
    """The next number of 1, 2, 5 times a power of ten."""
    power = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 0.1
    return next(n * power for n in (1, 2, 4, 6, 8, 10, 20) if n * power >= value)
