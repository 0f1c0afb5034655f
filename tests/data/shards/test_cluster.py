"""Shards made by the workers of a dask cluster."""

from __future__ import annotations

import builtins
import logging
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from shard_helper import make

import phasegan
from phasegan.data.prepare import shards
from phasegan.data.prepare.pipeline import PrepareJob
from phasegan.data.prepare.shards import shard_path
from phasegan.errors import InputError, RunError
from phasegan.io.locking import file_lock

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two workers, all of them in this process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp",
        dashboard_address=":0", silence_logs=logging.CRITICAL,
    ) as made:  # fmt: skip
        yield made.scheduler_address


@pytest.fixture(scope="module")
def thirty(tmp_path_factory):
    """A folder of thirty pictures; read only."""
    root = tmp_path_factory.mktemp("thirty") / "pictures"
    root.mkdir()
    draw = np.random.default_rng(3)
    for i in range(30):
        Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(root / f"{i}.png")
    return root


def digest(path):
    with phasegan.open(path) as file:
        return file.digest


def test_a_cluster_makes_what_one_process_makes(cluster, thirty, tmp_path, run_cli):
    whole = make(thirty, tmp_path / "whole.h5")
    report = make(thirty, tmp_path / "set.h5", shards=3, scheduler=cluster)
    assert (report.train, report.test) == (whole.train, whole.test)
    assert report.shards == (3, 3)
    assert digest(report.path) == digest(whole.path)
    words = ["prepare", thirty, "-o", "by_command.h5", "--size", 8, "--scheduler", cluster]
    said = run_cli(*words)
    assert said.status == 0, said.err
    assert "joined from 3 shards" in said.out  # as many as there can be of thirty pictures
    assert digest("by_command.h5") == digest(whole.path)
    assert "is there already" in run_cli(*words).out


def test_what_workers_skip_is_told_here(cluster, thirty, tmp_path, run_cli):
    shutil.copytree(thirty, tmp_path / "p")
    (tmp_path / "p" / "7.png").write_bytes(b"no picture")
    said = run_cli("prepare", tmp_path / "p", "-o", "set.h5", "--size", 8, "--shards", 2,
                   "--scheduler", cluster)  # fmt: skip
    assert said.status == 0
    assert "skipped 7.png" in said.err
    assert "skipped 1 pictures" in said.out


def test_a_folder_is_named_from_where_the_command_is_given(cluster, thirty, tmp_path, monkeypatch):
    monkeypatch.chdir(thirty)
    make(".", tmp_path / "set.h5", shards=2, shard=1)
    report = make(".", tmp_path / "set.h5", shards=2, scheduler=cluster)
    assert digest(report.path) == digest(make(thirty, tmp_path / "whole.h5").path)


def test_shards_that_are_there_are_not_made_again(cluster, thirty, tmp_path):
    path = tmp_path / "set.h5"
    make(thirty, path, shards=2, shard=1)
    before = shard_path(path, 1, 2).stat().st_mtime_ns
    report = make(thirty, path, scheduler=cluster)  # two again, not as many as there can be
    assert report.shards == (2, 2)
    assert shard_path(path, 1, 2).stat().st_mtime_ns == before


def test_overwriting_makes_every_shard_once(cluster, thirty, tmp_path, monkeypatch):
    path, jobs = tmp_path / "set.h5", []
    make(thirty, path, shards=3)
    run = PrepareJob.run
    monkeypatch.setattr(PrepareJob, "run", lambda self, *rest, **more: (
        jobs.append(self.shard), run(self, *rest, **more))[1])  # fmt: skip
    report = make(thirty, path, shards=3, scheduler=cluster, seed=4, overwrite=True)
    assert report.written
    assert sorted(jobs) == ["0 of 3", "1 of 3", "2 of 3"]
    assert digest(path) == digest(make(thirty, tmp_path / "whole.h5", seed=4).path)


def test_a_shard_that_fails_gives_one_line(cluster, thirty, tmp_path, run_cli):
    path = tmp_path / "set.h5"
    shard_path(path, 1, 2).write_text("precious")
    said = run_cli("prepare", thirty, "-o", path, "--size", 8, "--shards", 2,
                   "--scheduler", cluster)  # fmt: skip
    assert said.status == 2
    lines = [line for line in said.err.splitlines() if "shard 1: " in line]
    assert len(lines) == 1
    assert "set-0001-of-0002.h5: not an HDF5 file" in lines[0]
    assert "Traceback" not in said.err
    assert not path.exists()
    shard_path(path, 1, 2).unlink()
    assert make(thirty, path, shards=2, scheduler=cluster).shards == (2, 2)


def _no_room(self, *arguments, **options):
    raise RunError("no room")


def _crash(self, *arguments, **options):
    raise ZeroDivisionError("a defect\nin two lines")


@pytest.mark.parametrize(
    ("made", "said"),
    [(_no_room, "shard [01]: no room"), (_crash, "ZeroDivisionError: a defect in two lines")],
)
def test_failures_while_running_are_told_as_such(
    cluster, thirty, tmp_path, monkeypatch, made, said
):
    monkeypatch.setattr("phasegan.data.prepare.pipeline.Preparation._prepare", made)
    with pytest.raises(RunError, match=said):
        make(thirty, tmp_path / "set.h5", shards=2, scheduler=cluster)


def test_an_interrupted_cluster_goes_on(cluster, thirty, tmp_path, monkeypatch):
    path = tmp_path / "set.h5"
    calls = []

    def interrupt(future, number):
        calls.append(number)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards, "_result", interrupt)
        with pytest.raises(phasegan.errors.Interrupted, match="continue with --resume"):
            make(thirty, path, shards=3, scheduler=cluster)
    assert len(calls) == 1
    assert not path.exists()
    report = make(thirty, path, shards=3, scheduler=cluster, resume=True)
    assert digest(report.path) == digest(make(thirty, tmp_path / "whole.h5").path)


def test_a_worker_waits_for_a_shard_that_another_still_makes(cluster, thirty, tmp_path):
    path = tmp_path / "set.h5"
    shard = shard_path(path, 0, 3)
    with ThreadPoolExecutor(1) as pool:
        with file_lock(shard.with_name(f".{shard.name}.lock"), str(shard)):
            waiting = pool.submit(make, thirty, path, shards=3, scheduler=cluster)
            while not shard_path(path, 2, 3).exists():
                assert not waiting.done()
                time.sleep(0.05)
            assert not shard.exists()
        report = waiting.result()
    assert digest(report.path) == digest(make(thirty, tmp_path / "whole.h5").path)


def test_folders_that_workers_do_not_share_are_told(cluster, thirty, tmp_path, monkeypatch):
    report = make(thirty, tmp_path / "other.h5")
    monkeypatch.setattr(
        "phasegan.data.prepare.pipeline.Preparation._prepare", lambda *arguments, **options: report
    )
    with pytest.raises(RunError, match="must be the same place for all workers"):
        make(thirty, tmp_path / "set.h5", shards=2, scheduler=cluster)


def test_too_many_shards_are_refused_before_a_worker_is_asked(thirty, tmp_path):
    with pytest.raises(InputError, match="ask for at most 3"):
        make(thirty, tmp_path / "set.h5", shards=4, scheduler="tcp://127.0.0.1:9")


def test_an_address_without_a_scheduler_is_refused(thirty, tmp_path, monkeypatch, run_cli):
    monkeypatch.setattr(shards, "CONNECT_SECONDS", 0.3)
    address = "tcp://127.0.0.1:9"
    said = run_cli("prepare", thirty, "-o", tmp_path / "set.h5", "--size", 8, "--shards", 2,
                   "--scheduler", address)  # fmt: skip
    assert said.status == 2
    assert f"--scheduler {address}: no scheduler answers there" in said.err
    assert "Traceback" not in said.err
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize("address", ["host:8786", "nonsense://x:1", "tcp://127.0.0.1:port", "tcp:"])
def test_what_is_no_address_is_refused_at_once(thirty, tmp_path, address):
    with pytest.raises(InputError, match="give an address such as tcp://host:8786"):
        make(thirty, tmp_path / "set.h5", scheduler=address)


def test_a_cluster_without_workers_is_told(thirty, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp", dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as empty,
        pytest.raises(RunError, match="has no workers; start some first"),
    ):  # fmt: skip
        make(thirty, tmp_path / "set.h5", shards=2, scheduler=empty.scheduler_address)


def test_without_dask_it_says_what_to_install(thirty, tmp_path, monkeypatch, run_cli):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "distributed")
    monkeypatch.setattr(builtins, "__import__", missing)
    said = run_cli("prepare", thirty, "-o", tmp_path / "set.h5", "--size", 8,
                   "--scheduler", "tcp://127.0.0.1:9")  # fmt: skip
    assert said.status == 2
    assert "pip install 'phasegan[cluster]'" in said.err


def test_workers_in_processes_of_their_own(thirty, tmp_path):
    """As a user has them: the worker decodes in a process that it starts."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    ) as cluster:  # fmt: skip
        report = make(thirty, tmp_path / "s.h5", shards=2, scheduler=cluster.scheduler_address)
    assert digest(report.path) == digest(make(thirty, tmp_path / "whole.h5").path)
