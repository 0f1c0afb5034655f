"""Free memory of this process."""

from __future__ import annotations

from pathlib import Path

from phasegan.errors import RunError

_GROUPS = Path("/sys/fs/cgroup")
_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))


def free_memory() -> int | None:
    """Return the bytes that this process may still allocate; None where that is not known.

    The free memory of the machine, or of the control group (container, batch job) of the process,
    whichever is less. The system's file cache counts as free.
    """
    limits = [_of_machine(), *_of_groups()]
    values = [value for value in limits if value is not None]
    return min(values) if values else None


def check_memory(needed: int, free: int | None, what: str, where: str, advice: str) -> None:
    """Refuse to start where memory is too small.

    Parameters
    ----------
    needed, free : int
        Bytes; None where it is not known how many are free.
    what, where, advice : str
        For the message: `{what} need 3.0 GiB {where}, 2.0 GiB are free: {advice}`.

    Raises
    ------
    RunError
        If more is needed than is free.
    """
    if free is not None and needed > free:
        raise RunError(
            f"{what} need {format_bytes(needed)} {where}, {format_bytes(free)} are free: {advice}"
        )


def format_bytes(count: int) -> str:
    """Format a number of bytes.

    Parameters
    ----------
    count : int
        Bytes.

    Returns
    -------
    str
        Such as `512 bytes`, `3.2 MiB` or `1.0 TiB`.
    """
    size, unit = next(((s, u) for s, u in _UNITS if count >= s), _UNITS[-1])
    return f"{count} {unit}" if size == 1 else f"{count / size:.1f} {unit}"


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def _of_groups() -> list[int | None]:
    """Return the free bytes of the process's control group and of those above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    inside = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = _GROUPS / inside.lstrip("/")
    folders = [f for f in (folder, *folder.parents) if f.is_relative_to(_GROUPS)]
    return [_of_group(one) for one in folders]


def _of_group(folder: Path) -> int | None:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        statistics = dict(line.split(maxsplit=1) for line in lines)
        return max(0, int(limit) - used + int(statistics.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None
