"""A small honest stand-in for the Slicer application, for tests: ``with start(folder) as host: ...``.

Real: the MRML scene, transforms, slice rendering (slicer-core, offscreen), Qt with its events and painting (PySide6),
`slicer.util`. Stood in for: Slicer's and CTK's own widgets, `slicer.app`, and Slicer's Python layer, unless the
environment variable SLICER_PYTHON_DIR names a folder with the genuine one.
"""

from .host import HANGING_SECONDS, Host, start
from .lost_references import keep_constants_alive

__all__ = ["HANGING_SECONDS", "Host", "start"]

keep_constants_alive()
