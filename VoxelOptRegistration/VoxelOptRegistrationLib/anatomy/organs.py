"""The organs of the abdomen, painted back to front."""

from __future__ import annotations

import numpy as np

from .shapes import Canvas, Shape, ellipsoid, grained, grown, texture, tube, tube_box, within, without
from .trunk import below_diaphragm, cavity, paint_lungs_and_heart, paint_spine_and_ribs, paint_trunk


def abdomen(points: np.ndarray, edge: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What stands at `points` (..., 3), mm in the body's frame.

    `edge` is the width of a boundary, mm: about one voxel of the sampled grid. `seed` decides textures, bowel and
    vessels. Returns Hounsfield units float32 (...) and organ labels uint8 (...), numbered by `atlas.LABELS`.
    """
    canvas = Canvas(points, edge)
    rng = np.random.default_rng(seed)
    paint_trunk(canvas, rng)
    _bowel(canvas, rng)
    paint_lungs_and_heart(canvas, rng)
    paint_spine_and_ribs(canvas, rng)
    _retroperitoneum(canvas, rng)
    _upper_abdomen(canvas, rng)
    shape = points.shape[:-1]
    return canvas.hu.reshape(shape), canvas.labels.reshape(shape)


def _bowel(canvas: Canvas, rng: np.random.Generator) -> None:
    grain, stool = texture(rng, 9, 8), texture(rng, 16, 8)
    starts = [(x, y, z) for z in (-128, -98, -68, -40) for x in (-66, -22, 22, 66) for y in (-50, -16)]
    for start in starts:
        steps = rng.normal(size=(4, 3)) * [17, 8, 9]
        nodes = np.clip(start + np.cumsum(steps, axis=0), [-84, -64, -150], [84, 12, -20])
        for radius, value in ((12.5, 78.0), (9.5, 24.0)):
            canvas.paint(within(tube(nodes, radius), cavity), grained(value, 8, grain), box=tube_box(nodes, radius))
    colon = (
        np.array([(-108, 30, -140), (-112, 24, -90), (-110, 18, -50), (-104, 4, -26)]),
        np.array([(-100, -20, -24), (-60, -58, -30), (-15, -64, -36), (40, -60, -22), (88, -30, 4)]),
        np.array([(104, 14, 8), (112, 30, -30), (114, 34, -80), (106, 36, -140)]),
    )
    for nodes in colon:
        canvas.paint(within(tube(nodes, 19.0), cavity), 62, box=tube_box(nodes, 19.0))
        filling: Shape = lambda x, y, z: 20 + 34 * stool(x, y, z) - 260 * np.maximum(stool(x, y, z) - 1, 0)  # noqa: E731
        canvas.paint(within(tube(nodes, 16.0), cavity), filling, box=tube_box(nodes, 16.0))
    gas = within(tube(colon[1], 15.0), cavity, lambda x, y, z: y + 58)
    canvas.paint(gas, -930, box=tube_box(colon[1], 15.0))


def _retroperitoneum(canvas: Canvas, rng: np.random.Generator) -> None:
    grain = texture(rng, 11, 8)
    aorta = np.array([(4, 30, 160), (9, 33, 90), (9, 33, 20), (7, 32, -60), (2, 30, -92)])
    cava = np.array([(-14, 12, 110), (-19, 24, 76), (-19, 30, 20), (-18, 31, -60), (-6, 32, -96)])
    canvas.paint(tube(aorta, 11.5), 120, "aorta", tube_box(aorta, 12))
    canvas.paint(tube(aorta, 10.0), 172, "aorta", tube_box(aorta, 12))
    canvas.paint(tube(cava, 11.0), 142, "inferior vena cava", tube_box(cava, 12))
    for side in (-1, 1):
        artery = np.array([(2, 30, -92), (side * 22, 34, -120), (side * 40, 40, -160)])
        canvas.paint(tube(artery, 7.0), 165, "aorta", tube_box(artery, 8))
        vein = artery + [-6 * side, 9, -4]
        canvas.paint(tube(vein, 7.0), 140, "inferior vena cava", tube_box(vein, 8))
    for side, organ, height in ((-1, "right kidney", -20.0), (1, "left kidney", -6.0)):
        centre = (side * 62.0, 46.0, height)
        box = ((centre[0] - 45, centre[0] + 45), (0, 92), (height - 70, height + 70))
        outer = ellipsoid(centre, (30, 25, 56), side * -0.5)
        hilum = ellipsoid((side * 40.0, 34.0, height), (22, 13, 22), side * -0.5)
        canvas.paint(within(grown(outer, 12), cavity), -102, box=box)
        canvas.paint(without(outer, hilum), grained(196, 8, grain), organ, box)
        medulla = without(grown(outer, -7), grown(hilum, 1))
        canvas.paint(medulla, lambda x, y, z: np.where(grain(x, y, z) > -0.2, 140, 192), organ, box)
        renal = np.array([(side * 44, 36, height), (side * 24, 34, height + 6), (0, 33, height + 10)])
        canvas.paint(tube(renal, np.array([5.5, 4.5, 4.0])), 155, box=tube_box(renal, 6))
        adrenal = np.array([(side * 34, 34, height + 62), (side * 40, 42, height + 52), (side * 48, 48, height + 50)])
        canvas.paint(tube(adrenal, 3.0), 85, box=tube_box(adrenal, 3))


def _upper_abdomen(canvas: Canvas, rng: np.random.Generator) -> None:
    grain = texture(rng, 8, 12)
    pancreas = np.array([(-34, -4, -6), (-26, -8, 12), (0, 2, 14), (22, 8, 20), (44, 16, 26), (72, 26, 40)])
    widths = np.array([15.0, 13.0, 9.5, 9.0, 10.0, 8.0])
    canvas.paint(
        tube(pancreas, widths), lambda x, y, z: 96 + 26 * grain(x, y, z), "pancreas", tube_box(pancreas, widths)
    )
    splenic = pancreas[1:] + [0, 9, 4]
    canvas.paint(tube(splenic, 4.2), 168, box=tube_box(splenic, 5))

    hollow = ellipsoid((62, 10, 56), (30, 36, 60))
    spleen = within(
        without(ellipsoid((94, 34, 58), (32, 50, 50), 0.25), hollow), below_diaphragm(2.5), grown(cavity, -1.5)
    )
    canvas.paint(spleen, grained(128, 7, grain), "spleen", ((50, 150), (-30, 100), (0, 115)))

    stomach = lambda x, y, z: np.minimum(  # noqa: E731
        ellipsoid((56, -22, 56), (38, 42, 44), 0.4)(x, y, z),
        tube(np.array([(50, -40, 36), (20, -52, 8), (-22, -40, 10)]), np.array([30.0, 20.0, 13.0]))(x, y, z),
    )
    stomach = within(stomach, below_diaphragm(3), grown(cavity, -2))
    box = ((-40, 110), (-90, 40), (-20, 115))
    canvas.paint(stomach, 78, "stomach", box)
    canvas.paint(
        grown(stomach, -4.5), lambda x, y, z: np.where(y < -30, -960, 24 + 14 * grain(x, y, z)), "stomach", box
    )

    right = ellipsoid((-70, -2, 36), (80, 78, 82), 0.15)
    left = ellipsoid((-12, -38, 60), (72, 36, 36), 0.1)
    visceral = ellipsoid((-8, 34, -24), (84, 62, 62), 0.2)
    liver = without(lambda x, y, z: np.minimum(right(x, y, z), left(x, y, z)), visceral)
    fissure: Shape = lambda x, y, z: np.maximum(np.abs(x + 26 + 0.2 * y) - 1.8, np.maximum(y + 44, 0) + z - 52)  # noqa: E731
    liver = within(without(liver, fissure), below_diaphragm(2.5), grown(cavity, -1.5))
    portal = np.array([(-26, 4, 16), (-32, 4, 28), (-38, 6, 40)])
    canvas.paint(tube(portal, 6.5), 172, box=tube_box(portal, 7))
    box = ((-155, 70), (-90, 90), (-60, 115))
    canvas.paint(liver, grained(112, 6, grain), "liver", box)
    for root, tips, width in (
        ((-38, 6, 40), [(-66, 2, 52), (-70, -22, 30), (-30, -42, 56)], 6.0),
        ((-66, 2, 52), [(-96, 10, 66), (-100, 22, 30), (-90, -42, 40), (-72, -30, 66)], 4.6),
        ((-96, 10, 66), [(-120, 24, 60), (-116, -6, 50), (-106, 34, 56)], 3.4),
        ((-100, 22, 30), [(-126, 20, 16), (-112, 42, 20), (-104, 8, 4)], 3.4),
        ((-20, 14, 84), [(-60, -14, 80), (-98, 0, 78), (-70, 40, 62), (-26, -30, 72)], 5.2),
    ):
        for tip in tips:
            bend = (np.array(root) + tip) / 2 + rng.normal(size=3) * 3.5
            vein = np.array([root, bend, tip], dtype=float)
            radii = np.array([width, width * 0.85, width * 0.62])
            canvas.paint(within(tube(vein, radii), grown(liver, -1)), 172, "liver", tube_box(vein, radii))
    gallbladder = ellipsoid((-52, -46, 0), (15, 17, 26), 0.3)
    canvas.paint(within(gallbladder, cavity), 45, "gallbladder", ((-75, -28), (-72, -22), (-32, 32)))
    canvas.paint(within(grown(gallbladder, -2), cavity), 12, "gallbladder", ((-75, -28), (-72, -22), (-32, 32)))
