"""How much memory a registration will take, and the grids that fit into what there is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import SimpleITK as sitk

from .devices import Device
from .images.grid import Grid, plan_working_grid
from .memory_terms import COMPUTED, ON_DEVICE, Sizes, stage_bytes, stages_of
from .options import LARGEST_BUDGET, GridOptions, Settings
from .system_memory import free_memory, resident_memory

USABLE_SHARE = 0.8
"""Share of a device's free memory that a registration plans with where the user gives no budget."""
COMPOSED_STEPS = ("local-ncc", "features")
"""The refinements that go through finer grids."""
_UNLIMITED = 2**62


@dataclass(frozen=True)
class Budget:
    """Bytes that a registration may take besides what its process already has: of main memory and, where a GPU with
    memory of its own computes, of that, else None. resident: bytes that the process has, None where the system does not
    tell.
    """

    main: int
    device: int | None
    resident: int | None

    @classmethod
    def of(cls, device: Device, settings: Settings) -> Budget:
        """What `settings` allow, or the usual share of what is free now. The option is of the device that computes; on
        the CPU, and on an Apple GPU, whose memory is main memory, the whole process has to keep to it.
        """
        resident = resident_memory()
        allowed = round(settings.memory_gib * 2**30)
        if device.name in ("cpu", "mps"):
            own = allowed - (resident or 0) if allowed else int(device.free_bytes * USABLE_SHARE)
            return cls(max(own, 0), None, resident)
        own = min(allowed, device.free_bytes) if allowed else int(device.free_bytes * USABLE_SHARE)
        return cls(int(free_memory() * USABLE_SHARE), own, resident)

    @property
    def computing(self) -> int:
        """Bytes where the solver computes."""
        return self.main if self.device is None else self.device


@dataclass(frozen=True)
class Plan:
    """sizes: what the prediction rests on. work: the solver's grid. stages: of the refinement, its grids and the steps
    on each. predicted: bytes of main memory beyond what the process has at the start, per row of `memory_terms.COPIES`;
    predicted_device: of the GPU, where one computes.
    """

    budget: Budget
    sizes: Sizes
    work: Grid
    stages: tuple[tuple[Grid, int], ...]
    predicted: dict[str, int]
    predicted_device: dict[str, int]

    @property
    def peak_bytes(self) -> int:
        """The largest prediction where the solver computes."""
        return max((self.predicted if self.budget.device is None else self.predicted_device).values())

    @property
    def note(self) -> str | None:
        """A sentence for the user where the volumes alone need more than there is; None where all fits."""
        stage, needed = max(self.predicted.items(), key=lambda item: item[1])
        if needed <= self.budget.main:
            return None
        return (
            f"This run is expected to need {_gib(needed)} of memory ({stage.partition(' ')[0]}) and "
            f"{_gib(self.budget.main)} can be used: close other programs or crop the volumes if it fails."
        )

    def report(self) -> dict[str, object]:
        """The section `memory` of the report, MiB."""
        host = self.budget.device is None
        return {
            "budget_mib": self.budget.computing / 2**20,
            "predicted_mib": (self.peak_bytes + (self.budget.resident or 0 if host else 0)) / 2**20,
            "sizes": dataclasses.asdict(self.sizes),
            "fallbacks": [],
        }


def make_plan(fixed: sitk.Image, moving: sitk.Image, channels: int, settings: Settings, budget: Budget) -> Plan:
    """Grids of a registration of these volumes that fit into `budget`, and what it then needs.

    The working grid is the finest that every stage can take, the refinement's grids are no coarser than the solver's
    budget of voxels. Raises `ComputationError` where memory would coarsen the working grid too much.
    """
    voxels = fixed.GetNumberOfPixels(), moving.GetNumberOfPixels()
    empty = Sizes.of(settings, *voxels, 0, 0, channels)
    work = _working_grid(fixed, empty, settings, budget)
    stages: tuple[tuple[Grid, int], ...] = ()
    if settings.refine in COMPOSED_STEPS:
        sizes = dataclasses.replace(empty, work=work.voxels)
        stages = refinement_grids(fixed, sizes, settings, budget)
    finest = stages[-1][0].voxels if stages else 0
    sizes = dataclasses.replace(empty, work=work.voxels, refined=finest)
    main, device = predict(sizes, settings, budget.device is not None)
    return Plan(budget, sizes, work, stages, main, device)


def predict(sizes: Sizes, settings: Settings, on_gpu: bool = False) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of main memory and of the GPU (empty without one) at the peak of every stage."""
    main: dict[str, int] = {}
    device: dict[str, int] = {}
    for stage in stages_of(settings, sizes):
        parts = stage_bytes(stage, sizes)
        there = on_gpu and stage.partition(" ")[0] in COMPUTED
        own = sum(size for name, size in parts.items() if there and name in ON_DEVICE)
        main[stage] = round(sum(parts.values()) - own)
        if there:
            device[stage] = round(own)
    return main, device


def refinement_grids(
    fixed: sitk.Image, sizes: Sizes, settings: Settings, budget: Budget
) -> tuple[tuple[Grid, int], ...]:
    """The grids of the composed steps and the number of steps on each; coarser, down to the solver's budget, where the
    memory asks for it. sizes: with the working grid's, without refined ones.
    """
    affordable = _affordable(sizes, settings, budget, "refined").voxels
    stages = []
    for scale, iterations in zip(settings.descent.scales, settings.descent.iterations, strict=True):
        wanted = min(round(scale * settings.grid.max_voxels), LARGEST_BUDGET)
        voxels = min(wanted, max(affordable, settings.grid.max_voxels))
        options = dataclasses.replace(settings.grid, max_voxels=voxels)
        stages.append((plan_working_grid(fixed, options, _UNLIMITED, 1), iterations))
    return tuple(stages)


def _working_grid(fixed: sitk.Image, empty: Sizes, settings: Settings, budget: Budget) -> Grid:
    """Only the stages that compute on it count: no grid would help where the volumes alone need too much, and the
    plan's note tells.
    """
    tightest = _affordable(empty, settings, budget, "work")
    remedy = "Raise memory_gib" if settings.memory_gib else "Close other programs"
    if settings.memory_gib and budget.device is not None:
        remedy += ", close other programs"
    each, taken = tightest.bytes_per_voxel, tightest.taken
    return plan_working_grid(fixed, settings.grid, tightest.limit, each, taken_bytes=taken, remedy=remedy)


@dataclass(frozen=True)
class _Tightest:
    """voxels that the tightest stage can take: limit - taken bytes, at bytes_per_voxel."""

    voxels: int
    limit: int
    taken: int
    bytes_per_voxel: int


def _affordable(sizes: Sizes, settings: Settings, budget: Budget, what: str) -> _Tightest:
    """Which stage of the computation can take the fewest voxels of the grid `what` ("work" or "refined")."""
    on_gpu = budget.device is not None
    more = dataclasses.replace(sizes, **{what: getattr(sizes, what) + 1_000_000})
    bare, filled = (predict(each, settings, on_gpu) for each in (sizes, more))
    found = []
    for limit, before, after in ((budget.main, bare[0], filled[0]), (budget.device, bare[1], filled[1])):
        for stage, size in before.items():
            each = -(-(after[stage] - size) // 1_000_000)
            if limit is not None and each > 0 and stage.partition(" ")[0] in COMPUTED:
                found.append(_Tightest(max(limit - size, 0) // each, limit, size, each))
    unlimited = _Tightest(LARGEST_BUDGET, _UNLIMITED, 0, 1)
    return min(found, key=lambda stage: (stage.voxels, -stage.taken), default=unlimited)


def coarser(settings: Settings, work: Grid) -> Settings:
    """`settings` for another try with half the voxels of `work`."""
    options: GridOptions = dataclasses.replace(settings.grid, max_voxels=max(work.voxels // 2, 512))
    return dataclasses.replace(settings, grid=options)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
