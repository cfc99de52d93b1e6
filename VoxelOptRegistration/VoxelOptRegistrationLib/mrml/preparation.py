"""Work on a registration's outcome on a thread of its own, so that the application goes on answering."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..worker.data import RegistrationOutcome


class Preparation:
    """`prepare(outcome)` at work."""

    def __init__(self, prepare: Callable[[RegistrationOutcome], Any], outcome: RegistrationOutcome) -> None:
        self._prepare: Callable[[RegistrationOutcome], Any] | None = prepare
        self._outcome: RegistrationOutcome | None = outcome
        self._made: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="registration outputs", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What `prepare` returned; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made

    def _run(self) -> None:
        prepare, outcome, self._prepare, self._outcome = self._prepare, self._outcome, None, None
        assert prepare is not None and outcome is not None
        try:
            self._made = prepare(outcome)
        except Exception as error:
            self._error = error
