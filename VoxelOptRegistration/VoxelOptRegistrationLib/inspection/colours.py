"""Colour scales laid over a grey slice. A scale turns values into colours and into how much they cover the slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FOLD = (255, 0, 220)
"""Magenta: a colour of its own for folds."""
BAR_GREY = 96
ERROR_LIMIT_MM = 6.0
"""Where the scale of the expected error ends."""


@dataclass(frozen=True)
class ColourScale:
    """Colours between `low` and `high`.

    anchors: RGB at equal steps from low to high. cover: opacity at the same steps, so that what does not matter leaves
    the anatomy visible. logarithmic: steps are equal ratios. ticks: values written below the colour bar.
    """

    title: str
    low: float
    high: float
    anchors: tuple[tuple[int, int, int], ...]
    cover: tuple[float, ...]
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def position(self, values: np.ndarray) -> np.ndarray:
        """Where values stand on the scale, in [0, 1]; non-positive values of a logarithmic scale stand at 0."""
        low, high = self.low, self.high
        if self.logarithmic:
            values = np.log(np.maximum(values, 1e-9))
            low, high = float(np.log(low)), float(np.log(high))
        return np.clip((values - low) / (high - low), 0, 1)

    def lay_over(self, grey: np.ndarray, values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
        """`values` (rows, columns) as colour over `grey` (uint8), where `where`; RGB uint8 (rows, columns, 3)."""
        t = self.position(values)
        colour = np.stack([_along(t, [c[i] for c in self.anchors]) for i in range(3)], axis=-1)
        opacity = _along(t, self.cover)
        if where is not None:
            opacity = np.where(where, opacity, 0)
        mixed = grey[..., None] + opacity[..., None] * (colour - grey[..., None].astype(float))
        return np.rint(mixed).astype(np.uint8)

    def bar(self, steps: int = 32) -> list[str]:
        """The colours of the colour bar from low to high, as they look over middle grey, "#rrggbb"."""
        t = np.linspace(0, 1, steps)[None]
        values = self.low * (self.high / self.low) ** t if self.logarithmic else self.low + t * (self.high - self.low)
        row = self.lay_over(np.full(t.shape, BAR_GREY, np.uint8), values)[0]
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in row.tolist()]


def _along(t: np.ndarray, anchors: list[int] | tuple[float, ...]) -> np.ndarray:
    return np.interp(t, np.linspace(0, 1, len(anchors)), anchors)


def entropy_scale() -> ColourScale:
    """Clear where the match was certain, red where it was a guess."""
    return ColourScale(
        title="Displacement entropy (0 certain, 1 no signal)",
        low=0.0,
        high=1.0,
        anchors=((60, 180, 120), (150, 205, 90), (250, 215, 70), (245, 140, 40), (205, 30, 30)),
        cover=(0.0, 0.25, 0.45, 0.6, 0.75),
        ticks=(0, 0.25, 0.5, 0.75, 1),
    )


def jacobian_scale() -> ColourScale:
    """Clear at 1; blue where moving tissue is locally smaller, orange where it is larger."""
    return ColourScale(
        title="Jacobian determinant (local volume, moving / fixed)",
        low=0.5,
        high=2.0,
        anchors=((20, 70, 200), (70, 150, 235), (240, 240, 240), (245, 150, 60), (190, 50, 0)),
        cover=(0.85, 0.6, 0.0, 0.6, 0.85),
        ticks=(0.5, 0.7, 1, 1.4, 2),
        logarithmic=True,
    )


def length_scale(longest_mm: float) -> ColourScale:
    """Clear where nothing moves, from blue over green to yellow with the distance."""
    high = _round_up(longest_mm)
    return ColourScale(
        title="Displacement beyond the best affine motion (mm)",
        low=0.0,
        high=high,
        anchors=((50, 40, 120), (40, 100, 170), (30, 160, 150), (130, 205, 90), (250, 230, 60)),
        cover=(0.0, 0.45, 0.6, 0.68, 0.75),
        ticks=tuple(high * k / 4 for k in range(5)),
    )


def error_scale() -> ColourScale:
    """Clear where hardly any error is expected, over yellow to red at 6 mm."""
    return ColourScale(
        title="Expected error (mm)",
        low=0.0,
        high=ERROR_LIMIT_MM,
        anchors=((60, 180, 120), (150, 205, 90), (250, 215, 70), (245, 140, 40), (205, 30, 30)),
        cover=(0.0, 0.25, 0.45, 0.6, 0.75),
        ticks=(0, 1.5, 3, 4.5, 6),
    )


def _round_up(value: float) -> float:
    """The next number of 1, 2, 3, 4, 6 or 8 times a power of ten, at least 0.1."""
    value = max(value, 0.1)
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(n * power for n in (1, 2, 3, 4, 6, 8, 10) if n * power >= value * 0.999))
