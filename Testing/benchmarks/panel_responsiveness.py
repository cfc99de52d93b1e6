"""How long the panel keeps Slicer from answering while a registration is on: the longest turns of the event loop.

A generated pair is registered from the real panel in the stand-in host, with the real registration process. Every turn
of the event loop is measured, from the press of Apply until what the end of the run has changed is drawn: progress,
previews, log, outputs, and the slice views, which draw themselves when Slicer's do. Printed are the longest turns, the
panel's work and the drawing in them apart and together, and how much of it this thread was computing: the rest is
waiting for a processor, for the other thread that VTK draws with, or for a file. What takes longest in drawing, the
reslicing of the volumes, is done in Slicer too; what OpenGL does in software here, Slicer does on the graphics card.

The limit holds for both: the work that a turn does on this thread (its processor time, which hardly depends on what
else the computer does), and the turn by the clock, as a user feels it; the latter says something only where nothing but
the registration computes. The registration process has been started ahead, as the module does it, unless --cold is
given.

    python Testing/benchmarks/panel_responsiveness.py [Z Y X] [--cold]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelOptRegistration"), str(REPOSITORY / "Testing" / "Python")]

from host import start  # noqa: E402
from host.slices import SliceView  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair  # noqa: E402

LIMIT_MILLISECONDS = 50.0
WARM_SECONDS = 12.0
"""Until a registration process that was started ahead is ready."""
SETTLING_SECONDS = 0.5
"""Until what the end of a run has changed is drawn."""


@dataclass(frozen=True)
class Turn:
    """One turn of the event loop: milliseconds in all and of drawing, milliseconds that this thread has computed, views
    drawn, and the status before and after.
    """

    whole: float
    drawing: float
    computing: float
    views: int
    words: str

    @property
    def panel(self) -> float:
        """Milliseconds that were not drawing."""
        return self.whole - self.drawing


class Meter:
    """Measures what is done in the event loop."""

    def __init__(self, views: Iterable[SliceView], words: Callable[[], str]) -> None:
        self._views, self._words = list(views), words
        self.turns: list[Turn] = []

    def measure(self, action: Callable[[], object]) -> None:
        """Do something as a turn of its own."""
        counts, words = [len(view.drawings) for view in self._views], self._words()
        begin, own = time.perf_counter(), time.thread_time()
        action()
        whole, computing = 1000 * (time.perf_counter() - begin), 1000 * (time.thread_time() - own)
        drawn = [
            [1000 * seconds for _begin, seconds, _own in view.drawings[count:]]
            for view, count in zip(self._views, counts, strict=True)
        ]
        words = " ".join(f"{words} -> {self._words()}".split())
        self.turns.append(Turn(whole, sum(map(sum, drawn)), computing, sum(map(bool, drawn)), words))

    def print_longest(self, title: str, key: Callable[[Turn], float], count: int) -> None:
        print(title)
        for turn in sorted(self.turns, key=key, reverse=True)[:count]:
            times = f"{turn.whole:6.1f} = {turn.panel:5.1f} + {turn.drawing:5.1f} ms, {turn.computing:5.1f} computing"
            print(f"  {times}, {turn.views} views: {turn.words}")


def main(size_zyx: tuple[int, int, int], ahead: bool) -> int:
    """Measure; 1 where a turn took longer than the limit. ahead: start the registration process before."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as host:
        widget = host.open()
        pair = add_sample_pair(size_zyx)
        host.select(widget.ui.fixedSelector, pair.fixed)
        host.select(widget.ui.movingSelector, pair.moving)
        host.settle()
        # The stand-in wraps a class of Qt when it is first used, which takes it 20 ms; inside Slicer they are there.
        assert sys.modules["qt"].QApplication
        if ahead:
            widget.logic.warm()
            host.settle(WARM_SECONDS)
        views = host.application.views.values()
        meter = Meter(views, lambda: widget.ui.statusLabel.text)
        begin = time.perf_counter()
        meter.measure(widget.ui.applyButton.click)
        pressed = meter.turns[0].whole
        after = 0.0
        while widget.run.running or time.perf_counter() < after + SETTLING_SECONDS:
            meter.measure(QApplication.processEvents)
            if widget.run.running:
                after = time.perf_counter()
            time.sleep(0.001)
        host.check()
        sizes = ", ".join(f"{columns} x {rows}" for columns, rows, _ in (view.node.GetDimensions() for view in views))
        print(f"{' x '.join(map(str, size_zyx))} voxels, {after - begin:.1f} s: {widget.ui.statusLabel.text}")
        print(f"slice views of {sizes} pixels; {sum(turn.views for turn in meter.turns)} drawings")
        print(f"pressing Apply: {pressed:.0f} ms")
        meter.print_longest("longest turns of the event loop (panel + drawing):", lambda turn: turn.whole, 8)
        meter.print_longest("longest work of the panel:", lambda turn: turn.panel, 4)
        for view in views:
            longest = ", ".join(f"{1000 * seconds:.0f}" for seconds in sorted(d[1] for d in view.drawings)[-5:])
            print(f"longest drawings of view {view.name}: {longest} ms")
        work = max(turn.computing for turn in meter.turns)
        longest = max(turn.whole for turn in meter.turns)
        beyond = sum(turn.whole > LIMIT_MILLISECONDS for turn in meter.turns)
        print(f"most work in a turn: {work:.1f} ms of this thread's processor time, limit {LIMIT_MILLISECONDS:.0f} ms")
        print(f"longest turn by the clock: {longest:.1f} ms, limit {LIMIT_MILLISECONDS:.0f} ms, {beyond} beyond it")
        return int(max(work, longest) > LIMIT_MILLISECONDS)


if __name__ == "__main__":
    size = tuple(int(text) for text in sys.argv[1:] if text != "--cold") or (96, 80, 128)
    sys.exit(main(size, "--cold" not in sys.argv))  # type: ignore[arg-type]
