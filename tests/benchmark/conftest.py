"""What tests of benchmarks share."""

from __future__ import annotations

import pytest

from phasegan.eta import Estimate


@pytest.fixture
def durations(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Estimated seconds of a training by its samples, 2.5 for others; nothing is timed."""
    known: dict[int, float] = {}

    def estimate(configs):
        seconds = [known.get(config.data.samples, 2.5) for config in configs]
        return [Estimate(s, 0.8 * s, 1.2 * s, {"steps": s}) for s in seconds]

    monkeypatch.setattr("phasegan.benchmark.estimates.time_run", lambda setup: setup.config)
    monkeypatch.setattr("phasegan.benchmark.estimates.warn_if_busy", lambda *_: None)
    monkeypatch.setattr("phasegan.benchmark.estimates.estimate_timings", estimate)
    return known
