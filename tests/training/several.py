"""Start several processes that train together, and compare what they leave."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file

import phasegan
from phasegan.cli import main
from phasegan.config.run_folder import RunFolder
from phasegan.eta import Estimate
from phasegan.fourier.operator import PhaseOperator
from phasegan.training import api
from phasegan.training.accelerator import Accelerator
from phasegan.training.checkpoint import Checkpoints
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.physics.gan import PhysicsGAN

CPU = torch.device("cpu")
SECOND = Estimate(1.0, 1.0, 1.0)
NAN = float("nan")
TOLERANCE = {kind: torch.finfo(kind).eps ** 0.5 for kind in (torch.float32, torch.float64)}
"""Relative difference of two runs that should be alike: half the digits.

Kernels round in another order for another number of images, so equality holds within
rounding times what nine steps amplify it by. Conjugate gradients, rectifiers near 0
and Adam, which divides a gradient by its own size, amplify the more the fewer the
digits: 10⁴-fold at most in float64 here, and the square root allows 7 · 10⁷-fold. A
part that counts a thousandth too much changes weights and losses by more than 10⁻⁵.
"""
FAINT = {torch.float32: 1e-5, torch.float64: TOLERANCE[torch.float64]}
"""The same for what should be 0, such as the distance of phases that were projected."""
LONGEST = 500.0
"""Seconds after which a job hangs: fifty times what one takes on a quiet machine."""

# Batches of 5, 5 and 1: shares are uneven, and in the last step only one process has any.
COMMON = {"samples": 11, "validation": 2, "batch_size": 5, "epochs": 3, "precision": "32"}
PHYSICS = {
    "widths": (4, 4),
    "discriminator_channels": 2,
    "adversarial": 0.1,
    "adversarial_every": 2,
    "pool_size": 3,
    **COMMON,
}
OPTIONS = {
    "paper": {"preset": "paper", "base_channels": 2, "blocks": 1, "pool_size": 3, **COMMON},
    "pair": {
        "preset": "translation",
        "size": 24,
        "generator": "resnet",
        "base_channels": 2,
        "blocks": 1,
        "discriminator_channels": 2,
        "augment": ("colour", "shift", "cutout"),
        **COMMON,
    },
    "noisy": PHYSICS,
    "exact": PHYSICS,  # whose cascades leave samples out
}
PHASES = ("paper", "noisy", "exact")
"""Cases that train on phases."""
DATA = {"pair": "pair", "paper": "clean.h5", "noisy": "noisy.h5", "exact": "clean.h5"}
STEPS = 9
PRELOAD = [
    "phasegan.cli.train",
    "phasegan.training.api",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "torch._dynamo",
    "torch.utils.tensorboard",
]
"""What processes that are forked need not import."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Prepared files of 13 + 2 crops for every case."""
    folder = tmp_path_factory.mktemp("processes")
    for name, noise in (("clean.h5", 0.0), ("noisy.h5", 0.1)):
        phasegan.prepare("builtin", folder / name, size=32, samples=13, test=2, phase_noise=noise)
    from tests.training.pairs import make_pair  # not where this file is run by torchrun

    make_pair(folder / "pair", counts={"trainA": 13, "trainB": 13, "testA": 2, "testB": 2})
    return {case: folder / name for case, name in DATA.items()}


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory):
    """Finished runs of one process, in float64."""
    folder = tmp_path_factory.mktemp("alone")
    with computing_in_double():
        for case, options in OPTIONS.items():
            phasegan.train(files[case], folder / case, device="cpu", **options)
    return {case: folder / case for case in OPTIONS}


@pytest.fixture
def in_double():
    """Compute in this process as in those of `together`."""
    with computing_in_double():
        yield


@contextlib.contextmanager
def computing_in_double():
    """Train in float64, and do not time steps first.

    In float32 a rectifier near 0 turns rounding into another gradient, Adam makes whole
    steps of what rounding leaves of a gradient of 0, and conjugate gradients may stop an
    iteration earlier: what a run learns in parts would differ by rounding from what it
    learns at once as much as by a mistake.
    """
    to_format, init = Accelerator.to_memory_format, PhaseOperator.__init__

    def precise(self, phase, frame, shape, trusted=None, dtype=None):
        init(self, phase, frame, shape, trusted, torch.float64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr(Accelerator, "to_memory_format", lambda self, x: to_format(self, x.double()))
        patch.setattr(PhaseOperator, "__init__", precise)
        patch.setattr(api, "estimate_run", lambda *_, **__: SECOND)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


# --- what is compared -----------------------------------------------------------------


def assert_alike(one, other):
    """Assert that two runs in float64 have the same weights and losses, within rounding."""
    rounding = TOLERANCE[torch.float64]
    for network in RunFolder(one).read_config().network_names:
        ours, theirs = (load_file(RunFolder(run).weights_path(network)) for run in (one, other))
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            off = float((value - theirs[name]).norm())
            assert off <= rounding * (float(value.norm()) + 1), (network, name, off)
    assert_alike_losses(one, other, torch.float64)
    ours, theirs = RunFolder(one).read_status(), RunFolder(other).read_status()
    assert (ours.state, ours.step, ours.epoch) == (theirs.state, theirs.step, theirs.epoch)
    assert ours.best.epoch == theirs.best.epoch
    assert ours.best.value == pytest.approx(theirs.best.value, rel=rounding)


def assert_alike_losses(one, other, kind):
    """Assert that two runs have the same losses, within rounding of a type."""
    for line, same in zip(lines(one), lines(other), strict=True):
        assert list(line) == list(same)
        for name, value in line.items():
            close = pytest.approx(same[name], rel=TOLERANCE[kind], abs=FAINT[kind])
            assert value == close, (name, line)


def lines(run):
    """Return the record of a run but for how fast it was."""
    found = [json.loads(line) for line in RunFolder(run).losses_path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in found]


def flags(options):
    """Return options of a training as those of its command."""
    found = ["--device", "cpu", "--threads", str(torch.get_num_threads())]
    for name, value in options.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        found += [f"--{name.replace('_', '-')}", text]
    return found


# --- several processes ----------------------------------------------------------------


class Outcome(NamedTuple):
    """What a process did."""

    status: int
    out: str
    err: str


def tricked(learn, rank, trick):
    """Return a `training_step` that does something to one process from one of its steps on."""
    what, step, who = trick.split("-")
    count = [0]

    def learned(self, batch, *rest):
        count[0] += 1
        now = count[0] == int(step) or (what == "spoil" and count[0] > int(step))
        if rank == int(who) and now:
            if what == "stop":
                os.kill(os.getpid(), signal.SIGTERM)
            elif what == "agent":  # which passes it on to all
                os.kill(os.getppid(), signal.SIGTERM)
            elif what == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            for micro in batch.micro_batches if what in ("poison", "spoil") else ():
                (micro.real_b if torch.is_tensor(micro.real_b) else micro.real_b.pixels).mul_(NAN)
        return learn(self, batch, *rest)

    return learned


def slowed(save):
    """Return a `Checkpoints.save` that takes its time."""

    def saved(self, step, state):
        time.sleep(0.3)
        return save(self, step, state)

    return saved


def work(arguments, trick):
    """Run a command as one of several processes; return its exit status."""
    if trick:
        for kind in (CycleGAN, PhysicsGAN):
            kind.training_step = tricked(kind.training_step, int(os.environ["RANK"]), trick)
        Checkpoints.save = slowed(Checkpoints.save)
    with computing_in_double():
        status = main(arguments)
    if status == 128 + signal.SIGTERM:
        run = RunFolder(arguments[arguments.index("-o") + 1])
        assert run.read_status().state == "interrupted", "ended before everything was saved"
    if sys.platform == "linux":  # a thread of torch's that outlives Python aborts the process
        threads = [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]
        assert not [name for name in threads if "gloo_run" in name], threads
    return status


def forked(rank, count, port, folder, arguments, trick):
    """Be one of several processes."""
    for number, name in ((1, "out"), (2, "err")):
        written = os.open(folder / f"{name}-{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(written, number)
    faulthandler.dump_traceback_later(LONGEST - 20)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    sys.exit(work(arguments, trick))


@pytest.fixture
def together(tmp_path):
    """Run a command in several processes; torch is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    jobs = []

    def run(count: int, *arguments: object, trick: str = "") -> list[Outcome]:
        folder = tmp_path / f"job-{len(jobs)}"
        folder.mkdir()
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        told = [str(a) for a in arguments]
        job = [
            context.Process(target=forked, args=(rank, count, port, folder, told, trick))
            for rank in range(count)
        ]
        jobs.append(job)
        for process in job:
            process.start()
        end = time.monotonic() + LONGEST
        for process in job:
            process.join(max(0.0, end - time.monotonic()))
            assert process.exitcode is not None, f"hangs: {read(folder, range(count))}"
        return [Outcome(p.exitcode, *read(folder, [rank])[0]) for rank, p in enumerate(job)]

    yield run
    for process in (process for job in jobs for process in job):
        process.kill()
        process.join()


def read(folder, ranks):
    return [tuple((folder / f"{n}-{rank}").read_text() for n in ("out", "err")) for rank in ranks]


@pytest.fixture
def torchrun(tmp_path):
    """Start two processes with torchrun."""
    started = []

    def run(*arguments: object) -> Outcome:
        head = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        agent = subprocess.Popen(
            [*head, "--nproc-per-node", "2", *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )
        started.append(agent)
        out, err = agent.communicate(timeout=LONGEST)
        return Outcome(agent.returncode, out, err)

    yield run
    for agent in started:
        if agent.poll() is None:
            agent.terminate()
            agent.communicate()


def assert_only_main_speaks(outcomes):
    for outcome in outcomes[1:]:
        assert (outcome.out, outcome.err) == ("", "")
    for text in outcomes[0][1:]:
        spoken = text.splitlines()
        assert len(set(spoken)) == len(spoken)


if __name__ == "__main__":
    sys.exit(work(sys.argv[2:], sys.argv[1]))
