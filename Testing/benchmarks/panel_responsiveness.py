"""How long the panel keeps Slicer from answering while a registration is on: the longest turn of the event loop.

A generated pair is registered from the real panel in the stand-in host, with the real registration process. Printed are
the time that pressing Apply takes, the longest turn during the run (progress, previews, log, writing the outputs at the
end), and what drawing the three slice views takes in software here, which Slicer does on the graphics card.

    python Testing/benchmarks/panel_responsiveness.py [Z Y X]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelOptRegistration"), str(REPOSITORY / "Testing" / "Python")]

from host import start  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from VoxelOptRegistrationLib.mrml.sample import add_sample_pair  # noqa: E402

LIMIT_MILLISECONDS = 50.0


def main(size_zyx: tuple[int, int, int]) -> int:
    """Measure; 1 where a turn took longer than the limit."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as host:
        widget = host.open()
        pair = add_sample_pair(size_zyx)
        host.select(widget.ui.fixedSelector, pair.fixed)
        host.select(widget.ui.movingSelector, pair.moving)
        host.turn(20)
        begin = time.perf_counter()
        widget.ui.applyButton.click()
        pressed = 1000 * (time.perf_counter() - begin)
        turns: list[tuple[float, str]] = []
        while widget.run.running:
            before = widget.ui.statusLabel.text
            turn = time.perf_counter()
            QApplication.processEvents()
            turns.append((1000 * (time.perf_counter() - turn), f"{before} -> {widget.ui.statusLabel.text}"))
            time.sleep(0.001)
        whole = time.perf_counter() - begin
        host.check()
        turn = time.perf_counter()
        host.draw()
        drawn = 1000 * (time.perf_counter() - turn)
        print(f"{' x '.join(map(str, size_zyx))} voxels, {whole:.1f} s: {widget.ui.statusLabel.text.splitlines()[0]}")
        print(f"pressing Apply: {pressed:.0f} ms; drawing three slice views in software: {drawn:.0f} ms")
        print("longest turns of the event loop during the run:")
        for milliseconds, words in sorted(turns, reverse=True)[:6]:
            print(f"  {milliseconds:6.1f} ms  {' '.join(words.split())}")
        return int(max(turns)[0] > LIMIT_MILLISECONDS)


if __name__ == "__main__":
    size = tuple(int(text) for text in sys.argv[1:4]) or (96, 80, 128)
    sys.exit(main(size))  # type: ignore[arg-type]
