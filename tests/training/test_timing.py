"""Estimates of durations: what they are made of, and how they add up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import phasegan
from phasegan.config.resolve.phases import resolve_phases
from phasegan.eta import RunTiming, StepKind, estimate_timings
from phasegan.progress import Progress
from phasegan.training import presets, trainer
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.physics import statistics
from phasegan.training.physics.gan import PhysicsGAN
from phasegan.training.presets import TrainingSetup
from phasegan.training.setup import timing
from phasegan.training.setup.timing import estimate_run, steps_by_kind, time_run

CPU = torch.device("cpu")


def configured(tiny, **options):
    with phasegan.open(tiny) as file:
        return resolve_phases(file.facts, CPU, **options)


def sampler(tiny, config):
    with phasegan.open(tiny) as file:
        return TrainingSetup(config, file, CPU).make_batches().sampler


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"preset": "paper", "samples": 5, "epochs": 3}, {(True, 1): 15}),
        ({"preset": "physics", "samples": 5, "epochs": 3}, {(True, 5): 1, (False, 5): 2}),
        (
            {"preset": "physics", "samples": 6, "epochs": 4, "batch_size": 4},
            {(True, 4): 1, (False, 4): 3, (False, 2): 4},
        ),
        (
            {"preset": "physics", "samples": 6, "epochs": 4, "batch_size": 4, "adversarial": 0.0},
            {(True, 4): 1, (False, 4): 3, (False, 2): 4},
        ),
    ],
)
def test_steps_are_counted_by_kind(tiny, options, expected):
    config = configured(tiny, variant="small", **options)
    found = steps_by_kind(sampler(tiny, config), config.steps, config.steps)
    assert {tuple(kind): len(steps) for kind, steps in found.items()} == expected


def test_only_the_steps_that_are_left_are_counted(tiny):
    config = configured(tiny, preset="physics", samples=6, epochs=4, batch_size=4, variant="small")
    found = steps_by_kind(sampler(tiny, config), config.steps, 3)
    assert {kind: steps.tolist() for kind, steps in found.items()} == {
        StepKind(False, 2): [5, 7],
        StepKind(False, 4): [6],
    }


class Clock:
    """Time that passes only where work says so."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize("samples", [3, 20, 100, 1500])
def test_fits_are_extrapolated_in_the_images_they_pass(monkeypatch, samples):
    clock = Clock()

    def cost(count):
        return 0.5 + 0.01 * count * (2 if count < statistics.MIRROR_BELOW else 1)

    def fit(batches, rows, progress):
        clock.now += cost(len(rows))

    monkeypatch.setattr(statistics, "time", clock)
    fitted = statistics.DomainStatistics.__new__(statistics.DomainStatistics)
    fitted._generator, fitted._fit_cascade = SimpleNamespace(exact=True), fit
    batches = SimpleNamespace(config=SimpleNamespace(samples_b=samples))
    folds = [np.arange(samples * 3 // 4)] * 4 if samples > 8 else []
    seconds = fitted._benchmark_fits(batches, folds)
    counts = [samples, *(len(fold) for fold in folds)]
    assert seconds == pytest.approx(sum(cost(count) for count in counts))


@pytest.fixture
def second_a_step(monkeypatch):
    """Let a second pass in every step of a training, and microseconds elsewhere."""

    class Ticking(Clock):
        def perf_counter(self):
            self.now += 1e-6
            return self.now

        monotonic = perf_counter

    clock = Ticking()
    for module in (statistics, trainer, timing):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(timing, "interpreter_seconds", lambda: 1e-6)
    for kind in (CycleGAN, PhysicsGAN):

        def training_step(self, *batch, learn=kind.training_step):
            clock.now += 1.0
            return learn(self, *batch)

        monkeypatch.setattr(kind, "training_step", training_step)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "physics"])
def test_an_estimate_is_what_the_run_takes(tiny, tmp_path, preset, second_a_step):
    options = {"preset": preset, "samples": 3, "epochs": 4, "variant": "small"}
    report = phasegan.train(tiny, tmp_path / "run", device="cpu", **options)
    assert report.estimate.seconds == pytest.approx(report.config.steps, rel=1e-3)
    assert report.seconds == pytest.approx(report.config.steps, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "physics"])
def test_a_run_is_estimated_from_its_own_batches(tiny, preset, second_a_step):
    config = configured(tiny, preset=preset, samples=6, epochs=40, variant="small")
    before = torch.get_rng_state()
    with phasegan.open(tiny) as file:
        estimate = estimate_run(TrainingSetup(config, file, CPU))
        half = estimate_run(TrainingSetup(config, file, CPU), config.steps // 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert set(estimate.parts) == {"steps", *NOTHING}
    assert estimate.seconds == pytest.approx(sum(estimate.parts.values()))
    assert estimate.low < estimate.seconds < estimate.high
    assert (estimate.parts["preparing"] > 0) == (preset == "physics")
    assert half.parts["steps"] == pytest.approx(estimate.parts["steps"] / 2)


def test_a_busy_machine_is_said_and_widens_the_interval(tiny, monkeypatch):
    said: list[str] = []

    class Warned(Progress):
        def warn(self, text):
            said.append(text)

    class Busy:
        others = 0.6

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("phasegan.training.setup.timing.LoadMonitor", Busy)
    config = configured(tiny, preset="paper", samples=4, epochs=2, variant="small")
    with phasegan.open(tiny) as file:
        estimate = estimate_run(TrainingSetup(config, file, CPU), None, Warned())
    assert said == [
        "other processes use 60% of this machine's cores: the estimate is for a machine as busy "
        "as now"
    ]
    assert estimate.high / estimate.low > np.exp(2 * 1.645 * 0.6)


NOTHING = dict.fromkeys(
    ("warm-up", "preparing", "saving", "pictures", "validation", "closing"), 0.0
)


def run_timing(cost_key, count, times, **parts):
    kind = StepKind(True, 8)
    return RunTiming((cost_key,), {kind: count}, {kind: times}, {**NOTHING, **parts}, 0.0)


def test_each_validation_that_is_due_is_counted(tiny, monkeypatch, second_a_step):
    def validate(*_):
        timing.time.now += 7.0
        return 1.0

    options = {"preset": "paper", "samples": 3, "epochs": 5, "variant": "small"}
    config = configured(tiny, validation=1, validate_every=2, **options)
    with phasegan.open(tiny) as file:
        setup = TrainingSetup(config, file, CPU)
        entry = setup.preset._replace(validate=validate)
        monkeypatch.setitem(presets.PRESET_TABLE, "paper", entry)
        whole, rest = time_run(setup), time_run(setup, steps=3)
    assert whole.parts["validation"] == pytest.approx(3 * 7.0, abs=1e-3)  # epochs 2, 4, 5
    assert rest.parts["validation"] == pytest.approx(7.0, abs=1e-3)


def test_a_short_run_is_timed_on_few_steps(tiny, second_a_step):
    config = configured(tiny, preset="physics", samples=6, epochs=4, batch_size=4, variant="small")
    with phasegan.open(tiny) as file:
        short = time_run(TrainingSetup(config, file, CPU))
        longer = time_run(TrainingSetup(config.model_copy(update={"epochs": 40}), file, CPU))
    assert all(len(times) <= 2 for times in short.times.values())
    assert all(len(times) >= 3 for times in longer.times.values())
    estimate = estimate_timings([replace(short, other_load=0.0)])[0]
    assert estimate.high / estimate.low < 3


def test_a_run_without_a_step_left_takes_no_time(tiny):
    config = configured(tiny, preset="paper", samples=3, epochs=1, base_channels=2, blocks=1)
    with phasegan.open(tiny) as file:
        run_timing = time_run(TrainingSetup(config, file, CPU), steps=0)
    assert run_timing.counts == {}
    (estimate,) = estimate_timings([run_timing])
    assert estimate.parts["steps"] == estimate.parts["pictures"] == 0
    assert estimate.seconds == pytest.approx(estimate.parts["saving"] + estimate.parts["closing"])


def test_steps_that_cost_the_same_are_estimated_together():
    few, many = run_timing("a", 10, [1.0, 1.0, 1.0]), run_timing("a", 100, [3.0] * 6)
    other = run_timing("b", 10, [1.0, 1.0, 1.0], saving=5.0)
    together = estimate_timings([few, many, other])
    mean = (3 * 1.0 + 6 * 3.0) / 9
    assert [e.parts["steps"] for e in together] == pytest.approx([10 * mean, 100 * mean, 10.0])
    assert together[2].seconds == pytest.approx(15.0)
    alone = estimate_timings([few])[0]
    assert alone.parts["steps"] == pytest.approx(10.0)


def test_a_step_that_stalled_does_not_count_in_full():
    calm = estimate_timings([run_timing("a", 100, [1.0] * 20)])[0]
    stalled = estimate_timings([run_timing("a", 100, [1.0] * 19 + [1000.0])])[0]
    assert calm.seconds == pytest.approx(100.0)
    assert stalled.seconds == pytest.approx(115.0)
    assert stalled.high / stalled.low > calm.high / calm.low


def test_more_scatter_is_a_wider_interval():
    rng = np.random.default_rng(0)
    widths = []
    for scatter in (0.01, 0.2, 0.5):
        times = (1 + scatter * rng.standard_normal(12)).clip(0.1).tolist()
        estimate = estimate_timings([run_timing("a", 100, times)])[0]
        widths.append(estimate.high / estimate.low)
    assert widths == sorted(widths)


def test_runs_are_alike_whatever_their_length_and_seed(tiny):
    def cost_key(**options):
        config = configured(tiny, preset="paper", base_channels=2, blocks=1, **options)
        with phasegan.open(tiny) as file:
            return time_run(TrainingSetup(config, file, CPU)).cost_key

    first = cost_key(samples=2, epochs=1)
    assert first == cost_key(samples=4, epochs=3, seed=5)
    assert first != cost_key(samples=2, epochs=1, batch_size=2)
    assert first != cost_key(samples=2, epochs=1, pool_size=0)
