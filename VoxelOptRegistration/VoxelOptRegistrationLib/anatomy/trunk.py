"""The wall of the trunk, its bones, and the chest above the diaphragm."""

from __future__ import annotations

import numpy as np

from .shapes import Canvas, Shape, ellipsoid, grained, texture, within

VERTEBRA = 32.0  # height of one vertebra with its disc, mm
RIB = 27.0  # distance from rib to rib, mm


def depth_below_skin(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Distance to the skin along the ray to the body's axis, mm, positive inside."""
    waist = np.cos((z + 40) / 90)
    across = 160 - 8 * waist
    along = np.where(y < 0, 108 - 4 * waist, 112)
    q = (np.abs(x / across) ** 2.3 + np.abs(y / along) ** 2.3) ** (1 / 2.3) + 1e-6
    return (np.hypot(x, y) * (1 / q - 1)).astype(np.float32)


def fat_thickness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Subcutaneous fat, mm: thicker at the belly and the flanks than along the back's midline."""
    angle = np.arctan2(x, -y)
    return (16 - 7 * np.cos(angle) ** 2 * (y > 0)).astype(np.float32)


def cavity(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The inside of the muscular wall."""
    return fat_thickness(x, y) + 11 - depth_below_skin(x, y, z)


def diaphragm(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the diaphragm's two domes, mm."""
    right = 98 - 52 * (((x + 68) / 88) ** 2 + ((y - 2) / 74) ** 2)
    left = 90 - 52 * (((x - 70) / 84) ** 2 + ((y - 2) / 74) ** 2)
    return (np.logaddexp(right / 6, left / 6) * 6).astype(np.float32)


def below_diaphragm(gap: float) -> Shape:
    return lambda x, y, z: z + np.float32(gap) - diaphragm(x, y)


def paint_trunk(canvas: Canvas, rng: np.random.Generator) -> None:
    septa, muscle, mesentery = texture(rng, 34, 8), texture(rng, 14, 6), texture(rng, 16, 10)

    def fat(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return -107 + 45 * np.exp(-((septa(x, y, z) / 0.13) ** 2))

    canvas.paint(lambda x, y, z: -depth_below_skin(x, y, z), 10)
    canvas.paint(lambda x, y, z: 2.5 - depth_below_skin(x, y, z), fat)
    canvas.paint(lambda x, y, z: fat_thickness(x, y) - depth_below_skin(x, y, z), grained(56, 8, muscle))

    def fat_plane(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.abs(fat_thickness(x, y) + 5.5 + 0.8 * muscle(x, y, z) - depth_below_skin(x, y, z)) - np.float32(0.7)

    canvas.paint(within(fat_plane, lambda x, y, z: 24 - np.abs(x)), -50)

    def stranded(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return -98 + 60 * np.exp(-((mesentery(x, y, z) / 0.22) ** 2))

    canvas.paint(cavity, stranded)
    for side in (-1, 1):
        back = ellipsoid((side * 34, 85, 0), (30, 17, 1000), side * -0.12)
        canvas.paint(within(back, lambda x, y, z: 8 - depth_below_skin(x, y, z)), grained(54, 10, muscle))

        def psoas(x: np.ndarray, y: np.ndarray, z: np.ndarray, side: int = side) -> np.ndarray:
            radius = np.clip(19 - (z + 120) * 0.09, 3, 21)
            return np.hypot(x - side * (33 - 0.06 * z), (y - 52) * 0.9) - radius

        canvas.paint(within(psoas, lambda x, y, z: z - 70), grained(58, 8, muscle))


def paint_lungs_and_heart(canvas: Canvas, rng: np.random.Generator) -> None:
    above: Shape = lambda x, y, z: diaphragm(x, y) - z  # noqa: E731
    vessels = texture(rng, 18, 10)

    def lung(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        middle = 30 + 14 / (1 + np.exp((y + 20) / 14)) + 5 * np.cos(y / 24) - np.abs(x)
        return np.maximum.reduce([above(x, y, z), cavity(x, y, z) + 1, middle.astype(np.float32)])

    def spongy(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return -860 + 600 * np.exp(-((vessels(x, y, z) / 0.12) ** 2))

    canvas.paint(within(cavity, above), 45)
    canvas.paint(lung, spongy, "lungs")
    canvas.paint(within(ellipsoid((18, -30, 122), (66, 48, 40)), cavity), -80)
    canvas.paint(within(ellipsoid((18, -30, 122), (60, 42, 36), 0.4), cavity), 105)
    canvas.paint(ellipsoid((36, -28, 126), (30, 22, 26), 0.5), 165)
    canvas.paint(ellipsoid((-14, -24, 132), (16, 26, 28), -0.3), 160)


def paint_spine_and_ribs(canvas: Canvas, rng: np.random.Generator) -> None:
    trabecular = texture(rng, 6, 10)

    def level(z: np.ndarray) -> np.ndarray:
        return np.mod(z + VERTEBRA / 2, np.float32(VERTEBRA)) - np.float32(VERTEBRA / 2)

    def column(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        pinch = 1 - 0.10 * np.cos(2 * np.pi * level(z) / VERTEBRA)
        return (np.hypot(x / 1.28, y - 58) - 18 * pinch).astype(np.float32)

    def body(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.maximum(column(x, y, z), np.abs(level(z)) - np.float32(12))

    def bone(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.where(body(x, y, z) > -2.5, 480, 190 + 18 * trabecular(x, y, z))

    def arch(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        ring = np.abs(np.hypot(x, y - 82) - 11) - 3.5
        spinous = np.maximum(
            np.hypot(np.maximum(np.abs(x) - 1.5, 0), np.maximum(np.abs(y - 97) - 7, 0)) - 1.8, np.abs(level(z)) - 9
        )
        transverse = np.hypot(np.maximum(np.abs(x) - 34, 0), np.hypot(y - 79 - 0.1 * np.abs(x), level(z))) - 4.5
        transverse = np.maximum(transverse, 9 - np.abs(x))
        return np.minimum.reduce([np.maximum(ring, np.abs(level(z)) - 11), spinous, transverse]).astype(np.float32)

    canvas.paint(column, 85, box=((-26, 26), (36, 80), (-400, 400)))
    canvas.paint(body, bone, "vertebrae", box=((-26, 26), (36, 80), (-400, 400)))
    canvas.paint(
        arch, lambda x, y, z: 390 + 90 * trabecular(x, y, z), "vertebrae", box=((-42, 42), (64, 110), (-400, 400))
    )
    canvas.paint(lambda x, y, z: np.hypot(x, y - 82) - np.float32(8), 15, box=((-9, 9), (73, 91), (-400, 400)))
    canvas.paint(lambda x, y, z: np.hypot(x, y - 82) - np.float32(5), 38, box=((-6, 6), (76, 88), (-400, 400)))

    def ribs(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        slope = z - 0.55 * y
        across = np.mod(slope, np.float32(RIB)) - np.float32(RIB / 2)
        inward = cavity(x, y, z) - np.float32(3.0)
        thick = np.hypot(across * 0.85, inward * 1.3) - 4.6
        arch = np.maximum(-34 + 0.9 * np.maximum(-y, 0) - z, 22 - np.abs(x))
        return np.maximum(thick, arch).astype(np.float32)

    canvas.paint(ribs, lambda x, y, z: np.where(ribs(x, y, z) > -1.7, 620, 210))

    def ilium(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        shell = np.abs(np.hypot(np.abs(x) - 20, (y - 10) * 1.15) - (97 + 0.35 * (z + 140))) - 6.5
        crest = z + 92 + ((y - 40) / 26) ** 2 * 8
        return np.maximum.reduce([shell, crest, -14 - y, 30 - np.abs(x)]).astype(np.float32)

    canvas.paint(
        ilium, lambda x, y, z: np.where(ilium(x, y, z) > -2.5, 560, 220), box=((-150, 150), (-16, 110), (-400, -80))
    )
