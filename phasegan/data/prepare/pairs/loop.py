"""Filling an unfinished file of two picture domains: the one process that writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from phasegan.data.domain_folders import Part
from phasegan.data.domain_scan import say_narrow
from phasegan.data.images.conversion import Kind
from phasegan.data.images.notices import Remarks
from phasegan.data.images.pixel_format import remarks_of
from phasegan.data.prepare.encode import Done, Task
from phasegan.data.prepare.pairs.partial import UnfinishedPictures
from phasegan.data.prepare.pairs.plan import Group, Seen, find_kind, make_group
from phasegan.data.prepare.pairs.work import LookTicket, Made, MakeTicket, serve_pictures
from phasegan.data.prepare.worker_pool import Workers, in_order
from phasegan.errors import RunError
from phasegan.progress import Progress
from phasegan.progress import Task as ProgressTask

_TASK = 16
"""Pictures that one process gets at once, at most."""
_TASK_BYTES = 2**22
"""Bytes of pixels that are sent between processes at once, but for larger pictures."""


@dataclass
class Outcome:
    """What became of the pictures."""

    groups: list[Group] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each picture that was left out."""
    known: int = 0
    """Pictures that an earlier process had looked at."""
    resumed: int = 0
    """Pictures that it had written."""


class PictureFilling:
    """One run over the pictures of two domains.

    Parameters
    ----------
    unfinished : UnfinishedPictures
        Where pictures go; what it holds already is kept if it can be trusted.
    parts : mapping of Part
        The pictures by group.
    load, fit
        What training pictures are brought to, see `phasegan.data.images.conversion.loaded`.
    alpha : bool
        Keep alpha where a domain has it.
    workers : int
        Processes.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        unfinished: UnfinishedPictures,
        parts: Mapping[str, Part],
        load: int,
        fit: str,
        alpha: bool,
        workers: int,
        progress: Progress,
    ) -> None:
        self._unfinished, self._parts = unfinished, parts
        self._load, self._fit, self._alpha = load, fit, alpha
        self._progress = progress
        total = sum(map(len, parts.values()))
        self._count = max(1, min(workers, math.ceil(total / _TASK)))
        self._seen: dict[str, dict[int, Seen | str]] = {name: {} for name in parts}
        self.outcome = Outcome()

    def pool(self) -> Workers:
        """Start the processes, for the two steps that follow."""
        return Workers(serve_pictures, self._count)

    def look(self, pool: Workers) -> tuple[Kind, Kind]:
        """Look at all pictures, and decide which go where; return the domains' kinds.

        Raises
        ------
        InputError
            If the training pictures of a domain cannot be read or do not fit together.
        """
        for name, part in self._parts.items():
            with self._progress.task(f"looking at {part.label}", len(part)) as task:
                self._look_at(name, part, pool, task)
        kind_a, kind_b = (
            find_kind(self._parts[name], self._seen[name], self._alpha)
            for name in ("trainA", "trainB")
        )
        for name, part in self._parts.items():
            fit = self._fit if name.startswith("train") else "none"
            kind = kind_a if name.endswith("A") else kind_b
            group = make_group(name, part, self._seen[name], kind, self._load, fit, self._leave_out)
            self.outcome.groups.append(group)
            self._tell(group)
        return kind_a, kind_b

    def _tell(self, group: Group) -> None:
        """Warn of what is left out of the pictures of a group."""
        remarks, part, looks = Remarks(), group.part, []
        for row, name in zip(group.rows, group.names, strict=True):
            seen = self._seen[group.name][row]
            assert isinstance(seen, Seen)
            looks.append(seen.look)
            remarks.add(remarks_of(seen.look, group.kind), f"{part.label}/{name}")
        remarks.tell(self._progress)
        part.tell_left_out(self._progress)
        option = f"training with --range-{group.name[-1].lower()}"
        say_narrow(looks, group.kind, part.label, option, self._progress)

    def _leave_out(self, label: str, name: str, reason: str) -> None:
        self._progress.warn(f"left out {label}: {reason}")
        self.outcome.left_out.append((name, reason))

    def _look_at(self, name: str, part: Part, pool: Workers, task: ProgressTask) -> None:
        known, seen = self._unfinished.looks[name], self._seen[name]
        batches = _batches((row, 0) for row in range(len(part)))
        for rows, results in self._served(pool, batches, lambda row: self._look(part, known, row)):
            new: list[tuple[int, Seen]] = []
            for row, result in zip(rows, results, strict=True):
                task.advance()
                if isinstance(result, str):
                    seen[row] = result
                elif result.look is None:
                    seen[row] = known[row]
                    self.outcome.known += 1
                else:
                    found = Seen(result.sha256, result.look)
                    seen[row] = found
                    new.append((row, found))
            self._unfinished.saw(name, new)

    def _look(self, part: Part, known: Mapping[int, Seen], row: int) -> LookTicket:
        before = known.get(row)
        return LookTicket(str(part.path(row)), None if before is None else before.sha256)

    def make(self, pool: Workers) -> None:
        """Bring the pictures to their kind and size, and write them.

        Raises
        ------
        RunError
            If one cannot be used any more.
        """
        groups = self.outcome.groups
        total = sum(len(group.rows) for group in groups)
        with self._progress.task("preparing", total) as task:
            for group in groups:
                self._make(group, pool, task)

    def _make(self, group: Group, pool: Workers, task: ProgressTask) -> None:
        left: list[int] = []
        for row in range(len(group.rows)):
            if self._unfinished.again(group.name, row):
                self.outcome.resumed += 1
                task.advance()
            else:
                left.append(row)

        def ticket(row: int) -> MakeTicket:
            path, sha256 = str(group.part.path(group.rows[row])), group.hashes[row]
            return MakeTicket(path, sha256, group.kind, group.load, group.fit)

        batches = _batches((row, group.size(row)) for row in left)
        for rows, results in self._served(pool, batches, ticket):
            made: list[tuple[int, Made]] = []
            for row, result in zip(rows, results, strict=True):
                if isinstance(result, str):
                    raise RunError(
                        f"{group.part.label}/{group.names[row]}: {result}; what is prepared so far "
                        "is kept, give the same command again"
                    )
                made.append((row, result))
            self._unfinished.write(group.name, made)
            task.advance(len(made))

    @staticmethod
    def _served(
        pool: Workers, batches: Iterable[list[int]], ticket: Callable[[int], Any]
    ) -> Iterator[tuple[list[int], list[Any]]]:
        def submit(rows: list[int]) -> Future[Done]:
            return pool.submit(Task([ticket(row) for row in rows], [False] * len(rows)))

        for rows, done in in_order(submit, batches, pool.ahead):
            yield rows, done.results


def _batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Yield rows that are served together, from each row and the bytes of its result."""
    rows: list[int] = []
    total = 0
    for row, size in sizes:
        if rows and (len(rows) == _TASK or total + size > _TASK_BYTES):
            yield rows
            rows, total = [], 0
        rows.append(row)
        total += size
    if rows:
        yield rows
