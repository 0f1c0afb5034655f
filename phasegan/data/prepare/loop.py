"""The loop that fills a partial file with samples: the one process that writes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from phasegan.data.images.notices import NoticeCounter, ValueRange, narrow_range
from phasegan.data.prepare.encode import BatchResult, EncodedSample, Encoder, ImageBatch
from phasegan.data.prepare.plan import Plan
from phasegan.data.prepare.sample_file import PartialSamples, SampleEntry
from phasegan.data.prepare.worker_pool import InProcessPool, WorkerPool, map_in_order
from phasegan.data.sources import Source
from phasegan.errors import InputError
from phasegan.fourier.exact_sum import ExactSum
from phasegan.fourier.phase import analyse
from phasegan.progress import Progress, ProgressTask
from phasegan.resources import available_cores

_TASK = 16
"""Images that are encoded together, at most."""
_TASK_BYTES = 2**22
"""Bytes of samples that are sent between processes at once."""
_MAX_VALUE_RANGES = 10_000
"""Samples whose range of values is checked."""
_FEW = 64
"""Samples for which no process is started, where the decoders are trusted."""
_WIDTH = 2
"""Words of 8 bytes to an entry: half of a SHA-256."""
_SMALLEST = 1024


class FileHashes:
    """Halves of SHA-256 hashes, in a table with open addressing."""

    def __init__(self) -> None:
        self._count = 0
        self._make(_SMALLEST)

    def _make(self, slots: int) -> None:
        self._mask = slots - 1
        self._words = memoryview(bytearray(8 * _WIDTH * slots)).cast("Q")

    def __len__(self) -> int:
        return self._count

    def add(self, sha256: str) -> None:
        """Add a hash.

        Parameters
        ----------
        sha256 : str
            At least 32 hexadecimal digits.
        """
        first, second = _key(sha256)
        if self._put(first, second):
            self._count += 1
            if 3 * self._count > 2 * self._mask:
                self._grow()

    def __contains__(self, sha256: str) -> bool:
        first, second = _key(sha256)
        return self._words[_WIDTH * self._slot(first, second)] != 0

    def _slot(self, first: int, second: int) -> int:
        """Return where an entry is, or would be."""
        words, slot = self._words, first & self._mask
        while (word := words[_WIDTH * slot]) and (
            word != first or words[_WIDTH * slot + 1] != second
        ):
            slot = (slot + 1) & self._mask
        return slot

    def _put(self, first: int, second: int) -> bool:
        place = _WIDTH * self._slot(first, second)
        new = self._words[place] == 0
        self._words[place], self._words[place + 1] = first, second
        return new

    def _grow(self) -> None:
        old = self._words
        self._make(2 * (self._mask + 1))
        for place in range(0, len(old), _WIDTH):
            if old[place]:
                self._put(old[place], old[place + 1])


def _key(sha256: str) -> tuple[int, int]:
    """Return two words; the first is never 0, which marks free slots."""
    return int(sha256[:16], 16) or 1, int(sha256[16:32], 16)


@dataclass
class PrepareTally:
    """Counts of samples and skipped images."""

    counts: dict[str, int] = field(default_factory=lambda: {"train": 0, "test": 0})
    skipped: list[tuple[str, str]] = field(default_factory=list)
    resumed: int = 0
    """Images that an earlier process had done."""
    hashes: dict[str, FileHashes] = field(
        default_factory=lambda: {"train": FileHashes(), "test": FileHashes()}
    )
    shared: int = 0
    """Test samples whose file also stands in the training split."""
    notices: NoticeCounter = field(default_factory=NoticeCounter)
    """Notices on the images of samples."""
    value_ranges: list[ValueRange] = field(default_factory=list)
    """Where the values of samples of 16 bit lie; of the first ones."""
    _test: bytearray = field(default_factory=bytearray)
    """A line for each test sample."""
    _tested: bytearray = field(default_factory=bytearray)
    """The hash of each test sample's file, 64 digits."""
    _digest: Any = field(default_factory=hashlib.sha256)

    def add_sample(self, split: str, source: str, source_sha256: str) -> None:
        """Count a sample."""
        self.counts[split] += 1
        self.hashes[split].add(source_sha256)
        line = f"{split} {source} {source_sha256}\n".encode()
        if split == "test":
            self._test += line
            self._tested += source_sha256.encode()
        else:
            self._digest.update(line)

    def in_other_split(self, split: str, source_sha256: str) -> bool:
        """Tell whether the other split has a sample of the same file."""
        return source_sha256 in self.hashes["train" if split == "test" else "test"]

    def count_shared(self) -> None:
        """Count test samples whose file stands in the training split."""
        trained, tested = self.hashes["train"], self._tested.decode()
        self.shared = sum(tested[i : i + 64] in trained for i in range(0, len(tested), 64))

    def source_checksum(self) -> str:
        """Return the SHA-256 over split, name and hash of each sample, training samples first."""
        digest = self._digest.copy()
        digest.update(self._test)
        return f"sha256:{digest.hexdigest()}"


class PrepareLoop:
    """One run over the images of a plan.

    Parameters
    ----------
    partial : PartialSamples
        Receives the samples; those it holds already are kept if their checksums match.
    plan : Plan
        Which images become which samples.
    source : Source
        Where they come from.
    encoder : Encoder
        Encodes the images.
    workers : int
        Processes.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        partial: PartialSamples,
        plan: Plan,
        source: Source,
        encoder: Encoder,
        workers: int,
        progress: Progress,
    ) -> None:
        self._partial, self._plan, self._source = partial, plan, source
        self._progress = progress
        self.magnitudes = ExactSum(encoder.steps)
        self._encoder = encoder
        self._workers = workers
        self._in_flight = 0
        self._unsplit = None in source.splits()
        self._replay: Iterator[tuple[int, SampleEntry | None]] | None = partial.entries()
        self.tally = PrepareTally()

    def run(self) -> PrepareTally:
        """Fill the file.

        Raises
        ------
        InputError
            If there are fewer usable images than asked for.
        """
        total = sum(self._plan.expected_count(split) for split in ("train", "test"))
        layout = self._encoder.layout
        few = not self._source.external and (self._workers == 1 or total <= _FEW)
        size = max(1, min(_TASK, _TASK_BYTES // layout.sample_bytes))
        with self._progress.task("preparing", total) as task:
            remaining = [(s, q, self._replay_queue(s, q, task)) for s, q in self._plan.queues]
            if all(done is None for *_, done in remaining):
                pass
            elif few:
                self._fill(InProcessPool(self._encoder), remaining, size, task)
            else:
                count = max(1, min(self._workers, -(-total // size)))
                with WorkerPool(self._encoder, count) as pool:
                    self._fill(pool, remaining, size, task)
        self.tally.count_shared()
        self._check()
        self._warn()
        return self.tally

    def _warn(self) -> None:
        self.tally.notices.report(self._progress)
        narrow = narrow_range(self.tally.value_ranges, 0, self._encoder.layout.data_range)
        if narrow is not None:
            self._progress.warn(
                f"{self._source.label}: {narrow[0]}; they are stored as they are, which phases do "
                f"not depend on; --range {narrow[1]:.10g} {narrow[2]:.10g} stores them on the full "
                "range"
            )

    def _replay_queue(self, splits: tuple[str, ...], queue: Any, task: ProgressTask) -> int | None:
        """Replay the journal of a queue; return where to continue, None if it is done."""
        for position, number in enumerate(queue):
            open_splits = self._open(splits)
            if not open_splits:
                return None
            if self._replay is None:
                return position
            place, entry = next(self._replay, (None, None))
            if entry is None or not self._replay_entry(open_splits, int(number), entry):
                self._partial.file.forget_from(place)
                self._replay = None
                return position
            self.tally.resumed += 1
            task.advance()
        return None if not self._open(splits) else len(queue)

    def _replay_entry(self, open_splits: list[str], number: int, entry: SampleEntry) -> bool:
        tally = self.tally
        if entry.split is None:
            if entry.source != self._source.item(number).name:
                return False
            tally.skipped.append((entry.source, entry.reason))
            return True
        split = self._plan.next_split(sum(tally.counts.values()), open_splits)
        if split != entry.split or not self._source.matches(number, entry.source_sha256):
            return False
        image = self._partial.resume_sample(entry)
        if image is False:
            return False
        if split == "train" and image is not None:
            self._count(image, 1)
        tally.add_sample(split, entry.source, entry.source_sha256)
        tally.notices.add(entry.notices, entry.source)
        return True

    def _count(self, image: Any, sign: int) -> None:
        self.magnitudes.add(analyse(image, self._encoder.layout.frame).magnitude, sign)

    def _open(self, splits: tuple[str, ...]) -> list[str]:
        targets, counts = self._plan.targets, self.tally.counts
        return [s for s in splits if targets[s] is None or counts[s] < (targets[s] or 0)]

    def _fill(
        self,
        pool: InProcessPool | WorkerPool,
        remaining: list[tuple[tuple[str, ...], Any, int | None]],
        size: int,
        task: ProgressTask,
    ) -> None:
        for splits, queue, start in remaining:
            if start is None:
                continue
            batches = self._batches(splits, queue[start:], size)
            for (numbers, work), done in map_in_order(
                lambda batch: pool.submit(batch[1]), batches, pool.ahead
            ):
                self._in_flight -= len(numbers)
                self._record(splits, numbers, work, done, task)
                if not self._open(splits):
                    break
            self._in_flight = 0

    def _batches(
        self, splits: tuple[str, ...], queue: Any, size: int
    ) -> Iterator[tuple[list[int], ImageBatch]]:
        for start in range(0, len(queue), size):
            numbers = [int(number) for number in queue[start : start + size]]
            counts = self.tally.counts
            counted = [
                self._plan.forecast(counts, self._in_flight + i, splits) == "train"
                for i in range(len(numbers))
            ]
            self._in_flight += len(numbers)
            yield numbers, ImageBatch([self._source.job(number) for number in numbers], counted)

    def _record(
        self,
        splits: tuple[str, ...],
        numbers: list[int],
        work: ImageBatch,
        done: BatchResult,
        task: ProgressTask,
    ) -> None:
        """Write the results of a batch."""
        self.magnitudes.merge(done.total)
        entries: list[SampleEntry] = []
        for number, counted, result in zip(numbers, work.counted, done.results, strict=True):
            open_splits = self._open(splits)
            entry = self._accept(open_splits, number, result) if open_splits else None
            if isinstance(result, EncodedSample) and "images" in result.values:
                trained = entry is not None and entry.split == "train"
                if trained != counted:
                    self._count(result.values["images"], int(trained) - int(counted))
            if entry is not None:
                entries.append(entry)
                task.advance()
        self._partial.record(entries)

    def _accept(
        self, open_splits: list[str], number: int, result: EncodedSample | str
    ) -> SampleEntry:
        tally = self.tally
        split = self._plan.next_split(sum(tally.counts.values()), open_splits)
        if isinstance(result, str):
            reason = result
        elif self._unsplit and tally.in_other_split(split, result.source_sha256):
            reason = f"the same file stands in the {'train' if split == 'test' else 'test'} split"
        else:
            self._partial.add(split, result)
            tally.add_sample(split, result.source, result.source_sha256)
            tally.notices.add(result.notices, result.source)
            if result.value_range is not None and len(tally.value_ranges) < _MAX_VALUE_RANGES:
                tally.value_ranges.append(result.value_range)
            return SampleEntry.of_sample(split, result)
        name = self._source.item(number).name
        tally.skipped.append((name, reason))
        self._progress.warn(f"skipped {name}: {reason}")
        return SampleEntry.skipped(name, reason)

    def _check(self) -> None:
        tally, label = self.tally, self._source.label
        skip_note = f", {len(tally.skipped)} skipped" if tally.skipped else ""
        if tally.counts["train"] == 0:
            raise InputError(f"{label}: no usable picture for training{skip_note}; nothing written")
        for split, target in self._plan.targets.items():
            if target is not None and tally.counts[split] < target:
                flag = "--test" if split == "test" else "--samples"
                raise InputError(
                    f"{label}: {flag} {target} asked for, {tally.counts[split]} usable"
                    f"{skip_note}; nothing written, ask for fewer"
                )


def worker_count(workers: int | None) -> int:
    """Return the number of worker processes.

    Parameters
    ----------
    workers : int or None
        As asked for; None: one for each core that this process may use.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If `workers` is below 1.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: must be at least 1")
    return workers or available_cores()
