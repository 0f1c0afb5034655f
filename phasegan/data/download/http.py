"""HTTP downloads that resume."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasegan.errors import InputError, RunError
from phasegan.io.atomic import read_json, write_json
from phasegan.io.output_paths import is_plain, open_append
from phasegan.progress import Progress, ProgressTask

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 15.0, 60.0
MAX_TRIES = 4
"""In a row without a whole block of new bytes."""
WAITS_S = (1.0, 3.0, 10.0)
MEGABYTE = 1_000_000
MAX_BYTES = 10_000_000_000
"""Of an archive whose recipe does not state its size."""
MIN_BYTES_PER_SECOND = 1000
"""Bytes a second, over `READ_S` seconds; a server that sends less is given up."""
_BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class _OtherFile(RunError):
    """The server sends another file: the bytes received are of no use."""


class _TooSlow(RunError):
    """The server is too slow."""


class ResumingDownload:
    """A downloader for pooch that keeps the bytes received and requests the rest.

    The bytes are in `<archive>.part`, and beside it in `<archive>.part.json`
    which address and which version of the file it is of: the strong ETag or
    the date of the last change, which goes into If-Range (RFC 9110, section
    13.1.5). A server that has another version by now, or knows no ranges,
    sends the whole file, and the download starts over.

    Parameters
    ----------
    archive : pathlib.Path
        The final name.
    expected : int, optional
        Bytes, where known beforehand: no more are taken. `MAX_BYTES` otherwise.
    spare : int
        Bytes that are to stay free on the disk for unpacking.
    progress : Progress
        Where to report.
    """

    def __init__(self, archive: Path, expected: int | None, spare: int, progress: Progress) -> None:
        self.archive, self.expected, self.spare = archive, expected, spare
        self.most = MAX_BYTES if expected is None else expected
        self.part = archive.with_name(f"{archive.name}.part")
        self.state = archive.with_name(f"{archive.name}.part.json")
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download `url`, and give it the name `output_file` when it is complete.

        Raises
        ------
        RunError
            If the server does not give it, or more than there is to be, or hardly anything for
            a minute; if the network fails, or the disk is full.
        """
        try:
            self._download(url)
        except _OtherFile:
            self.forget()
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full(self.spare) from None
        self.part.replace(output_file)

    @property
    def started(self) -> bool:
        """Whether `archive` or a part of it was downloaded here."""
        return self.state.exists()

    def forget(self) -> None:
        """Remove the partial file and its state."""
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def _download(self, url: str) -> None:
        import requests
        from requests import exceptions
        from urllib3.exceptions import HTTPError

        failures, furthest = 0, -1
        with requests.Session() as session:
            while True:
                try:
                    if self._attempt(session, url):
                        return
                    reason = "the connection was closed early"
                except (exceptions.TooManyRedirects, exceptions.InvalidSchema) as error:
                    raise RunError(
                        f"{url}: the server leads to no file ({error}); give another --url"
                    ) from None
                except _TooSlow as error:
                    raise RunError(f"{error}{self._kept(self.part.stat().st_size)}") from None
                except (exceptions.RequestException, HTTPError) as error:
                    reason = _reason(error, url)
                have = self.part.stat().st_size if self.part.exists() else 0
                failures = 0 if 0 <= furthest <= have - _BLOCK else failures + 1
                furthest = max(furthest, have)
                if failures >= MAX_TRIES:
                    raise RunError(f"{reason}{self._kept(have)}")
                self.progress.detail(f"{reason}; trying again")
                time.sleep(WAITS_S[min(failures, len(WAITS_S) - 1)])

    def _kept(self, have: int) -> str:
        if not have:
            return ""
        return (
            f"; {have / 1e6:,.1f} MB are kept in {self.part}, the same command goes on from there"
        )

    def _attempt(self, session: requests.Session, url: str) -> bool:
        """Ask once; tell whether the file is complete."""
        have, state = self._had(url)
        if have and have == state.get("bytes"):
            return True
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": str(state["version"])}
        with session.get(
            url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)
        ) as response:
            status = response.status_code
            if status == 416:  # the bytes here do not begin the file there
                self.forget()
                return False
            if status in _PASSING:
                response.raise_for_status()
            if status not in (200, 206):
                raise RunError(_refused(response, url))
            answer = response.headers
            if status == 206 and answer.get("Content-Range", "").startswith(f"bytes {have}-"):
                total = state.get("bytes")
            else:
                if status == 206:
                    raise RunError(f"{url}: the server sent another part than was asked for")
                have, total = 0, _length(answer)
                self.part.unlink(missing_ok=True)
                write_json(self.state, {"url": url, "version": _version(answer), "bytes": total})
            if total is not None and total > self.most:
                raise self._too_long(url, f"{total:,} bytes")
            self._check_space(have, total)
            return self._receive(response, url, have, total)

    def _had(self, url: str) -> tuple[int, dict[str, Any]]:
        """Return the bytes that a resumed download can keep, and their state."""
        try:
            state = read_json(self.state)
            size = self.part.stat().st_size if is_plain(self.part) else 0
        except (InputError, OSError):
            return 0, {}
        if not isinstance(state, dict) or state.get("url") != url or not state.get("version"):
            return 0, {}
        total = state.get("bytes")
        return (0, {}) if isinstance(total, int) and size > total else (size, state)

    def _receive(self, response: requests.Response, url: str, have: int, total: int | None) -> bool:
        size_estimate = total or self.expected or 0
        label = f"{self.archive.name}, MB"
        size = have
        with (
            os.fdopen(open_append(self.part), "ab") as stream,
            self.progress.task(label, size_estimate // MEGABYTE, have // MEGABYTE) as task,
        ):
            for block in self._blocks(response, url):
                if size + len(block) > self.most:
                    raise self._too_long(url, "more")
                stream.write(block)
                advance_megabytes(task, size, size + len(block))
                size += len(block)
        return total is None or size == total

    def _blocks(self, response: requests.Response, url: str) -> Iterator[bytes]:
        """Yield bytes as received, without decoding any compression."""
        received, since = 0, time.monotonic()
        while block := response.raw.read1(_BLOCK, decode_content=False):
            yield block
            received += len(block)
            now = time.monotonic()
            if now - since > READ_S:
                if received < MIN_BYTES_PER_SECOND * (now - since):
                    raise _TooSlow(
                        f"{url}: only {received:,} bytes came in {now - since:.0f} s; try again "
                        "later, or another --url"
                    )
                received, since = 0, now

    def _too_long(self, url: str, sent: str) -> _OtherFile:
        stated = "without a stated size may have" if self.expected is None else "has by its recipe"
        return _OtherFile(
            f"{url}: the server sends {sent}, where the archive {stated} {self.most:,} bytes; it "
            "is another file: give the address of the right one with --url"
        )

    def _check_space(self, have: int, total: int | None) -> None:
        needed = (total or self.expected or 0) - have + self.spare
        if needed > shutil.disk_usage(self.part.parent).free:
            raise self._full(needed)

    def _full(self, needed: int) -> RunError:
        free = shutil.disk_usage(self.part.parent).free / 1e6
        return RunError(
            f"{self.archive}: needs about {needed / 1e6:,.1f} MB more, its disk has {free:,.1f} MB "
            "free; free some space or choose another -o"
        )


def advance_megabytes(task: ProgressTask, before: int, after: int) -> None:
    """Report bytes to a task that counts megabytes.

    Parameters
    ----------
    task : ProgressTask
        The task.
    before, after : int
        Bytes done so far, and now.
    """
    steps = after // MEGABYTE - before // MEGABYTE
    if steps:
        task.advance(steps)


def _length(headers: Mapping[str, str]) -> int | None:
    with contextlib.suppress(KeyError, ValueError):
        return max(0, int(headers["Content-Length"]))
    return None


def _version(headers: Mapping[str, str]) -> str:
    """Return the value for If-Range; empty if the server names no version."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _refused(response: requests.Response, url: str) -> str:
    status = response.status_code
    hint = {
        401: "it asks for a login",
        403: "the server refuses it",
        404: "there is no such file",
        410: "the file is gone",
    }.get(status, response.reason or "no file")
    return f"{url}: {hint} (HTTP {status}); give the address of another copy with --url"


def _reason(error: Exception, url: str) -> str:
    import requests
    from urllib3.exceptions import ProtocolError

    kinds = requests.exceptions
    if isinstance(error, kinds.SSLError):
        return f"{url}: the server's certificate is not valid"
    if isinstance(error, kinds.ConnectTimeout):
        return f"{url}: no answer within {CONNECT_S:.0f} s; try again later, or another --url"
    if isinstance(error, kinds.ReadTimeout) or "Read timed out" in str(error):
        return f"{url}: nothing came for {READ_S:.0f} s"
    if isinstance(error, kinds.HTTPError) and error.response is not None:
        return f"{url}: the server is not well (HTTP {error.response.status_code}); try again later"
    if isinstance(error, kinds.ChunkedEncodingError | ProtocolError):
        return f"{url}: the connection was lost"
    if isinstance(error, kinds.ConnectionError):
        return f"{url}: cannot be reached; check the network and the address"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{url}: {reason[:200]}"
