"""What a registration keeps in memory at the peak of each stage, as copies of what is known before it starts.

The numbers of copies are measured: `Testing/benchmarks/memory.py --fit` measures them anew and prints this table. The
process itself, its libraries and what was read before are apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from .options import Settings

FLOAT = 4
"""Bytes."""

COPIES: dict[str, dict[str, float]] = {
    "align": {"constant": 233.9, "fixed": 0.2, "moving": 0.2},
    "resample": {"constant": 153.4, "fixed": 1.3, "moving": 1.4, "work": 3.7},
    "features": {"constant": 173.4, "work": 4.4, "features": 2.0},
    "solve voxelopt": {"constant": 159.5, "work": 45.4, "features": 3.6, "scores": 1.2},
    "solve convexadam": {"constant": 139.2, "work": 25.0, "features": 2.1, "scores": 1.2},
    "solve samconvex": {"constant": 128.2, "work": 32.2, "features": 3.1, "scores": 0.9},
    "refine none": {"constant": 168.9, "work": 60.7, "features": 2.7},
    "refine local-ncc": {"constant": 184.7, "work": 47.5, "features": 1.9, "refined": 18.4},
    "refine features": {"constant": 119.5, "work": 35.8, "features": 2.0, "refined": 31.8, "refined features": 4.0},
    "refine adam": {"constant": 121.9, "work": 70.7, "features": 3.4},
    "field": {"constant": 154.0, "fixed": 5.1, "work": 6.2, "refined": 2.1},
    "inverse": {"constant": 208.7, "fixed": 7.1, "moving": 6.7},
    "warp": {"constant": 289.3, "fixed": 6.3, "moving": 3.0},
    "inspect": {"constant": 282.0, "fixed": 9.7, "moving": 4.6},
    "save together": {"constant": 229.6, "fixed": 17.8, "moving": 9.4},
    "save singly": {"constant": 303.2, "fixed": 12.3, "moving": 3.8},
}
"""By stage: copies of the quantities of `Sizes`; "constant" in MiB."""

ON_DEVICE = ("work", "features", "scores", "refined", "refined features")
"""Quantities that lie in a GPU's memory where one computes, in the stages of `COMPUTED`; all else is main memory."""
COMPUTED = ("features", "solve", "refine")
_MANY_VOXELS = 16_000_000


@dataclass(frozen=True)
class Sizes:
    """What decides how much memory a registration takes. fixed, moving, work, refined: voxels of the volumes, of the
    solver's grid and of the finest grid of the refinement, 0 without one. channels: of the features. scores: similarity
    volumes of the working grid that are held at once, not whole where the solver has coarser cells.
    """

    fixed: int
    moving: int
    work: int
    refined: int
    channels: int
    scores: float

    @classmethod
    def of(cls, settings: Settings, fixed: int, moving: int, work: int, refined: int, channels: int) -> Sizes:
        """With the similarity volumes of the method of `settings`."""
        return cls(fixed, moving, work, refined, channels, score_volumes(settings))

    @property
    def quantities(self) -> dict[str, float]:
        """Bytes of one copy of each, float32; of the constant, a MiB."""
        return {
            "constant": 2.0**20,
            "fixed": FLOAT * self.fixed,
            "moving": FLOAT * self.moving,
            "work": FLOAT * self.work,
            "features": FLOAT * self.work * self.channels,
            "scores": FLOAT * self.work * self.scores,
            "refined": FLOAT * self.refined,
            "refined features": FLOAT * self.refined * self.channels,
        }


def score_volumes(settings: Settings) -> float:
    """Similarity volumes of the whole working grid that the method of `settings` holds at its finest level."""
    if settings.method == "convexadam":
        return (2 * settings.convexadam.search_width + 1) ** 3 / settings.convexadam.spacing**3
    if settings.method == "samconvex":
        return (2 * settings.samconvex.search_radii[-1] + 1) ** 3 / settings.samconvex.spacing**3
    return (2 * settings.solver.search_radius + 1) ** 3


def saves_singly(voxels: int, memory_gib: float) -> bool:
    """Whether memory counts more than time when files are written: by the voxels of both volumes, and if somebody set
    a limit (0: nobody).
    """
    return voxels > _MANY_VOXELS or memory_gib > 0


def stages_of(settings: Settings, sizes: Sizes) -> tuple[str, ...]:
    """The rows of the table that a registration with `settings` goes through, in their order."""
    singly = saves_singly(sizes.fixed + sizes.moving, settings.memory_gib)
    own = {
        "solve": f"solve {settings.method}",
        "refine": f"refine {settings.refine}",
        "save": "save singly" if singly else "save together",
    }
    return tuple(name for name in COPIES if name in (own.get(name.partition(" ")[0], name),))


def stage_bytes(stage: str, sizes: Sizes) -> dict[str, float]:
    """Bytes of each quantity at the peak of a stage, a row of the table."""
    quantities = sizes.quantities
    return {name: copies * quantities[name] for name, copies in COPIES[stage].items()}
