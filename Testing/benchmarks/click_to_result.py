"""What a registration costs besides computing: from Apply to the transform in the scene, with a warm worker; and how
long a worker takes to get warm.

A generated pair is registered through the module's logic on slicer-core, with the solver alone, as the panel does it: a
scheduler calls back as Qt's timers do, nothing else happens in between. Printed is where the time goes, for the
run with the median overhead; what the worker computes (its report says so, stage by stage) counts as computing,
everything else as overhead, waiting for timers included.

    python Testing/benchmarks/click_to_result.py [--shape Z Y X] [--runs 3] [--previews] [--folder TEMPORARY]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelOptRegistration"), str(REPOSITORY / "Testing" / "Python")]

import slicer  # noqa: E402
from slicer_scene import new_scene  # noqa: E402
from VoxelOptRegistrationLib.mrml import job as mrml_job  # noqa: E402
from VoxelOptRegistrationLib.mrml.logic import RegistrationLogic  # noqa: E402
from VoxelOptRegistrationLib.mrml.preparation import Preparation  # noqa: E402
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair  # noqa: E402
from VoxelOptRegistrationLib.worker.client import WorkerClient  # noqa: E402
from VoxelOptRegistrationLib.worker.folders import shared_memory  # noqa: E402
from VoxelOptRegistrationLib.worker.protocol import Hello, Log, ProgressMessage, Result  # noqa: E402

SHAPES = ((96, 80, 128), (192, 160, 256))
LIMIT_SECONDS = 0.5
COLD_LIMIT_SECONDS = 10.0
STEPS = {
    "asked": "nodes read, volumes in the job's folder, message sent",
    "received": "message on its way",
    "begun": "worker: volumes read",
    "computed": "worker: computing",
    "answered": "worker: results in the job's folder, message sent",
    "read": "results mapped",
    "noticed": "waiting for a timer",
    "prepared": "results as VTK objects, waiting for a timer",
    "transform": "transform in the scene",
    "finished": "other outputs in the scene",
}


class Loop:
    """Calls functions when they are due, as an event loop does."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def later(self, milliseconds: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.perf_counter() + milliseconds / 1000, next(self._order), action))

    def turn(self) -> None:
        when, _order, action = heapq.heappop(self._due)
        time.sleep(max(0.0, when - time.perf_counter()))
        action()


@dataclass
class Run:
    """When what happened, in seconds of `time.perf_counter`, and the seconds of the worker's stages."""

    begun: float = field(default_factory=time.perf_counter)
    marks: dict[str, float] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        self.marks.setdefault(name, time.perf_counter())

    @property
    def overhead(self) -> float:
        """Seconds from Apply to the transform in the scene that nothing was computed in."""
        return self.marks["transform"] - self.begun - self.stages["total"]


class Watched(WorkerClient):
    """A client that notes when messages arrive."""

    run = Run()

    def _receive(self, child: Any, message: Any) -> None:
        if isinstance(message, ProgressMessage):
            self.run.mark({"start": "received", "check": "begun"}.get(message.stage, "computed at last"))
            self.run.marks["computed"] = time.perf_counter()
        if isinstance(message, Hello):
            self.run.mark("hello")
        if isinstance(message, Log):
            self.run.mark("ready")
        if isinstance(message, Result):
            self.run.mark("answered")
            self.run.stages = message.report["timings_s"]
        super()._receive(child, message)
        if isinstance(message, Result):
            self.run.mark("read")


def register(logic: RegistrationLogic, loop: Loop, pair: Any, run: Run, previews: bool) -> None:
    """One registration, as the panel does it; its outputs leave the scene afterwards."""

    def added(caller: Any, event: Any) -> None:
        if nodes() > before:
            run.mark("transform")

    def nodes() -> int:
        return sum(
            node.GetTransformFromParent() is not None and node.GetTransformFromParent().IsA("vtkOrientedGridTransform")
            for node in slicer.util.getNodesByClass("vtkMRMLTransformNode")
            if not node.GetName().startswith("Registration under way")
        )

    before = nodes()
    kept = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLStorableNode")}
    job = logic.registerVolumes(
        pair.fixed,
        pair.moving,
        options={"refine": "none"},
        waitForCompletion=False,
        livePreview=previews,
    )
    run.mark("asked")
    while not job.finished:
        loop.turn()
        added(None, None)
    run.mark("finished")
    if job.error is not None:
        raise job.error
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        if node.GetID() not in kept:
            slicer.mrmlScene.RemoveNode(node)


def noting(run: Run) -> type[Preparation]:
    """`Preparation` that notes when it begins and ends."""

    class Noting(Preparation):
        def __init__(self, *arguments: Any) -> None:
            run.mark("noticed")
            super().__init__(*arguments)

        def result(self) -> Any:
            run.mark("prepared")
            return super().result()

    return Noting


def cold_start() -> float:
    """Print how long a worker takes to be ready: the first time on this computer, and later; the latter in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for words in ("first start, loops not compiled yet", "later starts"):
            with Watched(environment=environment) as client:
                run = client.run = Run()
                client.warm()
                while "ready" not in run.marks:
                    client.poll(0.1)
                hello, ready = run.marks["hello"] - run.begun, run.marks["ready"] - run.begun
            print(f"{words}: hello after {hello:.2f} s, ready after {ready:.1f} s")
    return ready


def measure(shape: tuple[int, int, int], runs: int, previews: bool, folder: str | None) -> float:
    """Print where the time goes; the median overhead in seconds."""
    new_scene()
    pair = add_sample_pair(shape)
    loop, done = Loop(), []
    client = Watched(folder=folder, memory=None if folder else shared_memory())
    logic = RegistrationLogic(scheduler=loop.later, client=client)
    try:
        register(logic, loop, pair, Run(), previews)
        print(f"\n{' x '.join(map(str, shape))} voxels")
        for _ in range(runs):
            run = client.run = Run()
            mrml_job.Preparation = noting(run)  # type: ignore[misc]
            register(logic, loop, pair, run, previews)
            done.append(run)
    finally:
        mrml_job.Preparation = Preparation  # type: ignore[misc]
        logic.close()
    run = sorted(done, key=lambda run: run.overhead)[len(done) // 2]
    at = run.begun
    for name, words in STEPS.items():
        print(f"  {run.marks[name] - at:7.3f} s  {words}")
        at = run.marks[name]
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in run.stages.items() if seconds >= 0.01)
    print(f"  the worker's stages: {stages} s")
    spread = ", ".join(f"{run.overhead:.3f}" for run in done)
    print(f"  Apply to transform, less the worker's stages: {run.overhead:.3f} s (runs: {spread})")
    return run.overhead


def main() -> int:
    """Measure; 1 where the overhead or a later start is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--previews", action="store_true", help="with the live preview, as in the panel")
    parser.add_argument("--folder", help="where the job's folders are made, instead of in memory")
    options = parser.parse_args()
    ready = cold_start()
    shapes = [tuple(options.shape)] if options.shape else SHAPES
    overheads = [measure(shape, options.runs, options.previews, options.folder) for shape in shapes]
    return int(max(overheads) > LIMIT_SECONDS or ready > COLD_LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
