"""Processes that encode: in order, and one that dies costs one picture."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.hdf5.layout import Layout
from phasegan.data.prepare.encode import Encoder, ImageBatch
from phasegan.data.prepare.worker_pool import (
    InProcessPool,
    WorkerPool,
    map_in_order,
    prestarted_workers,
)
from phasegan.data.sources import ArrayLoader
from phasegan.errors import InputError, RunError

LAYOUT = Layout(shape=(8, 8), frame=(8, 8), channels="gray", bits=8, phase_dtype="uint16")
LOADERS = '''
import os
import time
from phasegan.data.sources import ArrayLoader

class Deadly(ArrayLoader):
    """Dies of the pictures that are black, as a decoder with a flaw would."""
    def load(self, ticket):
        if not ticket[1].any():
            os.kill(os.getpid(), 9)
        return super().load(ticket)

class Talkative(ArrayLoader):
    """Writes where the results would go."""
    def load(self, ticket):
        print("garbage", flush=True)
        os.write(1, b"garbage")
        os.write(2, b"garbage")
        return super().load(ticket)

class Slow(ArrayLoader):
    """Does not come to an end."""
    def load(self, ticket):
        time.sleep(600)

class Unready(ArrayLoader):
    """Ends the process that is to use it."""
    def __reduce__(self):
        return os._exit, (1,)
'''
PREPARE = """
import phasegan
print(phasegan.prepare({folder!r}, "x.h5", size=8, workers=2).train)
"""


@pytest.fixture
def loaders(tmp_path, monkeypatch):
    (tmp_path / "odd_loaders.py").write_text(LOADERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("odd_loaders")
    del sys.modules["odd_loaders"]


def jobs(rng, count):
    return [(f"{i}", rng.integers(1, 255, (8, 8), np.uint8)) for i in range(count)]


def same(one, other):
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return one.source == other.source and all(
        np.array_equal(one.values[name], other.values[name]) for name in one.values
    )


def test_processes_do_what_one_does_here(rng):
    encoder = Encoder(ArrayLoader(), LAYOUT, "crop", 0, 20)
    tasks = [ImageBatch(jobs(rng, 5), [True, False, True, True, False]) for _ in range(7)]
    tasks.append(ImageBatch([("odd", np.zeros((4, 9), np.uint8))], [True]))
    here = InProcessPool(encoder)
    expected = [here.submit(task).result() for task in tasks]
    with WorkerPool(encoder, 2) as pool:
        found = list(map_in_order(pool.submit, tasks, pool.ahead))
    assert [task for task, _ in found] == tasks
    for (_, done), wanted in zip(found, expected, strict=True):
        assert all(map(same, done.results, wanted.results))
        np.testing.assert_array_equal(done.total, wanted.total)
    assert "smaller than 8" in expected[-1].results[0]


def test_results_larger_than_a_pipe_arrive_whole(rng):
    layout = Layout(shape=(64, 64), frame=(256, 256), channels="rgb", bits=8, phase_dtype="float32")
    encoder = Encoder(ArrayLoader(), layout, "crop", 0, 20)
    images = rng.integers(0, 256, (24, 64, 64, 3), np.uint8)
    tasks = [
        ImageBatch([(f"{i}", images[i]) for i in range(start, start + 8)], [True] * 8)
        for start in (0, 8, 16)
    ]
    with WorkerPool(encoder, 2) as pool:
        found = [future.result() for future in [pool.submit(task) for task in tasks]]
    for done, task in zip(found, tasks, strict=True):
        assert sum(one.values["phase"].nbytes for one in done.results) > 2**20
        assert all(map(same, done.results, encoder(task).results))


def test_a_picture_that_kills_its_process_is_left_out_alone(rng, loaders):
    items = jobs(rng, 12)
    items[4] = ("black", np.zeros((8, 8), np.uint8))
    encoder = Encoder(loaders.Deadly(), LAYOUT, "crop", 0, 20)
    with WorkerPool(encoder, 2) as pool:
        tasks = [ImageBatch(items[i : i + 4], [True] * 4) for i in (0, 4, 8)]
        done = [result for _, d in map_in_order(pool.submit, tasks, 6) for result in d.results]
        total = sum(pool.submit(task).result().total for task in tasks)
    assert [isinstance(result, str) for result in done] == [i == 4 for i in range(12)]
    assert done[4] == "the process that decoded it died of it"
    plain = InProcessPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0, 20))
    rest = items[:4] + items[5:]
    wanted = plain.submit(ImageBatch(rest, [True] * 11)).result().total
    np.testing.assert_array_equal(total, wanted)


def test_what_decoders_print_is_no_result(rng, loaders, capfd):
    with WorkerPool(Encoder(loaders.Talkative(), LAYOUT, "crop", 0, 20), 1) as pool:
        done = [pool.submit(ImageBatch(jobs(rng, 3), [True] * 3)).result() for _ in range(3)]
    assert not any(isinstance(result, str) for one in done for result in one.results)
    assert capfd.readouterr() == ("", "")


def test_processes_that_cannot_start_are_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(RunError, match="--workers 1"):
        WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 1)


@pytest.mark.parametrize("prestarted", [False, True])
def test_where_one_cannot_start_none_is_left(monkeypatch, prestarted):
    started, popen = [], subprocess.Popen

    def limited(*arguments, **options):
        if len(started) == 2:
            raise OSError(11, "Resource temporarily unavailable")
        started.append(popen(*arguments, **options))
        return started[-1]

    before = threading.active_count()
    monkeypatch.setattr(subprocess, "Popen", limited)
    with pytest.raises(RunError, match=r"\(Resource temporarily unavailable\); try --workers 1"):
        if prestarted:
            with prestarted_workers(3):
                pass
        else:
            WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 3)
    assert [process.poll() is None for process in started] == [False, False]
    assert threading.active_count() == before


def test_processes_that_end_before_they_are_ready_are_an_error(rng, loaders):
    task = ImageBatch(jobs(rng, 3), [True] * 3)
    with WorkerPool(Encoder(loaders.Unready(), LAYOUT, "crop", 0), 1) as pool:
        for _ in range(2):
            with pytest.raises(RunError, match="end as soon as they are started; try --workers 1"):
                pool.submit(task).result()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_ctrl_c_is_not_for_the_processes(rng):
    with WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 1) as pool:
        task = ImageBatch(jobs(rng, 3), [False] * 3)
        pool.submit(task).result()
        (process,) = pool._processes
        os.kill(process._process.pid, signal.SIGINT)
        assert not any(isinstance(result, str) for result in pool.submit(task).result().results)
        assert pool._processes == [process]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_end_with_the_one_that_started_them():
    script = (
        "import os\n"
        "from phasegan.data.prepare.worker_pool import WorkerPool\n"
        "pool = WorkerPool(print, 2)\n"
        "for process in pool._processes: process.wait_ready()\n"
        "print(*(process._process.pid for process in pool._processes), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    left, deadline = set(done.stdout.split()), time.monotonic() + 60
    assert len(left) == 2
    while left and time.monotonic() < deadline:
        left = {number for number in left if _runs(number)}
        time.sleep(0.01)
    assert not left


def _runs(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_nothing_is_left_of_the_processes(rng):
    before = threading.active_count()
    with (
        pytest.raises(ZeroDivisionError),
        WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 2) as pool,
    ):
        processes = [*pool._processes]
        pool.submit(ImageBatch(jobs(rng, 3), [True] * 3)).result()
        _ = 1 / 0
    assert not any(process._process.poll() is None for process in processes)
    assert threading.active_count() == before


def test_an_error_does_not_wait_for_decoders(rng, loaders):
    with (
        pytest.raises(ZeroDivisionError),
        WorkerPool(Encoder(loaders.Slow(), LAYOUT, "crop", 0), 2) as pool,
    ):
        futures = [pool.submit(ImageBatch(jobs(rng, 2), [True] * 2)) for _ in range(5)]
        while not all(future.running() for future in futures[:2]):
            time.sleep(0.01)
        _ = 1 / 0
    assert all(future.done() for future in futures)
    assert len(pool._processes) == 2


@pytest.mark.parametrize("from_file", [True, False])
def test_it_works_in_a_script_without_a_main_guard(tmp_path, rng, from_file):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (9, 9), np.uint8)).save(folder / f"{i}.png")
    script = PREPARE.format(folder=str(folder))
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py" if from_file else "-"],
        input=None if from_file else script,
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)


def test_the_number_of_workers_is_checked(tmp_path):
    with pytest.raises(InputError, match="workers = 0"):
        phasegan.prepare("builtin", tmp_path / "b.h5", workers=0)
