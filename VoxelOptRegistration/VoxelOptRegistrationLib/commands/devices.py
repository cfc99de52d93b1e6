"""List the devices that can compute here; the first one is what --device auto takes."""

from __future__ import annotations

import argparse

from ..console import Console
from ..devices import list_devices
from ..interruption import Interruption


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the form of the output can be chosen."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Print every device."""
    for position, device in enumerate(list_devices()):
        automatic = position == 0
        console.tell(
            "device",
            name=device.name,
            title=device.title,
            free_bytes=device.free_bytes,
            total_bytes=device.total_bytes,
            automatic=automatic,
            reason=device.reason,
        )
        memory = f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
        note = f"auto takes it: {device.reason}" if automatic else device.reason
        console.say(f"{device.name:8} {device.title}, {memory} ({note.rstrip('.')})")
