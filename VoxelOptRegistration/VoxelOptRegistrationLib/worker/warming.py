"""Registrations of next to nothing, so that the first real one finds everything loaded, compiled and awake."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..devices import choose_device
from ..errors import Cancelled
from .computation import load_torch_once

WarmUp = Callable[[Callable[[], bool], str], None]
"""Called with `wanted` and `device` of `warm_up`; raises `ComputationError` where nothing could be computed here."""


def warm_up(wanted: Callable[[], bool], device: str = "auto") -> None:
    """Load torch, then register small generated pairs on the device and on the processor: that imports and compiles
    what others need, a GPU's kernels too.

    wanted: whether somebody is waiting for this process; asked between steps, and if so the rest is left out. device:
    as settings name it; "auto" is the one that a job takes by itself. Raises `ComputationError` where torch cannot be
    loaded; what goes wrong afterwards only the log is told. What it took of a GPU's memory whoever calls it gives back,
    see `resources.give_back`.
    """
    load_torch_once()
    warm: list[str] = []
    for choice in (device, "cpu"):
        if wanted():
            return
        try:
            from ..getting_ready import register_little

            name = choose_device(choice).name
            if name not in warm:
                warm.append(name)
                register_little(name, wanted)
        except Cancelled:
            return
        except Exception:
            # A job that meets the same trouble reports it; nobody has asked for anything yet.
            logging.getLogger(__name__).info("Warming up failed (device %s)", choice, exc_info=True)
