"""Unpacking archives from the network, which may be damaged or hostile.

Every member of an archive is checked before and while it is read,
also those that are not wanted: one that would reach outside the target makes
the whole archive suspect. Only plain files are ever made.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from phasegan.errors import InputError
from phasegan.progress import Progress

ArchiveKind = Literal["zip", "tar"]

MAX_MEMBERS = 200_000
MAX_GROWTH = 10
"""Unpacked bytes per byte of an archive; images are compressed already."""
SLACK = 100_000_000
"""Unpacked bytes that an archive may hold however small it is."""
MAX_NAME_LENGTH = 1000
MEGABYTE = 1_000_000
_BLOCK = 1 << 20
_UNIX, _ENCRYPTED = 3, 1
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,
}
_LONGEST_MAGIC = max(map(len, _OPENERS))
_DRIVE = re.compile("[A-Za-z]:")

PathMapping = Callable[[PurePosixPath], PurePosixPath | None]


@dataclass(frozen=True)
class _Member:
    name: str
    is_file: bool
    position: int
    """Bytes of the archive before it."""
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    target: Path,
    kind: ArchiveKind,
    place: PathMapping,
    *,
    most_bytes: int | None = None,
    most_members: int = MAX_MEMBERS,
    progress: Progress | None = None,
) -> int:
    """Unpack some files of an archive.

    Parameters
    ----------
    archive : pathlib.Path
        A zip file, or a tar file, compressed or not.
    target : pathlib.Path
        An empty folder that nobody else writes to; the caller removes it if
        this fails.
    kind : {"zip", "tar"}
        Format of `archive`.
    place : callable
        From a member's name to where below `target` it goes, or None to leave
        it out.
    most_bytes : int, optional
        Most that the wanted files may hold together; ten times the archive and
        100 MB by default.
    most_members : int
        Most members of any kind.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    int
        Files written.

    Raises
    ------
    InputError
        If the archive is damaged or encrypted, holds too much, a link or a
        device, one file twice, or a name that is absolute, leads upwards or
        cannot be a file's on every system.
    """
    progress = progress or Progress()
    most = archive.stat().st_size * MAX_GROWTH + SLACK if most_bytes is None else most_bytes
    written, remaining, members, done = 0, most, 0, 0
    megabytes = archive.stat().st_size // MEGABYTE
    limit = max(most, archive.stat().st_size * MAX_GROWTH + SLACK)
    with _readable(archive), progress.task(f"unpacking {archive.name}, MB", megabytes) as task:
        for member in _zip(archive) if kind == "zip" else _tar(archive, limit):
            members += 1
            if members > most_members:
                raise InputError(
                    f"{archive}: more than {most_members} members, more than any set of pictures "
                    "holds; do not use it"
                )
            if member.position // MEGABYTE > done:
                task.advance(member.position // MEGABYTE - done)
                done = member.position // MEGABYTE
            path = _checked(member.name, archive)
            destination = place(path) if member.is_file else None
            if destination is None:
                continue
            remaining -= _write(
                member, target / _checked(destination.as_posix(), archive), remaining, archive
            )
            written += 1
    return written


def _write(member: _Member, path: Path, remaining: int, archive: Path) -> int:
    """Write one file and return its bytes; sizes in headers are not trusted."""
    size = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, open(path, "xb") as stream:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > remaining:
                    raise _too_much(archive)
                stream.write(block)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"{archive}: {member.name[:80]!r} is in it twice, or is a file and a folder"
        ) from None
    return size


def _checked(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    harmless = (
        not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in name
        and not _DRIVE.match(name)
        and not any(ord(c) < 32 or c == "\x7f" for c in name)
        and len(name) <= MAX_NAME_LENGTH
    )
    if not harmless:
        raise InputError(
            f"{archive}: holds the name {name[:80]!r}, which may lead out of the folder; "
            "do not use it"
        )
    return path


def _zip(archive: Path) -> Iterator[_Member]:
    read = 0
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
            if special and info.create_system == _UNIX:
                raise _not_plain(archive, info.filename)
            if info.flag_bits & _ENCRYPTED:
                raise InputError(f"{archive}: encrypted; unpack it yourself")
            yield _Member(info.filename, not info.is_dir(), read, partial(opened.open, info))
            read += info.compress_size


def _tar(archive: Path, limit: int) -> Iterator[_Member]:
    with (
        open(archive, "rb") as stream,
        _Unpacked(stream, archive, limit) as unpacked,
        tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r|") as opened,
    ):
        for info in opened:
            if not (info.isreg() or info.isdir()):
                raise _not_plain(archive, info.name)
            contents = partial(_extracted, opened, info)
            yield _Member(info.name, info.isreg(), stream.tell(), contents)


class _Unpacked:
    """The bytes inside a compressed archive, no more of them than a limit.

    Members that are skipped count, too: they are unpacked all the same, and headers of tar files
    may claim any size.
    """

    def __init__(self, stream: IO[bytes], archive: Path, limit: int) -> None:
        head = stream.read(_LONGEST_MAGIC)
        stream.seek(0)
        opener = next((o for magic, o in _OPENERS.items() if head.startswith(magic)), None)
        self._inner: IO[bytes] = stream if opener is None else opener(stream)
        self._archive, self._left = archive, limit

    def read(self, size: int) -> bytes:
        block = self._inner.read(min(size, self._left + 1))
        self._left -= len(block)
        if self._left < 0:
            raise _too_much(self._archive)
        return block

    def __enter__(self) -> _Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()


def _extracted(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = opened.extractfile(info)
    if stream is None:
        raise tarfile.TarError(f"{info.name} has no contents")
    return stream


def _too_much(archive: Path) -> InputError:
    return InputError(f"{archive}: unpacks to far more than its own size; do not use it")


def _not_plain(archive: Path, name: str) -> InputError:
    return InputError(f"{archive}: {name[:80]!r} is a link or a device, not a file; do not use it")


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    damaged = (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, struct.error,
        NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError, MemoryError,
    )  # fmt: skip
    try:
        yield
    except InputError:
        raise
    except damaged as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{archive}: not a readable archive ({reason})") from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # offsets before the archive's begin
            raise
        raise InputError(f"{archive}: not a readable archive ({error})") from None
