"""List the presets: named starting points for kinds of volumes."""

from __future__ import annotations

import argparse

from ..console import Console
from ..interruption import Interruption
from ..presets import preset_names, read_preset, settings_to_dict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the form of the output can be chosen."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line, settings included")


def run(options: argparse.Namespace, console: Console, interruption: Interruption) -> None:
    """Print every preset."""
    for name in preset_names():
        preset = read_preset(name)
        settings = settings_to_dict(preset.settings)
        console.tell("preset", name=name, title=preset.title, description=preset.description, settings=settings)
        console.say(f"{name:12} {preset.title}. {preset.description}")
