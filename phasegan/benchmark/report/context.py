"""Context of the documents of a bench: case, data, folder, warnings."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from phasegan._version import __version__
from phasegan.benchmark.cases import Case
from phasegan.benchmark.scaling import scaling_curves
from phasegan.benchmark.summary import summarise_seeds
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.leakage import LeakReport
from phasegan.evaluation.evaluate import open_baseline, open_run
from phasegan.evaluation.notes import SMOKE_NOTE, is_smoke_test, worse_than_baselines
from phasegan.evaluation.records import ResultRow, Status
from phasegan.metrics.image_metrics import SSIM_DESCRIPTION
from phasegan.reconstruction.protocol import Method

RESULTS_FORMAT = 2
_LEFT: dict[Status, str] = {"skipped": "skipped", "estimated": "not run"}


@dataclass(frozen=True)
class ReportContext:
    """Case, data and folder of a bench, for its documents."""

    folder: Path
    case: Case
    file: PreparedFile
    device: torch.device
    leaks: LeakReport
    command: tuple[str, ...]
    """Words of the command that repeats it; empty where that is not known."""
    budget: float | None
    against: str = ""
    """The name of the folder that is compared with."""
    opened: dict[str, Method] = field(default_factory=dict, repr=False, compare=False)
    """Methods that are ready, by the keys of their rows; some take long to be."""

    @property
    def heading(self) -> str:
        """The case and its data, in a line."""
        return heading(self.case, self.file)

    def warnings(self, rows: Sequence[ResultRow]) -> tuple[str, ...]:
        """Return the warnings: leaks, a smoke test, failed rows.

        Parameters
        ----------
        rows : sequence of ResultRow
            Of the bench.

        Returns
        -------
        tuple of str
            A sentence each.
        """
        leaked = self.leaks.describe()
        return (
            *([f"Leak allowed: {leaked}."] if leaked else []),
            *([SMOKE_NOTE] if is_smoke_test(self.file.attributes) else []),
            *(
                f"Failed: {row.method}, {row.samples} × {row.epochs}: {row.reason}"
                for row in rows
                if row.status == "failed"
            ),
        )

    def omissions(self, rows: Sequence[ResultRow]) -> tuple[str, ...]:
        """List the rows without scores, with their reasons.

        Parameters
        ----------
        rows : sequence of ResultRow
            Of the bench.

        Returns
        -------
        tuple of str
            A sentence each, sorted.
        """
        reasons = {
            f"{_LEFT[row.status]}: {row.method}"
            + (f", {row.samples:,} × {row.epochs:,}" if row.samples and row.epochs else "")
            + f": {row.reason}."
            for row in rows
            if row.status in _LEFT and row.reason
        }
        return tuple(sorted(reasons))

    def notes(self, rows: Sequence[ResultRow]) -> tuple[str, ...]:
        """Return the warnings, and the trainings that are worse than a baseline.

        Parameters
        ----------
        rows : sequence of ResultRow
            Of the bench.

        Returns
        -------
        tuple of str
            A sentence each.
        """
        return (*self.warnings(rows), *worse_than_baselines(rows))

    def document(self, rows: Sequence[ResultRow]) -> dict[str, Any]:
        """Build the document of `results.json`, described in docs/bench.md.

        Parameters
        ----------
        rows : sequence of ResultRow
            Of the bench.

        Returns
        -------
        dict
            Of JSON values.
        """
        return {
            "format": RESULTS_FORMAT,
            "phasegan_version": __version__,
            "case": self.case.model_dump(mode="json", exclude_unset=True),
            "command": shlex.join(self.command) or None,
            "budget_seconds": self.budget,
            "device": str(self.device),
            "data": {
                "name": self.file.path.name,
                "digest": self.file.digest,
                "description": self.file.layout.describe(),
                "recipe": self.file.attributes["recipe"],
                "train": len(self.file.train),
                "test": len(self.file.test),
            },
            "leaks": self.leaks.as_json(),
            "scale": "0..255, squared grey levels",
            "ssim_window": SSIM_DESCRIPTION,
            "sources": {"test": self.file.test.sources()},
            "seeds": [summary.as_json() for summary in summarise_seeds(rows)],
            "scaling": [curve.as_json() for curve in scaling_curves(rows)],
            "rows": [row.as_json() for row in rows],
        }


def heading(case: Case, file: PreparedFile) -> str:
    """Describe a bench by its title, its data, size, oversampling and noise.

    Parameters
    ----------
    case : Case
        What is measured.
    file : PreparedFile
        The data.

    Returns
    -------
    str
        One line.
    """
    return (
        f"{case.title or case.name}: {file.path.name}, {len(file.test)} test images, "
        f"{file.layout.describe()}"
    )


def open_method(row: ResultRow, context: ReportContext) -> Method:
    """Prepare the method of a measured row for further images; each only once.

    Parameters
    ----------
    row : ResultRow
        A baseline, or a training whose run folder exists.
    context : ReportContext
        Keeps the methods.

    Returns
    -------
    callable
        Takes an `Observation`.
    """
    key = row.key or f"{row.method} {row.samples} {row.seed}"
    if key not in context.opened:
        if row.run is not None:
            method: Method = open_run(context.folder / row.run, context.file, context.device)
        else:
            method = open_baseline(row.method, context.file, row.samples, row.seed or 0)
        context.opened[key] = method
    return context.opened[key]
