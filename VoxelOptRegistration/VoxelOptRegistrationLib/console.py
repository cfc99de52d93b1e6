"""What the command line says: lines for a person, or one JSON object a line for a program."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Any

from .errors import RegistrationError
from .interruption import Interruption
from .progress import Progress, Watcher


class Speech(Enum):
    """Who reads stdout."""

    PERSON = "person"
    NOBODY = "nobody"
    PROGRAM = "program"


class Console:
    """Writes to stdout (progress and results) and stderr (errors, one line each)."""

    def __init__(self, speech: Speech = Speech.PERSON, details: bool = False) -> None:
        self.speech = speech
        self.details = details
        self._last = ""

    def say(self, text: str = "") -> None:
        """Lines for a person."""
        if self.speech is Speech.PERSON:
            print(text, flush=True)

    def tell(self, event: str, **content: Any) -> None:
        """One JSON object for a program."""
        if self.speech is Speech.PROGRAM:
            print(json.dumps({"event": event, **content}), flush=True)

    def progress(self, step: Progress) -> None:
        """A step of the computation; a person sees each line once."""
        self.tell("progress", stage=step.stage, fraction=round(step.fraction, 4), text=step.text)
        line = f"[{step.fraction:4.0%}] {step.text}"
        if line != self._last:
            self.say(line)
        self._last = line

    def log(self, text: str) -> None:
        """A remark of the computation; a person sees it with `details`."""
        self.tell("log", text=text)
        if self.details:
            self.say(f"       {text}")

    def fail(self, error: RegistrationError) -> None:
        """The one line on stderr with which a command ends that failed."""
        print(one_line(f"voxelopt: {error}"), file=sys.stderr, flush=True)
        self.tell("error", kind=error.kind, text=one_line(error.text), remedy=one_line(error.remedy))

    def watcher(self, interruption: Interruption) -> Watcher:
        """The callbacks of one registration: speak here, stop when `interruption` is requested."""
        return Watcher(progress=self.progress, cancelled=lambda: interruption.requested, log=self.log)


def one_line(text: str) -> str:
    """`text` without line breaks."""
    return " ".join(text.split())
