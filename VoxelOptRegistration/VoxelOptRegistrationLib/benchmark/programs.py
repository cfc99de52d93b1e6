"""What runs on every pair: this library's methods and refinements, its ablations, and other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import InputError
from ..presets import METHODS, REFINEMENTS, suggestion
from .cases import BEFORE, Case, Program
from .peers import NAMES as PEERS

NO_METHOD = "none"
NOTHING = Program("before", peer=BEFORE)


def own_programs(methods: Sequence[str] | None = None, refinements: Sequence[str] | None = None) -> list[Program]:
    """Every method with every refinement, or only those given. Raises `InputError` for unknown names."""
    methods = _known("--methods", METHODS if methods is None else methods, (*METHODS, NO_METHOD))
    refinements = _known("--refinements", REFINEMENTS if refinements is None else refinements, REFINEMENTS)
    return [
        Program(method if refine == "none" else f"{method} + {refine}", ("--method", method, "--refine", refine))
        for method in methods
        if method != NO_METHOD
        for refine in refinements
    ]


def peer_programs(names: Sequence[str]) -> list[Program]:
    """Other programs; "all" is every one. Raises `InputError` for unknown names.

    One that is called like a method of this library stands in the table as its authors'.
    """
    chosen = PEERS if list(names) == ["all"] else _known("--peers", names, PEERS)
    return [Program(f"{name} (its authors')" if name in METHODS else name, peer=name) for name in chosen]


def with_default(
    case: Case, programs: Sequence[Program], settings: Callable[[Sequence[str]], object]
) -> tuple[list[Program], str]:
    """The programs for one case, and the name of the one that does what the case's preset does by itself.

    Where none of `programs` does, one called "preset" stands first. settings: of a registration with these options.
    """
    wanted = settings(case.options)
    for program in programs:
        if program.peer is None and settings([*case.options, *program.options]) == wanted:
            return list(programs), program.name
    return [Program("preset"), *programs], "preset"


def _known(option: str, names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in known:
            raise InputError(f"Option {option} cannot be {name!r}.", suggestion(name, known))
    return names
