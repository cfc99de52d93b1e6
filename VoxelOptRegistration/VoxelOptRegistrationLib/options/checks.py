"""How options are validated."""

from __future__ import annotations

import math

from ..errors import InputError


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise `InputError` naming the option and its value unless `condition` holds."""
    if not condition:
        raise InputError(f"Option {name} cannot be {value!r}.", remedy)


def require_couplings(couplings: tuple[float, ...], name: str) -> None:
    """Raise `InputError` unless there are couplings and all are numbers from 0."""
    good = len(couplings) > 0 and all(math.isfinite(c) and c >= 0 for c in couplings)
    require(good, name, couplings, "Give at least one weight, none of them negative.")
