"""Errors whose message is meant for the user, and the exit status of each.

0 done, 1 failed while running, 2 bad input or a damaged file, 128 + signal
number when interrupted after saving.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with control characters, line breaks and lone surrogates escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


class PhaseganError(Exception):
    """Base of every error that phasegan raises on purpose; the message is one line."""

    exit_status = 1


class RunError(PhaseganError):
    """The work itself failed: a loss that is not finite, no memory, a full disk."""

    exit_status = 1


class InputError(PhaseganError, ValueError):
    """Bad input or a damaged file: says what is wrong, where, and what to do."""

    exit_status = 2


class Interrupted(PhaseganError):
    """Work was interrupted by a signal after its state had been saved.

    Parameters
    ----------
    message : str
        What was saved and how to go on.
    signal_number : int
        2 (SIGINT) or 15 (SIGTERM).
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number


class Elsewhere(PhaseganError):
    """Another process of the same training failed, and says why; this one ends silently.

    Parameters
    ----------
    status : int
        The exit status of the other one.
    """

    def __init__(self, status: int) -> None:
        super().__init__("another process failed")
        self.exit_status = status
