"""Comparison of two folders of bench results by paired tests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.benchmark.results import MeasuredErrors, RowKey, list_keys, measured_rows
from phasegan.errors import InputError
from phasegan.evaluation.tables import count_text, squared_grey_levels
from phasegan.io.atomic import read_json
from phasegan.metrics.paired_tests import PairedComparison, compare_paired, holm
from phasegan.tables import BLANK, Column, SortKey, Table

RESULTS = "results.json"
LEAST_IMAGES = 2
CROP = re.compile(r"#\d+,\d+,\d+$")
"""End of the source of a crop: its place in the photograph."""
COVERED = {
    "neither": "† one seed on a side: noise of the test images only; another seed may differ by "
    "more.",
    "one side": "‡ several seeds on one side only: their spread stands for that of both.",
    "both sides": "verdicts without a mark: the spread over the seeds of both sides is in the "
    "test; seeds are not paired.",
}
"""By `PairedComparison.spread_of`: the meaning of the marks behind verdicts."""
SPREAD_MARKS = {"neither": "†", "one side": "‡", "both sides": ""}
"""Behind a verdict, by `PairedComparison.spread_of`; the notes of a comparison explain them."""

_Side = dict[RowKey, list[MeasuredErrors]]
_Errors = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """One method on both sides."""

    method: str
    samples: int | None
    epochs: int | None
    split: str
    """`test` or `train`."""
    before: float
    """Mean MSE over the images in common and the seeds that exist, squared grey levels."""
    after: float
    comparison: PairedComparison
    """After against before; its verdict is made after Holm's correction over all changes."""

    @property
    def key(self) -> RowKey:
        """Key of the rows that were compared."""
        return RowKey(self.method, self.samples, self.epochs, self.split)

    @property
    def percent(self) -> float | None:
        """Change in percent of the mean before; None where that is 0."""
        return None if self.before == 0 else 100 * (self.after / self.before - 1)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        means = {"before": self.before, "after": self.after}
        return {**self.key._asdict(), **means, **self.comparison.as_json()}


@dataclass(frozen=True)
class Comparison:
    """Changes from one document of results to another."""

    changes: list[Change]
    """In the order of the rows before; `identical` where every error of an image is."""
    only_before: list[RowKey]
    only_after: list[RowKey]
    remarks: list[str]
    """Notes on the changes, a sentence each."""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "changes": [change.as_json() for change in self.changes],
            "only_before": [key._asdict() for key in self.only_before],
            "only_after": [key._asdict() for key in self.only_after],
            "remarks": list(self.remarks),
        }

    def table(self) -> tuple[list[str], list[tuple[list[str], list[SortKey]]]]:
        """Return the headers and, for each change, its cells and what they are sorted by."""
        table = Table.from_records("Changes", CHANGE_COLUMNS, self.changes)
        headers = [column.header for column in CHANGE_COLUMNS]
        return headers, list(zip(table.cells(), table.sort_keys(), strict=True))

    def cells(self) -> list[list[str]]:
        """Return the text of every cell, a list a change."""
        return [cells for cells, _ in self.table()[1]]


def read_results(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a bench left in a folder.

    Parameters
    ----------
    folder : path
        With `results.json`, of format 1 or 2.

    Returns
    -------
    dict
        The document, checked as far as `compare_results` needs it.

    Raises
    ------
    InputError
        If there is no such folder, no results in it, or they are of another
        format or damaged.
    """
    path = Path(folder) / RESULTS
    if not path.parent.is_dir():
        what = "not a folder" if path.parent.exists() else "no such folder"
        raise InputError(f"{folder}: {what}; give the folder of a bench's results")
    if not path.is_file():
        raise InputError(f"{folder}: no {RESULTS} in it; give the folder of a bench's results")
    document: dict[str, Any] = read_json(path)
    measured_rows(document, str(path))
    return document


def compare_results(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare every method that was measured on both sides, by a paired test.

    Rows of one method, samples, epochs and split are seeds of each other; only
    measured rows (`ok`) take part. Images are paired by their source: those that
    all seeds of both sides have. Where several images have one source they are
    paired by position, if the lists of sources are equal. See
    `phasegan.metrics.paired_tests.compare_paired` for the test; p values are
    adjusted (Holm 1979) over all changes that are not identical.

    Parameters
    ----------
    before, after : dict
        Documents of `results.json`, of format 1 or 2.

    Returns
    -------
    Comparison
        A method with fewer than two images in common has a remark, no change.

    Raises
    ------
    InputError
        If a document is of another format or damaged.
    """
    rows_by_key = (measured_rows(before, "before"), measured_rows(after, "after"))
    sides = (_one_a_seed(rows_by_key[0]), _one_a_seed(rows_by_key[1]))
    changes: list[Change] = []
    apart: dict[str, list[RowKey]] = {}
    for key in (key for key in sides[0] if key in sides[1]):
        paired = _paired(sides[0][key], sides[1][key])
        if isinstance(paired, str):
            apart.setdefault(paired, []).append(key)
        else:
            means = [float(errors.mean()) for errors in paired]
            changes.append(Change(*key, means[0], means[1], compare_paired(*paired)))
    changes = _adjusted(changes)
    only_before, only_after = (
        [key for key in side if key not in other] for side, other in (sides, sides[::-1])
    )
    remarks = _data_remarks((before, after), sides)
    remarks += [f"not compared, {reason}: {list_keys(keys)}." for reason, keys in apart.items()]
    twice = {
        key: None
        for s, w in zip(sides, rows_by_key, strict=True)
        for key in s
        if len(s[key]) < len(w[key])
    }
    if twice:
        remarks.append(
            f"several rows of one seed, the first of them stands: {list_keys([*twice])}."
        )
    for name, keys in (("before", only_before), ("after", only_after)):
        remarks += [f"only {name}: {list_keys(keys)}."] if keys else []
    remarks += _test_remarks(changes, sides)
    return Comparison(changes, only_before, only_after, remarks)


def _one_a_seed(side: _Side) -> _Side:
    return {
        key: list({row.seed: row for row in rows[::-1]}.values())[::-1]
        for key, rows in side.items()
    }


def _paired(
    before: Sequence[MeasuredErrors], after: Sequence[MeasuredErrors]
) -> tuple[_Errors, _Errors] | str:
    """Return errors (seeds, images) of the same images, or why there are none."""
    rows = [*before, *after]
    common = list(rows[0].sources)
    if not all(row.sources for row in rows):
        return "as the results do not say which images they are"
    if all(row.sources == rows[0].sources for row in rows):
        stack = np.stack([row.mse for row in rows])
    elif any(len(set(row.sources)) < len(row.sources) for row in rows):
        return "as several images have one source and the lists of sources differ"
    else:
        places = [dict(zip(row.sources, row.mse, strict=True)) for row in rows]
        common = [source for source in common if all(source in place for place in places)]
        stack = np.array([[place[source] for source in common] for place in places])
    if len(common) < LEAST_IMAGES:
        return "as fewer than two images are in common"
    return stack[: len(before)], stack[len(before) :]


def _adjusted(changes: Sequence[Change]) -> list[Change]:
    p_values = [c.comparison.p_value for c in changes if c.comparison.tested]
    adjusted = iter(holm([p for p in p_values if p is not None]).tolist())
    return [
        replace(c, comparison=c.comparison.with_adjusted(next(adjusted)))
        if c.comparison.tested
        else c
        for c in changes
    ]


def _data_remarks(
    documents: tuple[Mapping[str, Any], Mapping[str, Any]], sides: tuple[_Side, _Side]
) -> list[str]:
    """Say whether the data differ."""
    one, other = (document["data"] for document in documents)
    names = [_test_images(side) for side in sides]
    common = set(names[0]) & set(names[1])
    remarks = []
    if one["digest"] != other["digest"]:
        kinds = dict.fromkeys(
            str(data.get("description", "no description")) for data in (one, other)
        )
        remarks.append(
            f"the data differ, {one['digest'][:8]} before and {other['digest'][:8]} after "
            f"({' against '.join(kinds)}): {len(common)} test images are in common by name, of "
            f"{len(names[0])} before and {len(names[1])} after. Equal names may be other pixels, "
            "and the MSE here are those of the images in common."
        )
    return remarks


def _test_images(side: _Side) -> tuple[str, ...]:
    """Return the sources of the first row on the test split."""
    rows = (row for key, rows in side.items() if key.split == "test" for row in rows)
    return next((row.sources for row in rows), ())


def _test_remarks(changes: Sequence[Change], sides: tuple[_Side, _Side]) -> list[str]:
    """Say what the tests cover."""
    tested = [change for change in changes if change.comparison.tested]
    kinds = {change.comparison.spread_of for change in tested}
    remarks = [text for kind, text in COVERED.items() if kind in kinds]
    seeds = [[{row.seed for row in side[change.key]} for side in sides] for change in tested]
    if any(not one & other for one, other in seeds):
        remarks.append(
            "seeds before and after differ, and with them samples, weights and shuffles: a "
            "difference may be theirs."
        )
    crops = _test_images(sides[0])
    photographs = {CROP.sub("", name) for name in crops}
    if tested and len(photographs) < len(crops):
        remarks.append(
            f"the {len(crops)} test images are crops of {len(photographs)} photographs and not "
            "independent: p values are too small."
        )
    if len(tested) > 1:
        remarks.append(
            f"p and verdict are adjusted for {len(tested)} tests (Holm 1979); each interval "
            "stands for its own row alone."
        )
    return remarks


def _signed(value: float) -> str:
    sign = "" if value == 0 else "−" if value < 0 else "+"
    return sign + squared_grey_levels(abs(value))


def _percent(change: Change) -> str:
    if change.percent is None:
        return BLANK
    return f"{change.percent:+,.1f}".replace("-", "−") if change.comparison.tested else "0.0"


def _interval(change: Change) -> str:
    ends = change.comparison.interval
    if ends is None or not change.comparison.tested:
        return BLANK
    return f"{_signed(ends[0])} to {_signed(ends[1])}"


def _p_value(change: Change) -> str:
    p = change.comparison.adjusted_p
    if p is None or not change.comparison.tested:
        return BLANK
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _verdict(change: Change) -> str:
    comparison = change.comparison
    return comparison.verdict + (SPREAD_MARKS[comparison.spread_of] if comparison.tested else "")


def _of_change(
    header: str, text: Callable[[Change], str], order: Callable[[Change], float | str | None]
) -> Column:
    return Column(header, value=lambda change: change, format=text, sort_key=order)


CHANGE_COLUMNS = (
    Column("method", value=lambda change: change.key.label, align="left"),
    Column("samples", format=count_text),
    Column("epochs", format=count_text),
    Column(
        "seeds",
        value=lambda change: change.comparison.seeds,
        format=lambda seeds: "/".join(map(str, seeds)),
        sort_key=min,
    ),
    Column("MSE before", "before", format=squared_grey_levels),
    Column("MSE after", "after", format=squared_grey_levels),
    _of_change("change %", _percent, lambda change: change.percent),
    _of_change(
        "95 % interval of the difference", _interval, lambda change: change.comparison.difference
    ),
    _of_change("p (Holm)", _p_value, lambda change: change.comparison.adjusted_p),
    Column(
        "images better/worse",
        value=lambda change: (change.comparison.better, change.comparison.worse),
        format=lambda counts: "{:,}/{:,}".format(*counts),
        sort_key=lambda counts: counts[0],
    ),
    _of_change("verdict", _verdict, lambda change: change.comparison.verdict),
)
"""Columns of a method before and after."""
