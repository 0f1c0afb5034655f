"""One call of a bench: loads rows of earlier calls, measures others within the budget."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch

from phasegan.benchmark.cases import OPTIONAL_SECONDS
from phasegan.benchmark.estimates import Estimator, RowEstimate
from phasegan.benchmark.measure import measure_row, scored_samples
from phasegan.benchmark.plan import NO_STATISTICS, PlannedRow
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import DiskFullError, InputError, RunError
from phasegan.eta import Estimate, sum_estimates
from phasegan.evaluation.records import ResultRow
from phasegan.io.atomic import read_json, write_json
from phasegan.progress import Progress, format_duration
from phasegan.resources import interpreter_seconds

REPORTED_SECONDS = 20.0
"""The remaining time is reported after a training if it is estimated at more than this."""
REPORT_UNITS, REPORT_UNITS_PER_ROW = 400.0, 20.0
"""Tables, figures and the report at the end, in units of `interpreter_seconds`."""
REPORT_DEVIATION = 0.25
PRIOR_SECONDS = 60.0
"""Trainings of this length correct the estimates of others by half of what they were off."""


class Session:
    """Measures planned rows one by one, within a budget of time.

    Parameters
    ----------
    planned : list of PlannedRow
        In the order of the table.
    file : PreparedFile
        The data.
    folder : pathlib.Path
        With `rows/` (one JSON file a row), `estimates/` and `runs/`.
    device : torch.device
        Where trainings run.
    estimator : Estimator
        Of durations.
    budget : float, optional
        Seconds from the making of this object on; None for as long as it takes,
        but for optional rows.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        planned: list[PlannedRow],
        file: PreparedFile,
        folder: Path,
        device: torch.device,
        estimator: Estimator,
        budget: float | None,
        progress: Progress,
    ) -> None:
        self._planned, self._file, self._folder = planned, file, folder
        self._device, self._estimator = device, estimator
        self._budget, self._progress = budget, progress
        self._start = time.monotonic()
        self._rows: dict[PlannedRow, ResultRow] = {
            row: ResultRow(
                row.method,
                samples=row.samples,
                epochs=row.epochs,
                seed=row.seed if row.epochs is not None else None,
                split=row.split,
                status="skipped",
                reason=row.skip,
            )
            for row in planned
            if row.skip
        }
        self._removed_runs: set[str] = set()
        self._announced_omissions: set[PlannedRow] = set()
        self._force = False
        self._estimated_seconds = self._measured_seconds = 0.0
        self.reused = 0

    def rows(self) -> list[ResultRow]:
        """Return what is known, in the order of the plan."""
        return [self._rows[row] for row in self._planned if row in self._rows]

    def load_rows(self, force: bool = False) -> None:
        """Load the rows that earlier calls measured.

        Parameters
        ----------
        force : bool
            Load none: all are measured again.
        """
        self._force = force
        for row in [] if force else self._planned:
            measured = None if row in self._rows else self._read(row)
            if measured is not None:
                self._rows[row] = measured
                self.reused += 1

    def estimate_only(self) -> tuple[list[ResultRow], Estimate | None]:
        """Estimate what earlier calls did not measure; write nothing.

        Returns
        -------
        (list of ResultRow, Estimate or None)
            All rows, and what there is to do in all, without what is left out.
        """
        self.load_rows()
        estimates, failed = self._estimator.estimate(
            self._missing(), self._saved_estimates(self._missing())
        )
        for row, reason in failed.items():
            self._failed_row(row, reason)
        reasons = self._reasons_to_omit(estimates)
        measurable = {row: e for row, e in estimates.items() if not reasons[row]}
        for row, estimate in estimates.items():
            self._rows[row] = self._omitted_row(row, estimate, reasons[row])
        return self.rows(), self._remaining_in_all(measurable) if measurable else None

    def measure(self) -> Iterator[list[ResultRow]]:
        """Estimate and measure what is missing; give all rows after each of them."""
        estimates = self._estimate(self._missing())
        queue = self._missing()
        for number, row in enumerate(queue):
            estimate = estimates[row]
            reason = self._reason_to_omit(row, estimate, self._seconds_left())
            if reason:
                self._rows[row] = self._omitted_row(row, estimate, reason)
                if row not in self._announced_omissions:
                    self._progress.say(f"left out: {row.label}: {reason}")
                continue
            self._rows[row] = measured = self._measure(row, estimate)
            write_json(self._row_path(row), measured.as_json())
            if row.config is not None:
                self._update_correction(measured, estimate)
                self._report_remaining({other: estimates[other] for other in queue[number + 1 :]})
            yield self.rows()

    def _missing(self) -> list[PlannedRow]:
        return [row for row in self._planned if row not in self._rows]

    def _row_path(self, row: PlannedRow) -> Path:
        return self._folder / "rows" / f"{row.key(self._file, self._device)}.json"

    def _read(self, planned: PlannedRow) -> ResultRow | None:
        """Return a row from an earlier call, None if it has to be measured."""
        path = self._row_path(planned)
        if not path.is_file():
            return None
        other = ""
        try:
            row = ResultRow.from_json(read_json(path))
            failed = row.status == "failed"
            other = self._mismatch(planned, row)
            usable = failed or (math.isfinite(row.values["mse"]) and not other)
        except (InputError, TypeError, KeyError, ValueError, AttributeError, OverflowError):
            usable = failed = False
        if not usable:
            reason = f"holds another row, or an edited one ({other})" if other else "is damaged"
            self._progress.warn(f"{path} {reason}, its row is measured again")
        elif failed:
            self._progress.say(f"{planned.method} failed before ({row.reason}), it is tried again")
        elif row.run is not None and not (self._folder / row.run).is_dir():
            self._progress.warn(f"{self._folder / row.run} is gone, its row is measured again")
        else:
            return row
        return None

    def _mismatch(self, planned: PlannedRow, row: ResultRow) -> str:
        """Say what shows that a row is not that of the plan; empty if nothing does."""
        seeded = planned.config is not None or planned.method not in NO_STATISTICS
        expected = {
            "key": planned.key(self._file, self._device),
            "method": planned.method,
            "samples": planned.samples,
            "epochs": planned.epochs,
            "seed": planned.seed if seeded else None,
            "split": planned.split,
        }
        for name, value in expected.items():
            if getattr(row, name) != value:
                return f"{name} {getattr(row, name)!s:.40}, not {value}"
        if row.status == "failed":
            return ""
        if row.status != "ok":
            return f"status {row.status}"
        if not self._is_own_run(planned, row.run):
            return f"run {row.run!s:.80}"
        indices = scored_samples(planned, self._file)
        count = len(self._file.test) if indices is None else len(indices)
        return "" if row.adds_up(count) else "its scores are not those of its images"

    def _is_own_run(self, planned: PlannedRow, run: str | None) -> bool:
        """Tell whether a run folder is that of a row, inside the results."""
        if planned.config is None or run is None:
            return planned.config is None and run is None
        folder, *name = PurePosixPath(run).parts
        digest = self._run_name(planned).rpartition("-")[-1]
        return folder == "runs" and len(name) == 1 and name[0].endswith(f"-{digest}")

    def _estimate(self, missing: list[PlannedRow]) -> dict[PlannedRow, RowEstimate]:
        """Estimate rows, and say what comes out; rows that cannot even be tried fail."""
        begun = self._saved_estimates(missing)
        estimates, failed = self._estimator.estimate(missing, begun)
        for row, reason in failed.items():
            self._failed_row(row, reason)
        announced: set[str] = set()
        for row, estimate in estimates.items():
            training = estimate.training
            if training is not None and row not in begun and row.label not in announced:
                announced.add(row.label)
                text = f"{row.label}: estimated {training.describe()}"
                self._progress.say(f"{text} on {self._device}")
        reasons = self._reasons_to_omit(estimates)
        measurable = {row: e for row, e in estimates.items() if not reasons[row]}
        for row, reason in reasons.items():
            if reason:
                self._announced_omissions.add(row)
                self._progress.say(f"left out: {row.label}: {reason}")
        trainings = {self._run_name(row) for row in measurable if row.config is not None}
        if trainings:
            whole = self._remaining_in_all(measurable).after(self._progress.elapsed())
            self._progress.say(
                f"{len(measurable)} rows, {len(trainings)} trainings: "
                f"estimated {whole.describe()} in all"
            )
        return estimates

    def _remaining(self, estimates: dict[PlannedRow, RowEstimate]) -> Estimate:
        """Return what rows still take in all; rows that share a run train it once."""
        parts, runs = [], set()
        for row, estimate in estimates.items():
            parts.append(estimate.scoring)
            name = None if row.config is None else self._run_name(row)
            if name not in runs and estimate.training is not None:
                parts.append(estimate.training.scaled(1 - self._done_fraction(row)))
                runs.add(name)
        return sum_estimates(parts).scaled(self._correction)

    def _remaining_in_all(self, estimates: dict[PlannedRow, RowEstimate]) -> Estimate:
        """Return what rows, and the report after them, still take."""
        units = REPORT_UNITS + REPORT_UNITS_PER_ROW * len(self._planned)
        report = Estimate.around(units * interpreter_seconds(), REPORT_DEVIATION, {})
        return sum_estimates([self._remaining(estimates), report])

    def _seconds_left(self) -> float:
        """Return the seconds that are left of the budget."""
        spent = time.monotonic() - self._start
        return math.inf if self._budget is None else self._budget - spent

    @property
    def _correction(self) -> float:
        """Ratio of measured to estimated time of this call's trainings, near 1 if short."""
        return (self._measured_seconds + PRIOR_SECONDS) / (self._estimated_seconds + PRIOR_SECONDS)

    def _reasons_to_omit(self, estimates: dict[PlannedRow, RowEstimate]) -> dict[PlannedRow, str]:
        """Say why rows will be left out if all take what they are estimated to take."""
        left, reasons = self._seconds_left(), {}
        for row, estimate in estimates.items():
            reasons[row] = self._reason_to_omit(row, estimate, left)
            if not reasons[row]:
                left -= self._remaining({row: estimate}).seconds
        return reasons

    def _reason_to_omit(self, row: PlannedRow, estimate: RowEstimate, left: float) -> str:
        """Say why a row is left out when so many seconds are left; empty if it is not."""
        needed = self._remaining({row: estimate}).seconds
        if needed > left:
            rest = format_duration(max(0.0, left))
            return f"estimated {format_duration(needed)}, {rest} of the budget are left"
        patient = self._budget is not None or not row.optional or self._done_fraction(row) > 0
        if not patient and needed > OPTIONAL_SECONDS:
            return f"estimated {format_duration(needed)}; --budget with more than that trains it"
        return ""

    def _run_name(self, row: PlannedRow) -> str:
        return row.run_name(self._file, self._device)

    def _run(self, row: PlannedRow) -> RunFolder:
        return RunFolder(self._folder / "runs" / self._run_name(row))

    def _done_fraction(self, row: PlannedRow) -> float:
        """Return the share of its steps that an earlier call's training has done."""
        if row.config is None or self._force or not self._run(row).status_path.is_file():
            return 0.0
        status = self._run(row).read_status()
        return status.step / status.steps

    def _omitted_row(self, row: PlannedRow, estimate: RowEstimate, reason: str) -> ResultRow:
        return ResultRow(
            row.method,
            samples=row.samples,
            epochs=row.epochs,
            seed=None if row.samples is None else row.seed,
            split=row.split,
            status="estimated",
            reason=reason or None,
            estimate=(estimate.training or estimate.scoring).scaled(self._correction),
            key=row.key(self._file, self._device),
        )

    def _measure(self, row: PlannedRow, estimate: RowEstimate) -> ResultRow:
        first = self._save_estimate(row, estimate)
        if self._force:
            self._remove(row)
        try:
            return measure_row(row, self._file, self._folder, self._device, first, self._progress)
        except DiskFullError:
            raise  # none for the other rows either
        except RunError as error:
            return self._failed_row(row, str(error))

    def _failed_row(self, row: PlannedRow, reason: str) -> ResultRow:
        self._progress.warn(f"{row.label} failed: {reason}")
        self._rows[row] = ResultRow(
            row.method,
            samples=row.samples,
            epochs=row.epochs,
            seed=None if row.samples is None else row.seed,
            split=row.split,
            status="failed",
            reason=reason,
            key=row.key(self._file, self._device),
        )
        return self._rows[row]

    def _saved_estimates(self, rows: list[PlannedRow]) -> dict[PlannedRow, Estimate]:
        """Return what was estimated of trainings that an earlier call began."""
        estimates = {}
        for row in rows:
            path = self._estimate_path(row)
            if self._done_fraction(row) == 0 or not path.is_file():
                continue
            try:
                estimates[row] = Estimate.from_json(read_json(path))
            except (InputError, KeyError, TypeError, ValueError):
                self._progress.warn(f"{path} is damaged; the row is shown with a new estimate")
        return estimates

    def _estimate_path(self, row: PlannedRow) -> Path:
        name = "" if row.config is None else self._run_name(row)
        return self._folder / "estimates" / f"{name}.json"

    def _save_estimate(self, row: PlannedRow, estimate: RowEstimate) -> RowEstimate:
        """Return what is estimated right before the row's first attempt, and keep it."""
        if estimate.training is None or self._saved_estimates([row]):
            return estimate
        training = estimate.training.scaled(self._correction)
        write_json(self._estimate_path(row), training.as_json())
        return RowEstimate(training, estimate.scoring)

    def _remove(self, row: PlannedRow) -> None:
        """Remove what an earlier call left of a row, once a run."""
        self._row_path(row).unlink(missing_ok=True)
        if row.config is not None and self._run_name(row) not in self._removed_runs:
            self._removed_runs.add(self._run_name(row))
            shutil.rmtree(self._run(row).path, ignore_errors=True)

    def _update_correction(self, row: ResultRow, estimate: RowEstimate) -> None:
        """Compare a training with its estimate, for the rows that are left."""
        if row.seconds is not None and estimate.training is not None and row.status == "ok":
            self._estimated_seconds += estimate.training.seconds
            self._measured_seconds += row.seconds

    def _report_remaining(self, left: dict[PlannedRow, RowEstimate]) -> None:
        reasons = self._reasons_to_omit(left)
        left = {row: estimate for row, estimate in left.items() if not reasons[row]}
        remaining = self._remaining_in_all(left)
        if remaining.seconds < REPORTED_SECONDS:
            return
        end = time.strftime("%H:%M", time.localtime(time.time() + remaining.seconds))
        self._progress.say(
            f"{len(left)} rows left: estimated {remaining.describe()}, until about {end}"
        )
