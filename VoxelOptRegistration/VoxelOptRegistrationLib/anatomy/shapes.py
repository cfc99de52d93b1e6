"""Shapes as signed distances in mm, negative inside; how they combine; and the canvas they are painted on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .atlas import LABELS

Shape = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


class Canvas:
    """Points being painted, back to front. `edge` is the width over which a boundary blends, mm (partial volume)."""

    def __init__(self, points: np.ndarray, edge: float) -> None:
        self.x, self.y, self.z = (np.ascontiguousarray(points[..., i], dtype=np.float32).ravel() for i in range(3))
        self.edge = np.float32(max(edge, 1e-3))
        self.hu = np.full(self.x.shape, -1000, dtype=np.float32)
        self.labels = np.zeros(self.x.shape, dtype=np.uint8)

    def paint(self, shape: Shape, value: float | Shape, organ: str = "", box: Box | None = None) -> None:
        """Fill the inside of `shape` with `value` (HU, or a function of position); `box` bounds it, mm."""
        where: np.ndarray | slice = slice(None)
        if box is not None:
            inside = np.ones(self.x.shape, dtype=bool)
            for axis, (low, high) in zip((self.x, self.y, self.z), box, strict=True):
                inside &= (axis > low - self.edge) & (axis < high + self.edge)
            where = np.flatnonzero(inside)
        x, y, z = self.x[where], self.y[where], self.z[where]
        distance = shape(x, y, z)
        share = np.clip(0.5 - distance / self.edge, 0, 1)
        filling = value(x, y, z) if callable(value) else np.float32(value)
        self.hu[where] += share * (filling - self.hu[where])
        solid = distance < 0
        self.labels[where] = np.where(solid, np.uint8(LABELS.get(organ, 0)), self.labels[where])


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float], turn: float = 0.0) -> Shape:
    """An ellipsoid turned by `turn` radians about the z axis."""
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))

    def shape(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
        px, py, pz = (
            (cosine * dx + sine * dy) / np.float32(radii[0]),
            (cosine * dy - sine * dx) / np.float32(radii[1]),
            dz / np.float32(radii[2]),
        )
        size = np.sqrt(px * px + py * py + pz * pz) + np.float32(1e-6)
        slope = np.sqrt((px / radii[0]) ** 2 + (py / radii[1]) ** 2 + (pz / radii[2]) ** 2) + np.float32(
            1e-6 / min(radii)
        )
        return (size * (size - 1) / slope).astype(np.float32)

    return shape


def tube(nodes: np.ndarray, radii: np.ndarray | float) -> Shape:
    """A chain of rounded cones through `nodes` (N, 3), with one radius, or one for each node, mm."""
    nodes = np.asarray(nodes, dtype=np.float32)
    widths = np.broadcast_to(np.asarray(radii, dtype=np.float32), (len(nodes),))

    def shape(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        nearest = np.full(x.shape, np.inf, dtype=np.float32)
        for start, end, r0, r1 in zip(nodes[:-1], nodes[1:], widths[:-1], widths[1:], strict=True):
            along = end - start
            dx, dy, dz = x - start[0], y - start[1], z - start[2]
            t = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / float(along @ along), 0, 1)
            dx, dy, dz = dx - t * along[0], dy - t * along[1], dz - t * along[2]
            np.minimum(nearest, np.sqrt(dx * dx + dy * dy + dz * dz) - (r0 + t * (r1 - r0)), out=nearest)
        return nearest

    return shape


def tube_box(nodes: np.ndarray, radii: np.ndarray | float) -> Box:
    """The box around a tube, mm."""
    low, high = np.min(nodes, axis=0) - np.max(radii), np.max(nodes, axis=0) + np.max(radii)
    return ((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))


def texture(rng: np.random.Generator, wavelength: float, waves: int) -> Shape:
    """Smooth random grain of unit standard deviation: `waves` plane waves of about `wavelength` mm."""
    direction = rng.normal(size=(waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    k = (direction * (2 * np.pi / (wavelength * rng.uniform(0.6, 1.6, size=(waves, 1))))).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, size=waves).astype(np.float32)

    def grain(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        total = np.zeros(x.shape, dtype=np.float32)
        for (kx, ky, kz), p in zip(k, phase, strict=True):
            total += np.sin(kx * x + ky * y + kz * z + p)
        return total * np.float32(np.sqrt(2 / waves))

    return grain


def within(shape: Shape, *limits: Shape) -> Shape:
    """The part of `shape` inside all `limits`."""
    return lambda x, y, z: np.maximum.reduce([shape(x, y, z), *(limit(x, y, z) for limit in limits)])


def without(shape: Shape, hole: Shape) -> Shape:
    return lambda x, y, z: np.maximum(shape(x, y, z), -hole(x, y, z))


def grown(shape: Shape, by: float) -> Shape:
    return lambda x, y, z: shape(x, y, z) - np.float32(by)


def grained(level: float, amount: float, grain: Shape) -> Shape:
    return lambda x, y, z: np.float32(level) + np.float32(amount) * grain(x, y, z)
