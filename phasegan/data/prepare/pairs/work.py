"""What the processes do that prepare two domains: look at pictures, and make planes of them.

What is imported here is imported by each of them: numpy and Pillow, little else.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from phasegan.data.hdf5.checksums import digest
from phasegan.data.images.conversion import Kind, Planes, loaded, to_planes
from phasegan.data.images.full_depth import Picture, read_pixels
from phasegan.data.images.high_bit_depth import UnreadablePictureError
from phasegan.data.images.pixel_format import Look, look
from phasegan.data.prepare.encode import Done, Task
from phasegan.errors import InputError
from phasegan.io.untrusted import read_regular


class Looked(NamedTuple):
    """What was seen of a file."""

    sha256: str
    look: Look | None
    """None: its contents are those that were known."""


class Made(NamedTuple):
    """A picture as it is written."""

    planes: Planes
    digest: bytes
    """SHA-256 of the planes."""


class LookTicket(NamedTuple):
    """A picture to be looked at."""

    path: str
    known: str | None
    """SHA-256 of the contents that were looked at before."""

    def serve(self) -> Looked:
        """Look at it, unless its contents are known."""
        sha256, stamp = _hashed(self.path)
        if sha256 == self.known:
            return Looked(sha256, None)
        return Looked(sha256, look(_decoded(self.path, stamp)))


class MakeTicket(NamedTuple):
    """A picture to be brought to its kind and size."""

    path: str
    sha256: str
    """Of the contents that were looked at."""
    kind: Kind
    load: int
    fit: str

    def serve(self) -> Made:
        """Make planes of it."""
        sha256, stamp = _hashed(self.path)
        if sha256 != self.sha256:
            raise UnreadablePictureError("it has changed since it was looked at")
        picture = _decoded(self.path, stamp)
        planes = loaded(to_planes(picture, self.kind), self.load, self.fit)
        return Made(planes, digest(planes))


def serve_pictures(task: Task) -> Done:
    """Serve tickets; of each the result, or the reason why there is none."""
    results: Any = [_served(ticket) for ticket in task.tickets]
    return Done(results, None)


def _served(ticket: LookTicket | MakeTicket) -> Looked | Made | str:
    try:
        return ticket.serve()
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except MemoryError:
        return "larger than the memory"


_Stamp = tuple[int, int, int]


def _stamp(path: str) -> _Stamp:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _hashed(path: str) -> tuple[str, _Stamp]:
    """Return the SHA-256 of a file, and what changes when it is written to."""
    stamp = _stamp(path)
    return hashlib.sha256(read_regular(path)).hexdigest(), stamp


def _decoded(path: str, stamp: _Stamp) -> Picture:
    picture = read_pixels(Path(path))
    if _stamp(path) != stamp:
        raise UnreadablePictureError("it changes while it is read")
    return picture
