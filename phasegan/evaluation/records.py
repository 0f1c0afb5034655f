"""Result rows of `evaluate` and `bench`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from phasegan.eta import Estimate
from phasegan.metrics.image_metrics import Scores, summarise

Status = Literal["ok", "unfinished", "failed", "skipped", "estimated", "quoted"]
STATUSES: dict[Status, str] = {
    "ok": "measured",
    "unfinished": "a run that was stopped, as far as it went",
    "failed": "the training or the scoring ended in an error",
    "skipped": "the data do not allow it",
    "estimated": "not run: only its duration was estimated",
    "quoted": "as others published it, not measured here",
}
PER_IMAGE = ("mse", "ssim", "exact")
"""The scores that a row keeps of every image."""
_ROUNDING = 1e-9
"""Relative error of a float64 mean, with room for any order of summation."""


@dataclass(frozen=True)
class Cost:
    """Time and memory of a row."""

    wall_seconds: float
    """From its start to its last score; of a training all attempts."""
    device_seconds: float | None
    """See `phasegan.resources.Meter`."""
    peak_bytes: int | None
    """The most memory held at once; None where it is not known."""
    scoring_seconds: float
    """Spent reconstructing and scoring the test images."""
    scored_per_second: float
    """Test images reconstructed and scored in a second."""
    trained_per_second: float | None = None
    """Training images seen in a second, samples × epochs over the training's seconds."""


@dataclass(frozen=True)
class ResultRow:
    """One method's scores on one test split.

    `values` are the numbers of `phasegan.metrics.image_metrics.summarise`; a row of
    which nothing was measured has none, and a quoted one `mse_published` alone.
    """

    method: str
    values: dict[str, Any] = field(default_factory=dict)
    per_image: dict[str, list[Any]] = field(default_factory=dict)
    """Scores of each image by the names of `PER_IMAGE`, in the order of the split."""
    run: str | None = None
    samples: int | None = None
    epochs: int | None = None
    """None for methods that are not trained, and for a run that was extended."""
    schedule: str | None = None
    """`20 + 10`: the epochs of a run that was extended; None for others."""
    seed: int | None = None
    split: str = "test"
    """`test`, or `train` where a case scores images that were trained on."""
    seconds: float | None = None
    """Spent training."""
    estimate: Estimate | None = None
    """Estimate of the training's seconds, from before it began."""
    status: Status = "ok"
    reason: str | None = None
    """Why a row failed, was skipped or left out; or how a training fell back and went on."""
    cost: Cost | None = None
    machine: dict[str, Any] | None = None
    """The machine and versions, see `phasegan.evaluation.provenance`."""
    key: str | None = None
    """Digest of all that decides the row; see `phasegan.benchmark.plan`."""

    @property
    def measured(self) -> bool:
        """Whether it has scores."""
        return self.values.get("mse") is not None

    def adds_up(self, images: int) -> bool:
        """Check that means and counts are those of the single images.

        Parameters
        ----------
        images : int
            Number of images scored.

        Returns
        -------
        bool
            Means agree within the rounding of float64.
        """
        if self.values["test_images"] != images or set(self.per_image) != set(PER_IMAGE):
            return False
        if any(len(scores) != images for scores in self.per_image.values()):
            return False
        means = {name: self.values[name] for name in ("mse", "ssim")}
        return sum(self.per_image["exact"]) == self.values["exact"] and all(
            mean is None
            if None in self.per_image[name]
            else math.isclose(math.fsum(self.per_image[name]) / images, mean, rel_tol=_ROUNDING)
            for name, mean in means.items()
        )

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values; what is not known is null."""
        return {
            "method": self.method,
            "status": self.status,
            "reason": self.reason,
            "samples": self.samples,
            "epochs": self.epochs,
            **({} if self.schedule is None else {"schedule": self.schedule}),
            "seed": self.seed,
            "split": self.split,
            "mse": None,
            "mse_stderr": None,
            **self.values,
            "run": self.run,
            "seconds": self.seconds,
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "cost": None if self.cost is None else asdict(self.cost),
            "machine": self.machine,
            "key": self.key,
            "per_image": self.per_image,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ResultRow:
        """Read what `as_json` wrote.

        Parameters
        ----------
        document : dict
            One row.

        Returns
        -------
        ResultRow
            Equal to the one written.

        Raises
        ------
        ValueError
            If the status is not known, or a score is not a number.
        """
        known = cls.__dataclass_fields__.keys() - {"values"}
        fields = {key: value for key, value in document.items() if key in known}
        values = {key: value for key, value in document.items() if key not in known}
        if fields.get("estimate") is not None:
            fields["estimate"] = Estimate.from_json(fields["estimate"])
        if fields.get("cost") is not None:
            fields["cost"] = Cost(**fields["cost"])
        if fields.get("status", "ok") not in STATUSES:
            raise ValueError(f"status {fields['status']!r}")
        numbers = [*values.values(), fields.get("seconds"), *(document.get("cost") or {}).values()]
        if not all(value is None or isinstance(value, int | float) for value in numbers):
            raise ValueError("a score that is no number")
        if values.get("mse") is None:
            values = {key: value for key, value in values.items() if value is not None}
        return cls(values=values, **fields)


def row_from_scores(method: str, scores: Scores, **known: Any) -> ResultRow:
    """Build a row.

    Parameters
    ----------
    method : str
        Its name.
    scores : Scores
        One number an image.
    **known
        Further fields of `ResultRow`.

    Returns
    -------
    ResultRow
        With means over the images, and the scores of each.
    """
    per_image = {name: _plain(getattr(scores, name)) for name in PER_IMAGE}
    return ResultRow(method, summarise(scores), per_image, **known)


def _plain(values: Any) -> list[Any]:
    if values.dtype == bool:
        return [bool(value) for value in values]
    return [float(value) if np.isfinite(value) else None for value in values]
