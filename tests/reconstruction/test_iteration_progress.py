"""Progress inside a plane: fractions of a task, estimated ends, and blocks that are given up."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch

import phasegan
from phasegan import progress as progress_module
from phasegan.fourier.phase import analyse
from phasegan.progress import IterationProgress, Portion, Progress, TaskPortion
from phasegan.reconstruction import batching
from phasegan.reconstruction.batching import BlockSolution, solve_planes
from phasegan.reconstruction.protocol import Observation, Problem

ITERATIVE = ("hlo", "pocs", "pocs-accelerated", "cg", "fista", "map", "pnp", "auto")


class Recorder(Progress):
    """Keeps what a task is told."""

    def __init__(self):
        self.totals, self.done, self.steps, self.notes = [], [], [], []
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def task(self, label, total, done=0):
        self.totals.append(total)
        self.done.append(0.0)
        self.steps.append([])
        yield self

    def advance(self, count=1, note=""):
        with self.lock:
            self.done[-1] += count
            self.steps[-1].append(self.done[-1])
            self.notes.append(note)


@pytest.fixture
def always_due(monkeypatch):
    monkeypatch.setattr(progress_module, "PORTION_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress_module, "NOTE_AFTER_S", 0.0)


def phases(n, count, frame, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, n, n))
    images[: count // 2, :, : n // 2] //= 16  # planes that end at different times
    return analyse(images, (frame, frame)).phase


@pytest.mark.parametrize("name", ITERATIVE)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_iterative_method_moves_inside_a_block_and_ends_at_the_total(
    name, threads, always_due, monkeypatch
):
    monkeypatch.setattr(batching, "CACHE_SAMPLES", 2 * 24 * 24)
    recorder, before = Recorder(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        phasegan.reconstruct(
            phases(12, 5, 24), shape=(12, 12), method=name, iterations=60, progress=recorder
        )
    finally:
        torch.set_num_threads(before)
    assert recorder.done == recorder.totals == [5] * len(recorder.totals)
    for steps in recorder.steps:
        assert len(steps) > 20
        assert any(step % 1 for step in steps)
        assert min(steps) >= 0
        assert max(steps) <= 5
    assert any("iteration" in note for note in recorder.notes)


def test_the_certificate_is_a_stage(always_due):
    recorder = Recorder()
    phasegan.reconstruct(phases(16, 1, 32), shape=(16, 16), method="cg", progress=recorder)
    assert any(note.startswith("proof: step") for note in recorder.notes)


def test_windows_are_counted(always_due):
    image = np.zeros((1, 16, 16), np.int64)
    image[:, 3:11, 2:12] = np.random.default_rng(0).integers(0, 256, (8, 10))
    recorder = Recorder()
    phase = analyse(image, (32, 32)).phase
    result = phasegan.reconstruct(phase, shape=(16, 16), method="cg", progress=recorder)
    assert result.certificates[0].support == (3, 11, 2, 12)
    assert any("window 4: iteration" in note for note in recorder.notes)
    assert recorder.done == [1]


def test_stages_are_parts_of_their_portion():
    class Whole(Portion):
        def update(self, fraction, note=""):
            told.append((fraction, note))

    told = []
    inner = Whole().stage(0.5, 1.0, "b: ").stage(0.5, 1.0, "c: ")
    inner.update(0.5, "x")
    inner.update(2.0)
    assert told == [(0.875, "b: c: x"), (1.0, "")]


def test_fractions_of_many_portions_add_up_exactly():
    recorder = Recorder()
    with recorder.task("t", 30):
        for units in (1, 2, 3, 4, 20):
            portion = TaskPortion(recorder, units, threading.Event())
            for fraction in (0.1, 1 / 3, 0.2, 0.7):
                portion.update(fraction)
            portion.update(1.0)
    assert recorder.done == [30.0]


@pytest.mark.parametrize("rate", [0.9, 0.95, 0.99])
def test_the_end_of_a_geometric_decrease_is_foreseen(rate):
    class Whole(Portion):
        def update(self, fraction, note=""):
            fractions.append(fraction)

    fractions = []
    end = int(np.log(1e-8) / np.log(rate))
    followed = IterationProgress(Whole(), 100_000)
    for step in range(1, end + 1):
        followed.report(step, rate**step, 1e-8)
    assert fractions == sorted(fractions)
    for step in range(end // 2, end):
        assert fractions[step - 1] == pytest.approx(step / end, abs=0.1)
    assert fractions[-1] > 0.9


def test_a_budget_ends_an_iteration_without_a_level():
    class Whole(Portion):
        def update(self, fraction, note=""):
            told.append((fraction, note))

    told = []
    followed = IterationProgress(Whole(), 40)
    followed.report(10)
    followed.report(40)
    assert told == [(0.25, "iteration 10 of 40"), (1.0, "iteration 40 of 40")]


def test_an_error_ends_the_blocks_of_other_threads(monkeypatch):
    monkeypatch.setattr(batching, "CACHE_SAMPLES", 1)
    ended = []

    def solver(block):
        if block.planes[0] == 0:
            time.sleep(0.05)
            raise KeyboardInterrupt
        try:
            while True:  # a plane that takes for ever
                block.progress.due()
                time.sleep(0.001)
        except CancelledError:
            ended.append(int(block.planes[0]))
            raise
        return BlockSolution(torch.zeros(1, 4, 4), torch.zeros(1), torch.ones(1))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            solve_planes(Observation(phases(4, 8, 8)), Problem((4, 4), (8, 8)), "forever", solver)
    finally:
        torch.set_num_threads(before)
    assert ended


def test_lines_in_a_pipe_name_share_time_and_iteration(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    lines = []
    task = progress_module._PlainTask("cg", 1, 0, lines.append)
    now[0] = 15.0
    task.advance(0.25, "iteration 50 of about 200")
    now[0] = 16.0
    task.advance(0.25)
    now[0] = 40.0
    task.advance(-0.25)
    assert lines == [
        "cg: 0/1 (25 %), 45 s left  iteration 50 of about 200",
        "cg: 0/1 (25 %), 2 min 00 s left  iteration 50 of about 200",
    ]
