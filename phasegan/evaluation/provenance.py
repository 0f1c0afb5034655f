"""Provenance of a measurement: machine, versions, commit."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

from phasegan._version import __version__
from phasegan.devices import describe_machine

GIT_SECONDS = 10


def provenance() -> dict[str, Any]:
    """Return the machine, the versions of what computes, and the commit.

    Returns
    -------
    dict
        What `phasegan.devices.describe_machine` returns, and `scipy`, `h5py`,
        `phasegan`, `commit`. The commit is that of the checkout that phasegan
        runs from, with `+changes` where files differ from it; None where it was
        installed otherwise.
    """
    import h5py
    import scipy

    versions = {"scipy": scipy.__version__, "h5py": h5py.__version__, "phasegan": __version__}
    return {**describe_machine(), **versions, "commit": _commit()}


@functools.cache
def _commit() -> str | None:
    folder = Path(__file__).parents[1]
    if not (folder.parent / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
