"""How options are validated."""

from __future__ import annotations

from ..errors import InputError


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise `InputError` naming the option and its value unless `condition` holds."""
    if not condition:
        raise InputError(f"Option {name} cannot be {value!r}.", remedy)
