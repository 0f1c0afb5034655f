"""Which images of a source may become which samples, of all or of one shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasegan.data.recipes import Recipe
from phasegan.data.samplers import Partition
from phasegan.errors import InputError

TEST_EVERY = 10
"""Of an unsplit source, every tenth usable image becomes a test sample."""

Numbers = NDArray[np.int64]


def _test_count(count: int) -> int:
    """Return how many of 0..count−1 are 1 modulo ten."""
    return (count + TEST_EVERY - 2) // TEST_EVERY


@dataclass
class Plan:
    """Which images may become which samples, and how many are wanted."""

    queues: list[tuple[tuple[str, ...], Numbers]]
    """Splits that a queue fills, in order, and the numbers of its items."""
    targets: dict[str, int | None]
    """How many are wanted; None: all."""
    interleaved: bool = False
    """Whether the splits of an unsplit source are filled by turns, not one after the other."""

    @classmethod
    def make(cls, splits: Mapping[str | None, range], recipe: Recipe) -> Plan:
        """Plan for the images of a source.

        An unsplit source is shuffled; every tenth usable image becomes a test
        sample, or where counts are asked for, the first ones do. Where the
        source has a split, a smaller number asked for is chosen by the seed.

        Parameters
        ----------
        splits : mapping
            The numbers of each split's items, or of all under None.
        recipe : Recipe
            Counts and seed.

        Returns
        -------
        Plan
            For one file of everything.

        Raises
        ------
        InputError
            If more is asked for than there is.
        """
        counts = {"train": recipe.split.samples, "test": recipe.split.test}
        rng = np.random.default_rng(recipe.split.seed)
        if None in splits:
            total = len(splits[None])
            shuffled = np.arange(splits[None].start, splits[None].stop, dtype=np.int64)
            rng.shuffle(shuffled)
            interleaved = counts == {"train": None, "test": None}
            if counts["test"] is None and not interleaved:
                remaining = max(0, total - (counts["train"] or 0))
                counts["test"] = min(_test_count(total), remaining)
            plan = cls([(("test", "train"), shuffled)], counts, interleaved)
        else:
            plan = cls([], counts)
            for split in ("train", "test"):
                numbers = np.arange(splits[split].start, splits[split].stop, dtype=np.int64)
                target = counts[split]
                if target is not None and target < len(numbers):
                    rng.shuffle(numbers)
                plan.queues.append(((split,), numbers))
        for names, queue in plan.queues:
            count = sum(counts[s] or 0 for s in names)
            if count > len(queue):
                flags = " and ".join("--test" if s == "test" else "--samples" for s in names)
                raise InputError(
                    f"{flags}: {count} pictures asked for, the source has {len(queue)}"
                    f"{' for ' + names[0] if len(names) == 1 else ''}; ask for fewer"
                )
        return plan

    def shard(self, share: Partition) -> Plan:
        """Plan for one of several shards.

        One after the other they give the samples of the whole plan, in its order, unless
        images are skipped.

        Parameters
        ----------
        share : Partition
            Number and count of the shards.

        Returns
        -------
        Plan
            Its images are part of those of this plan.

        Raises
        ------
        InputError
            If there would be shares without a training sample.
        """
        if share.total > self.max_shards:
            raise InputError(
                f"--shards {share.total}: there would be shards without a training sample; "
                f"ask for at most {self.max_shards}"
            )
        targets: dict[str, int | None] = dict(self.targets)
        queues = []
        for names, queue in self.queues:
            if self.interleaved:
                queues.append((names, share.select(queue, TEST_EVERY)))
                continue
            parts, rest = [], queue
            for name in names:
                target = self.targets[name]
                selected, rest = (
                    (rest, rest[:0]) if target is None else (rest[:target], rest[target:])
                )
                parts.append(share.select(selected))
                targets[name] = None if target is None else len(parts[-1])
            queues.append((names, np.concatenate([*parts, share.select(rest)])))
        return Plan(queues, targets, self.interleaved)

    @property
    def max_shards(self) -> int:
        """How many shares there can be, each with a training sample."""
        if self.interleaved:
            return -(-len(self.queues[0][1]) // TEST_EVERY)
        return self.expected_count("train")

    def next_split(self, accepted: int, open_splits: list[str]) -> str:
        """Return the split of the next usable image.

        Parameters
        ----------
        accepted : int
            Samples so far.
        open_splits : list of str
            Splits that are not full, in order.

        Returns
        -------
        str
            `train` or `test`.
        """
        if self.interleaved:
            return "test" if accepted % TEST_EVERY == 1 else "train"
        return open_splits[0]

    def forecast(self, counts: Mapping[str, int], ahead: int, splits: tuple[str, ...]) -> str:
        """Return the split of an image, if none before it is skipped.

        Parameters
        ----------
        counts : mapping of int
            Samples so far, by split.
        ahead : int
            Images before it that are not encoded yet.
        splits : tuple of str
            Splits of its queue, in order.

        Returns
        -------
        str
            `train` or `test`.
        """
        if self.interleaved:
            return self.next_split(sum(counts.values()) + ahead, [])
        for split in splits:
            target = self.targets[split]
            if target is None or ahead < target - counts[split]:
                return split
            ahead -= target - counts[split]
        return splits[-1]

    def expected_count(self, split: str) -> int:
        """Return how many samples a split gets if no image is skipped.

        Parameters
        ----------
        split : {"train", "test"}
            The split.

        Returns
        -------
        int
            Samples.
        """
        for splits, queue in self.queues:
            if self.interleaved:
                test = _test_count(len(queue))
                return test if split == "test" else len(queue) - test
            if split in splits:
                remaining = len(queue)
                for name in splits:
                    target = self.targets[name]
                    count = remaining if target is None else min(target, remaining)
                    if name == split:
                        return count
                    remaining -= count
        return 0
