"""Processes that encode: in order, and one that dies costs one picture."""

import os
import sys
import threading

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.hdf5.layout import Layout
from phasegan.data.prepare.encode import Encoder, ImageBatch
from phasegan.data.prepare.worker_pool import InProcessPool, WorkerPool, map_in_order
from phasegan.data.sources import ArrayLoader
from phasegan.errors import InputError

LAYOUT = Layout(size=8, padded=8, channels="gray", bits=8, phase_dtype="uint16")
DEADLY = '''
import os
from phasegan.data.sources import ArrayLoader

class Deadly(ArrayLoader):
    """Dies of the pictures that are black, as a decoder with a flaw would."""
    def load(self, ticket):
        if not ticket[1].any():
            os.kill(os.getpid(), 9)
        return super().load(ticket)
'''


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


def test_a_picture_that_kills_its_process_is_left_out_alone(rng, tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    from deadly import Deadly

    items = jobs(rng, 12)
    items[4] = ("black", np.zeros((8, 8), np.uint8))
    encoder = Encoder(Deadly(), LAYOUT, "crop", 0, 20)
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


def test_processes_that_cannot_start_are_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(phasegan.errors.RunError, match="--workers 1"):
        WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 1)


def test_nothing_is_left_of_the_processes(rng):
    before = threading.active_count()
    with (
        pytest.raises(ZeroDivisionError),
        WorkerPool(Encoder(ArrayLoader(), LAYOUT, "crop", 0), 2) as pool,
    ):
        processes = [pool._processes[0], pool._processes[1]]
        pool.submit(ImageBatch(jobs(rng, 3), [True] * 3)).result()
        _ = 1 / 0
    assert not any(process.alive for process in processes)
    assert threading.active_count() == before


def test_it_works_in_a_script_without_a_main_guard(tmp_path, rng):
    import subprocess

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (9, 9), np.uint8)).save(folder / f"{i}.png")
    script = tmp_path / "script.py"
    script.write_text(
        "import phasegan\n"
        f"print(phasegan.prepare({str(folder)!r}, 'x.h5', size=8, workers=2).train)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)


def test_the_number_of_workers_is_checked(tmp_path):
    with pytest.raises(InputError, match="workers = 0"):
        phasegan.prepare("builtin", tmp_path / "b.h5", workers=0)
