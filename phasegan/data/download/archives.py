"""Unpacking archives from the network, which may be damaged or hostile.

Every member of an archive is checked before anything of it is written,
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
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, cast

from phasegan.data.download.http import MEGABYTE, advance_megabytes
from phasegan.errors import InputError
from phasegan.progress import Progress, ProgressTask

ArchiveKind = Literal["zip", "tar"]

MAX_MEMBERS = 200_000
MAX_GROWTH = 10
"""Unpacked bytes per byte of an archive; images are compressed already."""
SLACK = 100_000_000
"""Unpacked bytes that an archive may hold however small it is."""
MAX_NAME_LENGTH = 1000
_UNIX, _ENCRYPTED = 3, 1
_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open, b"\x5d\0\0": lzma.open
}  # fmt: skip
_UNFIT = re.compile(r"[\0-\x1f\x7f\\]|^/|^[A-Za-z]:|(^|/)\.\.(/|$)")

PathMapping = Callable[[PurePosixPath], PurePosixPath | None]


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
    size = archive.stat().st_size
    limit = size * MAX_GROWTH + SLACK
    most = limit if most_bytes is None else most_bytes
    label = f"unpacking {archive.name}, MB"
    with _readable(archive), (progress or Progress()).task(label, size // MEGABYTE) as task:
        members = _Members(archive, target, place, most, most_members, task)
        if kind == "zip":
            _unzip(members)
        else:
            _untar(members, max(most, limit))
    return members.written


class _Members:
    """Where the members of an archive go; whatever condemns it is raised."""

    def __init__(
        self, archive: Path, target: Path, place: PathMapping, most_bytes: int, most: int,
        task: ProgressTask,
    ) -> None:  # fmt: skip
        self.archive, self.target = archive, target
        self.written = 0
        self._place, self._most, self._task = place, most, task
        self._members, self._position, self._remaining = 0, 0, most_bytes

    def place(self, name: str, size: int, position: int, *, is_file: bool) -> str | None:
        """Return the path below the target at which an empty file stands now, for a wanted member.

        `size` is the most that will be written, `position` the bytes of the archive before it.
        """
        self._members += 1
        if self._members > self._most:
            raise InputError(
                f"{self.archive}: more than {self._most} members, more than any set of pictures "
                "holds; do not use it"
            )
        advance_megabytes(self._task, self._position, position)
        self._position = position
        path = self._checked(name)
        wanted = self._place(path) if is_file else None
        if wanted is None:
            return None
        destination = self.target / self._checked(wanted.as_posix())
        self._remaining -= size
        if self._remaining < 0:
            raise _too_much(self.archive)
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.touch(exist_ok=False)
        except (FileExistsError, NotADirectoryError):
            raise InputError(
                f"{self.archive}: {name[:80]!r} is in it twice, or is a file and a folder"
            ) from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InputError(
                f"{self.archive}: holds the name {name[:80]!r}…, longer than this disk takes"
            ) from None
        self.written += 1
        return wanted.as_posix()

    def _checked(self, name: str) -> PurePosixPath:
        if _UNFIT.search(name) or len(name) > MAX_NAME_LENGTH:
            raise InputError(
                f"{self.archive}: holds the name {name[:80]!r}, which may lead out of the folder; "
                "do not use it"
            )
        return PurePosixPath(name)

    def not_plain(self, name: str) -> InputError:
        """Return the error for a member that is no file and no folder."""
        return InputError(
            f"{self.archive}: {name[:80]!r} is a link or a device, not a file; do not use it"
        )


def _unzip(members: _Members) -> None:
    read = 0
    with zipfile.ZipFile(members.archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.create_system == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise members.not_plain(info.filename)
            if info.flag_bits & _ENCRYPTED:
                raise InputError(f"{members.archive}: encrypted; unpack it yourself")
            path = members.place(info.filename, info.file_size, read, is_file=not info.is_dir())
            if path is not None:
                info.filename = path
                opened.extract(info, members.target)  # never more than file_size
            read += info.compress_size


def _untar(members: _Members, limit: int) -> None:
    with open(members.archive, "rb") as stream:
        head = stream.read(max(map(len, _OPENERS)))
        stream.seek(0)
        openers = (opener for magic, opener in _OPENERS.items() if head.startswith(magic))
        with (
            next(openers, nullcontext)(stream) as unpacked,
            tarfile.open(
                fileobj=cast(IO[bytes], _Limited(unpacked, limit, members.archive)), mode="r|"
            ) as opened,
        ):
            opened.extraction_filter = getattr(tarfile, "data_filter", None)  # since 3.11.4
            for info in opened:
                if not (info.isreg() or info.isdir()):
                    raise members.not_plain(info.name)
                pieces = cast(Any, info.sparse) or ()
                size = max([info.size, *(start + length for start, length in pieces)])
                path = members.place(info.name, size, stream.tell(), is_file=info.isreg())
                if path is not None:
                    info.name = path
                    opened.extract(info, members.target, set_attrs=False)


class _Limited:
    """A stream that gives no more bytes than a limit, also of members that are skipped."""

    def __init__(self, stream: IO[bytes], limit: int, archive: Path) -> None:
        self._stream, self._remaining, self._archive = stream, limit, archive

    def read(self, size: int) -> bytes:
        block = self._stream.read(min(size, self._remaining + 1))
        self._remaining -= len(block)
        if self._remaining < 0:
            raise _too_much(self._archive)
        return block


def _too_much(archive: Path) -> InputError:
    return InputError(f"{archive}: unpacks to far more than its own size; do not use it")


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
