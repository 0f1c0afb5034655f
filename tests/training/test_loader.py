"""The batches of a training: their order, and the processes that read them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import phasegan
from phasegan.config.execution import Execution
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.resolve.translation import resolve_translation, scan_options
from phasegan.data import unpaired_sampler
from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.data.image_dataset import ImageDataset
from phasegan.data.unpaired_sampler import Permutations, UnpairedSampler
from phasegan.devices import worker_guard
from phasegan.distributed import Processes
from phasegan.errors import InputError, RunError
from phasegan.progress import Progress
from phasegan.training.data.loader import FORKS
from phasegan.training.data.pictures import ImageBatches
from phasegan.training.presets import TrainingSetup
from tests.training.pairs import make_pair

CPU = torch.device("cpu")
SMALL = {"size": 24, "base_channels": 2, "blocks": 1, "generator": "resnet"}
forked = pytest.mark.skipif(not FORKS, reason="workers share memory where they are forked")

# --- orders ---------------------------------------------------------------------------


@given(
    lengths=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    batch=st.integers(1, 5),
    count=st.integers(1, 4),
    period=st.integers(0, 3),
    reshuffle=st.booleans(),
)
def test_an_epoch_takes_every_sample_once_whoever_takes_it(
    lengths, batch, count, period, reshuffle
):
    longest = max(lengths)
    options = {"period": period, "reshuffle": reshuffle}
    alone = UnpairedSampler(lengths, longest, batch, 3, **options)
    shares = [
        UnpairedSampler(lengths, longest, batch, 3, processes=Processes(rank, count), **options)
        for rank in range(count)
    ]
    steps = len(alone)
    assert steps == -(-longest // batch)
    for epoch in range(2):
        taken = [], []
        for number in range(epoch * steps, (epoch + 1) * steps):
            whole, parts = alone[number], [share[number] for share in shares]
            both = period > 0 and number % period == 0
            assert (whole.rows_a is not None) == both
            np.testing.assert_array_equal(whole.rows_b, np.concatenate([p.rows_b for p in parts]))
            assert sum(part.part.share for part in parts) == pytest.approx(1)
            for domain, name in ((0, "rows_a"), (1, "rows_b")):
                if domain or both:
                    taken[domain].extend(getattr(whole, name).tolist())
        for domain in (0, 1) if period == 1 else (1,):
            rounds = longest // lengths[domain]
            seen = np.bincount(taken[domain], minlength=lengths[domain])
            assert set(seen.tolist()) <= {rounds, rounds + bool(longest % lengths[domain])}


@given(count=st.integers(1, 500), key=st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_permutations_are_numpys(count, key):
    expected = np.random.default_rng(key).permutation(count)
    order = Permutations(count)
    np.testing.assert_array_equal(order.take(tuple(key), np.arange(count)), expected)
    assert order.take(tuple(key), np.arange(0)).dtype == np.int64


def test_one_permutation_is_drawn_for_an_epoch_and_domain(monkeypatch):
    drawn = []

    def shuffled(key):
        drawn.append(key)
        return np.random.Generator(np.random.PCG64(key))

    monkeypatch.setattr(unpaired_sampler.np.random, "default_rng", shuffled)
    sampler = UnpairedSampler((100, 30), 100, 1, 0, reshuffle=True)
    for number in range(200):
        sampler[number]
    assert len([key for key in drawn if key[3] == 0]) == 2
    assert len([key for key in drawn if key[3] == 1]) == 2 * 4  # rounds of the smaller domain


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- workers --------------------------------------------------------------------------


def tensors(value):
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


def assert_same(one, other):
    assert (one.total, one.has_domain_a) == (other.total, other.has_domain_a)
    ours, theirs = (list(tensors(batch.micro_batches)) for batch in (one, other))
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair") / "pair")


def picture_batches(folder, execution, **options):
    options = {**SMALL, **options}
    data = scan_domains(open_domains(folder), Progress(), **scan_options(options))
    config = resolve_translation(data.facts, CPU, **options)
    return ImageBatches(config, data, None, CPU, Execution(**execution))


def phase_batches(path, execution, **options):
    with phasegan.open(path) as file:
        config = resolve_phases(file.facts, CPU, variant="small", **options)
        return TrainingSetup(config, file, CPU, None, Execution(**execution)).make_batches()


CASES = {
    "paper": (phase_batches, {"preset": "paper", "batch_size": 2, "samples": 5}),
    "physics": (phase_batches, {"preset": "physics", "batch_size": 2, "samples": 5}),
    "stored phases": (
        phase_batches,
        {"preset": "physics", "batch_size": 2, "augmentation": False, "adversarial_every": 2},
    ),
    "pictures": (picture_batches, {"batch_size": 2}),
    "short side": (picture_batches, {"batch_size": 2, "fit": "short-side"}),
    "own size": (picture_batches, {"batch_size": 2, "fit": "none"}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("resident", ["memory", "disk"])
def test_workers_change_nothing(tiny, pair, case, resident):
    make, options = CASES[case]
    where = tiny if make is phase_batches else pair
    one = make(where, {"resident": "disk"}, **options)
    numbers = [*range(2 * len(one.sampler)), 1, 0]  # two epochs, and back
    state = torch.get_rng_state()
    for workers in (0, 1, 2):
        other = make(where, {"workers": workers, "resident": resident}, **options)
        found = list(other.iterate(numbers))
        assert len(found) == len(numbers)
        for number, batch in zip(numbers, found, strict=True):
            assert_same(batch, one.load(number))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_one_line_from_a_worker_too(tmp_path, workers):
    folder = make_pair(tmp_path / "pair")
    batches = picture_batches(folder, {"workers": workers, "resident": "disk"})
    for path in (folder / "trainA").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError) as caught:
        list(batches.iterate(range(5)))
    assert "\n" not in str(caught.value)
    assert "trainA" in str(caught.value)


@forked
def test_pictures_are_decoded_once_by_all_workers_together(pair, monkeypatch, tmp_path):
    decode = ImageDataset._decode

    def counted(self, index):
        name = f"{self.images.names[index]}-{time.monotonic_ns()}".replace("/", "_")
        (tmp_path / f"{self.images.label[-1]}-{name}").touch()
        return decode(self, index)

    monkeypatch.setattr(ImageDataset, "_decode", counted)
    batches = picture_batches(pair, {"workers": 2, "resident": "memory"})
    list(batches.iterate(range(10 * len(batches.sampler))))
    first = len(list(tmp_path.iterdir()))
    assert 8 <= first <= 16  # 5 and 3 pictures; both workers may begin with the same one
    list(batches.iterate(range(len(batches.sampler))))
    assert len(list(tmp_path.iterdir())) == first  # also those that are started later


@forked
def test_a_worker_that_is_killed_is_one_line(pair, monkeypatch):
    parent = os.getpid()

    def killed(self, index):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(ImageDataset, "_decode", killed)
    batches = picture_batches(pair, {"workers": 1, "resident": "disk"})
    with (
        pytest.raises(RunError, match=r"a process that reads the data ended .*--resume"),
        worker_guard(),
    ):
        next(batches.iterate(range(5)))


def test_workers_that_cannot_be_started_are_one_line(pair, monkeypatch):
    def start(_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("torch.multiprocessing.Process.start", start, raising=False)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", start)
    batches = picture_batches(pair, {"workers": 2, "resident": "disk"})
    with pytest.raises(RunError, match="2 processes that read the data cannot be started"):
        next(batches.iterate(range(5)))


@forked
def test_of_workers_of_which_some_cannot_be_started_none_stays(pair, monkeypatch):
    start, count = ForkProcess.start, itertools.count(1)

    def limited(self):
        if next(count) > 2:
            raise OSError(24, "Too many open files")
        start(self)

    monkeypatch.setattr(ForkProcess, "start", limited)
    before = set(torch.multiprocessing.active_children())
    batches = picture_batches(pair, {"workers": 4, "resident": "disk"})
    with pytest.raises(RunError, match=r"4 processes .* cannot be started \(Too many open files\)"):
        next(batches.iterate(range(5)))
    wait_for(lambda: set(torch.multiprocessing.active_children()) == before, seconds=5)


@forked
def test_a_worker_that_dies_while_a_step_is_computed_is_one_line(pair):
    batches = picture_batches(pair, {"workers": 1, "resident": "disk"})
    before = set(torch.multiprocessing.active_children())
    with (
        contextlib.closing(batches.iterate(itertools.count())) as endless,
        pytest.raises(RunError, match=r"is killed by signal: Killed\); continue with --resume"),
        worker_guard(),
    ):
        next(endless)
        (worker,) = set(torch.multiprocessing.active_children()) - before
        worker.kill()
        time.sleep(10)  # torch's handler of SIGCHLD raises


def test_a_daemonic_process_starts_no_workers(pair, monkeypatch):
    monkeypatch.setattr("multiprocessing.process._current_process._config", {"daemon": True})
    with pytest.raises(InputError, match="daemonic process can start none; give workers=0"):
        next(picture_batches(pair, {"workers": 2, "resident": "disk"}).iterate([0]))
    next(picture_batches(pair, {"resident": "disk"}).iterate([0]))


@forked
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_leave_signals_to_the_main_process(pair, monkeypatch, number):
    crop = ImageBatches.read

    def signalled(self, indices):
        os.kill(os.getpid(), number)
        return crop(self, indices)

    monkeypatch.setattr(ImageBatches, "read", signalled)
    batches = picture_batches(pair, {"workers": 2, "resident": "disk"})
    assert len(list(batches.iterate(range(6)))) == 6


@forked
@pytest.mark.parametrize("case", CASES)
def test_batches_of_workers_take_no_shared_memory(tiny, pair, case, monkeypatch, tmp_path):
    share = torch.UntypedStorage._share_fd_cpu_

    def noted(self, *arguments, **options):
        (tmp_path / "shared").touch()
        return share(self, *arguments, **options)

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", noted)
    make, options = CASES[case]
    batches = make(tiny if make is phase_batches else pair, {"workers": 1}, **options)
    assert len(list(batches.iterate(range(3)))) == 3
    assert not (tmp_path / "shared").exists()


@forked
def test_workers_end_with_the_iteration(pair):
    batches = picture_batches(pair, {"workers": 2, "resident": "disk"})
    before = set(torch.multiprocessing.active_children())
    with contextlib.closing(batches.iterate(itertools.count())) as endless:
        next(endless)
        workers = set(torch.multiprocessing.active_children()) - before
        assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(worker.is_alive() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(worker.is_alive() for worker in workers)


# --- whole runs -----------------------------------------------------------------------


def children(pid):
    """Return the processes that a process started."""
    return {int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_with_workers_stops_with_them_and_goes_on_bit_by_bit(pair, tmp_path, number):
    command = [sys.executable, "-m", "phasegan", "train", str(pair), "-q", "--device", "cpu"]
    command += ["--size", "24", "--base-channels", "2", "--blocks", "1", "--generator", "resnet"]
    command += ["--epochs", "20"]
    subprocess.run([*command, "-o", str(tmp_path / "whole")], check=True)
    command += ["-o", str(tmp_path / "run"), "--workers", "2", "--resident", "disk"]
    process = subprocess.Popen(command, start_new_session=True)
    status = tmp_path / "run" / "status.json"
    wait_for(lambda: status.exists() and json.loads(status.read_text())["epoch"] >= 1)
    workers = children(process.pid)
    assert len(workers) == 2
    os.killpg(process.pid, number) if number != signal.SIGKILL else process.kill()
    assert process.wait(60) == (128 + number if number != signal.SIGKILL else -number)
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    subprocess.run([*command, "--resume"], check=True)
    for name in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        ours, theirs = (tmp_path / run / f"{name}.safetensors" for run in ("run", "whole"))
        assert ours.read_bytes() == theirs.read_bytes()
