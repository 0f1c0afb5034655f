"""Result rows: what `evaluate` and `bench` print and write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from phasegan.metrics.ruler import Scores, summarise


@dataclass(frozen=True)
class Row:
    """One method's scores on one test split.

    `values` are the numbers of `phasegan.metrics.ruler.summarise`, or for a
    quoted row `mse_published` alone.
    """

    method: str
    values: dict[str, Any]
    per_image: list[dict[str, Any]] = field(default_factory=list)
    run: str | None = None
    samples: int | None = None
    epochs: int | None = None
    seed: int | None = None
    seconds: float | None = None
    """Spent training."""
    estimated_seconds: float | None = None
    """Estimated before training."""
    status: str = "ok"
    """`ok`, `unfinished` for a run that was stopped, `quoted` for what others published."""
    machine: dict[str, Any] | None = None
    """Where it was measured: see `phasegan.devices.describe_machine`."""

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values; what is not known is null."""
        numbers = {"mse": None, "mse_stderr": None, **self.values}
        head = {"method": self.method, "status": self.status}
        training = {
            "run": self.run,
            "samples": self.samples,
            "epochs": self.epochs,
            "seed": self.seed,
            "seconds": self.seconds,
            "estimated_seconds": self.estimated_seconds,
            "machine": self.machine,
        }
        return {**head, **numbers, **training, "per_image": self.per_image}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Row:
        """Read what `as_json` wrote."""
        fields = {
            key: document[key]
            for key in cls.__dataclass_fields__
            if key in document and key != "values"
        }
        values = {k: v for k, v in document.items() if k not in fields}
        return cls(values=values, **fields)


def row_from_scores(method: str, scores: Scores, sources: list[str], **known: Any) -> Row:
    """Build a row.

    Parameters
    ----------
    method : str
        Its name.
    scores : Scores
        One number an image.
    sources : list of str
        Where the images came from.
    **known
        Further fields of `Row`.
    """
    per_image = [
        {"source": source, "mse": float(mse), "exact": bool(exact)}
        for source, mse, exact in zip(sources, scores.mse, scores.exact, strict=True)
    ]
    return Row(method, summarise(scores), per_image, **known)
