"""The `voxelopt` command: parses, runs one subcommand, and turns every outcome into an exit code and one clear line.

Exit codes: 0 done; 2 the input or the options are at fault; 3 the computation failed; 130 cancelled.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

from . import __version__
from .commands import batch, benchmark, demo, devices, evaluate, presets, register
from .console import Console, Speech
from .errors import InputError
from .failures import as_registration_error
from .interruption import Interruption

COMMANDS = (register, evaluate, batch, benchmark, presets, devices, demo)
CLOSING = """exit codes: 0 done; 2 the input or the options are at fault; 3 the computation failed; 130 cancelled.
Research software, not a medical device: inspect every result before you use it."""


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print over several lines."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}.", f"See: {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets `run`, a function of the arguments, the console and the interruption."""
    style = argparse.RawDescriptionHelpFormatter
    common = _Parser(add_help=False, allow_abbrev=False)
    common.add_argument(
        "--debug", action="store_true", help="show details, libraries' warnings and where an error came from"
    )
    parser = _Parser(
        prog="voxelopt",
        description="Deformable registration of CT and MR volumes, with maps that show where to trust it.",
        epilog=CLOSING,
        formatter_class=style,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"voxelopt {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        text = (command.__doc__ or "").strip()
        name = command.__name__.rpartition(".")[2]
        subparser = subparsers.add_parser(
            name,
            parents=[common],
            help=text.splitlines()[0],
            description=text,
            epilog=CLOSING,
            formatter_class=style,
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `voxelopt` with `arguments` (those of the process by default) and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    console = Console(Speech.PROGRAM if "--json" in arguments else Speech.PERSON, details=debug)
    try:
        with Interruption() as interruption, _only_own_errors(enabled=not debug):
            options = build_parser().parse_args(arguments)
            if getattr(options, "quiet", False):
                console.speech = Speech.NOBODY
            options.run(options, console, interruption)
        return 0
    except (Exception, KeyboardInterrupt) as raised:
        if debug:
            traceback.print_exc()
        if isinstance(raised, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error = as_registration_error(raised)
    with contextlib.suppress(OSError):  # the terminal or reader of stderr may have gone
        console.fail(error)
    return error.exit_code


@contextlib.contextmanager
def _only_own_errors(enabled: bool) -> Iterator[None]:
    """Keep what libraries print on stderr (C++ readers warn at length) away from the user; crashes still show."""
    if not enabled:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    hidden = os.open(os.devnull, os.O_WRONLY)
    faulthandler.enable(kept)
    os.dup2(hidden, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        faulthandler.disable()
        os.close(hidden)
        os.close(kept)
