"""numba's cache on disk, whose damage or lack of space costs time and never a registration."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any


class ForgivingCache:
    """What a dispatcher of numba asks of its cache, asked of `cache`: what cannot be loaded is compiled, what cannot be
    kept is not.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What was compiled for this signature, None where nothing can be had; a damaged index is emptied.

        numba numbers the files of a loop's signatures: of two processes that begin them at the same time, one may find
        under its number what the other wrote.
        """
        try:
            found = self._cache.load_overload(signature, target)
            return found if found is None or tuple(found.signature.args) == tuple(signature) else None
        except Exception as error:  # numba unpickles what it finds, so that damage shows itself in any way.
            _tell("read", error)
            with suppress(Exception):
                self._cache.flush()
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, where that can be done."""
        try:
            self._cache.save_overload(signature, compiled)
        except Exception as error:
            _tell("kept", error)


def _tell(done: str, error: Exception) -> None:
    logging.getLogger(__name__).info("A compiled loop could not be %s: %s: %s", done, type(error).__name__, error)
