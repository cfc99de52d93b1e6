"""Run a command in a process of its own and measure it from outside: seconds and peak memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..console import one_line
from ..errors import ComputationError
from ..interruption import Interruption

LIBRARY = Path(__file__).resolve().parents[2]
"""What has to stand on the import path of a child."""
_POLL_S = 0.05


@dataclass(frozen=True)
class Conditions:
    """The same for every run. options: of `register`, after those of case and program. keep: whether results stay."""

    threads: int
    limit_s: float
    peers_python: str
    options: tuple[str, ...] = ()
    keep: bool = False


@dataclass(frozen=True)
class Finished:
    """exit_code: None where it was ended at its time limit. seconds: from start to end, imports and files included.

    peak_memory_mib: largest resident memory, sampled 20 times a second; None where the system does not tell.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    peak_memory_mib: float | None


def run_process(
    command: Sequence[str], conditions: Conditions, interruption: Interruption, more: Mapping[str, str] | None = None
) -> Finished:
    """Run `command` under `conditions` (threads: of OpenMP and ITK), `more` added to its environment; never leaves it
    running.

    Raises `ComputationError` where it cannot be started, `KeyboardInterrupt` when stopped.
    """
    environment = dict(os.environ)
    earlier = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(LIBRARY), earlier] if earlier else [str(LIBRARY)])
    environment["OMP_NUM_THREADS"] = environment["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(conditions.threads)
    environment |= more or {}
    peak: float | None = None
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process: subprocess.Popen[bytes] | None = None
        try:
            with interruption.shielded():  # or a child that has just been started would be forgotten
                process = _started(command, environment, output, errors)
            ended = False
            while not ended and time.perf_counter() - start < conditions.limit_s:
                peak = max(filter(None, (peak, _peak_memory_mib(process.pid))), default=None)
                try:
                    process.wait(_POLL_S)
                    ended = True
                except subprocess.TimeoutExpired:
                    if interruption.requested:
                        raise KeyboardInterrupt from None
            seconds = time.perf_counter() - start
        finally:
            with interruption.shielded():  # or one that is ended at its limit would go on
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()
        texts = []
        for stream in (output, errors):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Finished(process.returncode if ended else None, texts[0], texts[1], seconds, peak)


def _started(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment)
    except OSError as error:
        raise ComputationError(f"{command[0]} cannot be started: {error.strerror}.", "Check the path.") from error


def failure(finished: Finished, conditions: Conditions) -> str:
    """Why a process failed, in one line."""
    if finished.exit_code is None:
        return f"It took longer than {conditions.limit_s:.0f} s and was ended."
    lines = [line for line in finished.stderr.splitlines() if line.strip()]
    said = one_line(lines[-1]) if lines else "It said nothing."
    return f"Exit code {finished.exit_code}: {said}"


def _peak_memory_mib(process: int) -> float | None:
    """The largest resident memory of a living process so far, where /proc tells."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**10
    return None
