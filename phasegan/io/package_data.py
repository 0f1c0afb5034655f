"""Data files that come with phasegan."""

from __future__ import annotations

from pathlib import Path


def shipped_folder(installed: str, checkout: str) -> Path:
    """Return a folder of data files that is part of phasegan.

    Parameters
    ----------
    installed : str
        Its place inside an installed package, as in `setup.cfg`'s `package_dir`.
    checkout : str
        Its place in a checkout of the project, where editable installs leave it.

    Returns
    -------
    pathlib.Path
        The one that exists.
    """
    package = Path(__file__).parents[1]
    inside = package / installed
    return inside if inside.is_dir() else package.parent / checkout
