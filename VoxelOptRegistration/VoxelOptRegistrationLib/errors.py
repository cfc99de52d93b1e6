"""Errors that reach the user: what went wrong, which value, and what to do about it."""

from __future__ import annotations


class RegistrationError(Exception):
    """Base of all errors shown to the user.

    `text` is one line saying what is wrong and with which value; `remedy` is one line saying what to do.
    `kind` travels over the worker's protocol, `exit_code` is the command line's.
    """

    kind = "computation"
    exit_code = 3

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(f"{text} {remedy}".strip())
        self.text = text
        self.remedy = remedy


class InputError(RegistrationError):
    """The input or the options are at fault."""

    kind = "input"
    exit_code = 2


class ComputationError(RegistrationError):
    """The input was sound, the computation failed."""


class OutOfMemory(ComputationError):
    """There was not as much memory as the computation asked for; with less it may go through."""


class Cancelled(RegistrationError):
    """The user stopped the run."""

    kind = "cancelled"
    exit_code = 130

    def __init__(self, text: str = "The registration was cancelled.", remedy: str = "") -> None:
        super().__init__(text, remedy)
