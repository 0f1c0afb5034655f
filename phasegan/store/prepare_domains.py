"""From two domains of pictures to one file of them, which is read many times as fast."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import PIL

from phasegan._version import __version__
from phasegan.errors import InputError, RunError
from phasegan.files import atomic_file, locked, remove_leftovers
from phasegan.progress import Progress
from phasegan.settings import differences
from phasegan.store.domains import Domains, Part, open_domains
from phasegan.store.picture_file import DomainsFile
from phasegan.store.picture_schema import GROUPS, Facts, to_attributes
from phasegan.store.picture_writer import DomainsWriter
from phasegan.store.pictures import quiet_decoders
from phasegan.store.planes import FITS, Kind
from phasegan.store.reader import check_replaceable
from phasegan.store.survey import survey

DEFAULT_LOAD = 286
_ALPHA = ("drop", "keep")


@dataclass(frozen=True)
class DomainsReport:
    """What `prepare_domains` did, or with `dry_run` would do."""

    path: Path
    counts: dict[str, int]
    """Pictures by group; with `dry_run` the candidates, before any is left out."""
    kinds: tuple[Kind, Kind] | None
    """Of A and of B; None with `dry_run`."""
    load: int
    fit: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each test picture that was left out."""
    shared: int = 0
    """Test pictures whose file also stands among the training pictures."""
    seconds: float = 0.0
    written: bool = True
    """False if the file was already there, or with `dry_run`."""


def prepare_domains(
    folder: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    domain_a: str | os.PathLike[str] | None = None,
    domain_b: str | os.PathLike[str] | None = None,
    load: int | None = None,
    fit: str | None = None,
    alpha: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> DomainsReport:
    """Write two domains of pictures into one HDF5 file for training.

    Training pictures are decoded and resized once and for all, exactly as training
    from the folders would do it each time; test pictures keep their own size.

    Parameters
    ----------
    folder : path, optional
        With `trainA` and `trainB`, perhaps `testA` and `testB`.
    output : path, optional
        The HDF5 file; `<name of the data>.h5` in the working folder by default.
    domain_a, domain_b : path, optional
        The domains' own folders instead, see `phasegan.store.domains.open_domains`.
    load : int, optional
        What training pictures are brought to, 8 to 16384. Default 286.
    fit : {"stretch", "short-side", "none"}, optional
        Whether both sides or the short one become `load`, or pictures keep their
        size. Default stretch.
    alpha : {"drop", "keep"}, optional
        What becomes of alpha: nothing, or the last channel. Default drop.
    workers : int, optional
        Threads that decode; one a core by default.
    overwrite : bool
        Replace a file that holds something else.
    dry_run : bool
        Count the pictures and say what would be done, write nothing.
    progress : Progress, optional
        Where to report; silent by default.

    Raises
    ------
    InputError
        If the folders, an option or an existing output does not fit.
    RunError
        If the disk is too small.
    """
    progress = progress or Progress()
    load, fit, alpha = load or DEFAULT_LOAD, fit or "stretch", alpha or "drop"
    _check(load, fit, alpha, workers)
    domains = open_domains(folder, domain_a, domain_b)
    if domains.prepared is not None:
        raise InputError(f"{folder}: is a prepared file already; train on it as it is")
    path = Path(output) if output is not None else Path(f"{domains.name}.h5")
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the name of the HDF5 file to write")
    parts = _parts(domains)
    counts = {name: len(part) for name, part in parts.items()}
    if dry_run:
        return DomainsReport(path, counts, None, load, fit, written=False)
    start = time.monotonic()
    with locked(path.with_name(f".{path.name}.lock"), str(path)):
        remove_leftovers(path.parent, path.name)
        if path.exists():
            if not overwrite:
                return _existing(path, domains.name, parts, load, fit, alpha)
            check_replaceable(path)
        surveyed = [
            survey(parts[name], alpha=alpha == "keep", progress=progress) for name in GROUPS[:2]
        ]
        listings = {name: part.digest() for name, part in parts.items()}
        parts |= {name: part for name, (_, part) in zip(GROUPS, surveyed, strict=False)}
        kinds = (surveyed[0][0], surveyed[1][0])
        if fit != "none":
            _check_space(path, parts, kinds, load)
        threads = workers or os.cpu_count() or 1
        with (
            quiet_decoders(),
            atomic_file(path) as temporary,
            h5py.File(temporary, "x") as file,
            progress.task("preparing", sum(map(len, parts.values()))) as task,
        ):
            writer = DomainsWriter(file, threads, task, progress)
            for name, part in parts.items():
                kind = kinds[0 if name.endswith("A") else 1]
                writer.write(name, part, kind, load, "none" if name.startswith("test") else fit)
            versions = {"phasegan": __version__, "pillow": PIL.__version__}
            facts = Facts(
                domains.name, kinds, load, fit, alpha, listings, writer.checksums, True, versions
            )
            file.attrs.update(to_attributes(facts))
    trained = writer.hashes["trainA"] | writer.hashes["trainB"]
    tested = writer.hashes.get("testA", set()) | writer.hashes.get("testB", set())
    return DomainsReport(
        path=path,
        counts=writer.counts,
        kinds=kinds,
        load=load,
        fit=fit,
        left_out=writer.left_out,
        shared=len(trained & tested),
        seconds=time.monotonic() - start,
    )


def _check(load: int, fit: str, alpha: str, workers: int | None) -> None:
    if not 8 <= load <= 16384:
        raise InputError(f"load = {load}: must be 8 to 16384")
    for name, value, known in (("fit", fit, FITS), ("alpha", alpha, _ALPHA)):
        if value not in known:
            raise InputError(f"{name} {value!r}: choose one of {', '.join(known)} for pictures")
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: must be at least 1")


def _parts(domains: Domains) -> dict[str, Part]:
    found = dict(zip(GROUPS, (*domains.train, *domains.test), strict=True))
    return {name: part for name, part in found.items() if part is not None}


def _check_space(path: Path, parts: dict[str, Part], kinds: tuple[Kind, Kind], load: int) -> None:
    needed = sum(
        len(parts[name]) * kind.channels * load**2 * np.dtype(kind.dtype).itemsize
        for name, kind in zip(GROUPS, kinds, strict=False)
    )
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"{path}: needs at least {needed / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB "
            "free; free some space, or choose another -o or a smaller --load"
        )


def _existing(
    path: Path, name: str, parts: dict[str, Part], load: int, fit: str, alpha: str
) -> DomainsReport:
    try:
        file = DomainsFile(path)
    except InputError as error:
        raise InputError(f"{error}; it is in the way, choose another -o") from None
    file.close()
    facts = file.facts
    changed = differences(
        {"name": facts.name, "load": facts.load, "fit": facts.fit, "alpha": facts.alpha},
        {"name": name, "load": load, "fit": fit, "alpha": alpha},
    )
    if changed:
        raise InputError(
            f"{path} is there and was prepared otherwise ({'; '.join(changed)}); "
            "choose another -o, or add --overwrite"
        )
    if facts.listings != {group: part.digest() for group, part in parts.items()}:
        raise InputError(
            f"{path} is there, but the folders' files have changed since; "
            "choose another -o, or add --overwrite"
        )
    counts = {group: len(pictures) for group, pictures in file.groups.items()}
    return DomainsReport(path, counts, facts.kinds, load, fit, written=False)
