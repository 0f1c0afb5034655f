"""Which pictures of a source may become which samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phasegan.errors import InputError
from phasegan.store.recipes import Recipe
from phasegan.store.sources import Item

TEST_EVERY = 10
"""Of an unsplit source, every tenth usable picture becomes a test sample."""


def _tenth(count: int) -> int:
    """Return how many of 0..count−1 are 1 modulo ten."""
    return (count + TEST_EVERY - 2) // TEST_EVERY


@dataclass
class Plan:
    """Which items may become which samples, and how many are wanted."""

    queues: list[tuple[tuple[str, ...], list[Item]]]
    """Splits that a queue fills, in order, and its items."""
    targets: dict[str, int | None]
    """How many are wanted; None: all."""
    by_share: bool = False
    """Whether the splits of an unsplit source are filled by turns, not one after the other."""

    @classmethod
    def make(cls, items: list[Item], recipe: Recipe) -> Plan:
        """Plan for a source's items.

        An unsplit source is shuffled; every tenth usable picture becomes a test
        sample, or where counts are asked for, the first ones do. Where the
        source has a split, a smaller number asked for is chosen by the seed.

        Raises
        ------
        InputError
            If more is asked for than there is.
        """
        counts = {"train": recipe.split.samples, "test": recipe.split.test}
        rng = np.random.default_rng(recipe.split.seed)
        if items[0].split is None:
            shuffled = [items[i] for i in rng.permutation(len(items))]
            by_share = counts == {"train": None, "test": None}
            if counts["test"] is None and not by_share:
                left = max(0, len(items) - (counts["train"] or 0))
                counts["test"] = min(_tenth(len(items)), left)
            plan = cls([(("test", "train"), shuffled)], counts, by_share)
        else:
            plan = cls([], counts)
            for split in ("train", "test"):
                own = [item for item in items if item.split == split]
                target = counts[split]
                if target is not None and target < len(own):
                    own = [own[i] for i in rng.permutation(len(own))]
                plan.queues.append(((split,), own))
        for splits, queue in plan.queues:
            asked = sum(counts[s] or 0 for s in splits)
            if asked > len(queue):
                flags = " and ".join("--test" if s == "test" else "--samples" for s in splits)
                raise InputError(
                    f"{flags}: {asked} pictures asked for, the source has {len(queue)}"
                    f"{' for ' + splits[0] if len(splits) == 1 else ''}; ask for fewer"
                )
        return plan

    def take(self, accepted: int, open_splits: list[str]) -> str:
        """Return the split for the next usable picture, after `accepted` others."""
        if self.by_share:
            return "test" if accepted % TEST_EVERY == 1 else "train"
        return open_splits[0]

    def expected(self, split: str) -> int:
        """Return how many samples a split gets if no picture is skipped."""
        for splits, queue in self.queues:
            if self.by_share:
                test = _tenth(len(queue))
                return test if split == "test" else len(queue) - test
            if split in splits:
                left = len(queue)
                for name in splits:
                    target = self.targets[name]
                    count = left if target is None else min(target, left)
                    if name == split:
                        return count
                    left -= count
        return 0
