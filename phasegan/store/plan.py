"""Which pictures of a source may become which samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phasegan.errors import InputError
from phasegan.store.recipes import Recipe
from phasegan.store.sources import Item

TEST_SHARE = 0.1
"""Share of an unsplit folder that becomes the test split."""


@dataclass
class Plan:
    """Which items may become which samples, and how many are wanted."""

    queues: list[tuple[tuple[str, ...], list[Item]]]
    """Splits that a queue fills, in order, and its items."""
    targets: dict[str, int | None]
    """How many are wanted; None: all."""

    @classmethod
    def make(cls, items: list[Item], recipe: Recipe) -> Plan:
        """Plan for a source's items.

        An unsplit source is shuffled; its first usable pictures become the test
        split. Where the source has a split, a smaller number asked for is chosen
        by the seed.

        Raises
        ------
        InputError
            If more is asked for than there is.
        """
        counts = {"train": recipe.split.samples, "test": recipe.split.test}
        rng = np.random.default_rng(recipe.split.seed)
        if items[0].split is None:
            shuffled = [items[i] for i in rng.permutation(len(items))]
            if counts["test"] is None:
                counts["test"] = max(1, round(TEST_SHARE * len(items))) if len(items) > 1 else 0
            plan = cls([(("test", "train"), shuffled)], counts)
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

    def expected(self, split: str) -> int:
        """Return how many samples a split gets if no picture is skipped."""
        for splits, queue in self.queues:
            if split in splits:
                left = len(queue)
                for name in splits:
                    target = self.targets[name]
                    count = left if target is None else min(target, left)
                    if name == split:
                        return count
                    left -= count
        return 0
