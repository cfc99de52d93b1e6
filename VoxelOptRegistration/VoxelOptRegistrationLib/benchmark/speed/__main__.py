"""One measurement: ``python -m VoxelOptRegistrationLib.benchmark.speed TASK WORDS FILE``.

TASK: a function of `solver.TASKS`; WORDS: the fields of `solver.Task` as JSON; what it measures goes to FILE as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ...devices import load_torch


def main(name: str, words: str, path: str) -> None:
    """Run the task called `name`."""
    load_torch()  # first, for the waiting policy of its threads
    from .solver import TASKS, Task

    found = TASKS[name](Task.of(json.loads(words)))
    Path(path).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
