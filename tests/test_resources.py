"""Meters and loads measure this process and others."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from phasegan import resources
from phasegan.evaluation import provenance as module
from phasegan.evaluation.provenance import provenance
from phasegan.resources import LoadMonitor, Meter


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_meter_tells_work_from_waiting():
    meter = Meter(torch.device("cpu"))
    time.sleep(0.2)
    spin(0.1)
    wall, cpu = meter.seconds()
    assert wall >= 0.29
    assert 0.09 <= cpu < wall


def test_peak_memory_is_that_of_the_work_not_of_the_process():
    big = np.ones(2**25)  # 256 MiB
    first = Meter(torch.device("cpu"))
    if first.peak_bytes() is None:
        pytest.skip("this system does not tell")
    assert first.peak_bytes() > 2**28
    del big
    second = Meter(torch.device("cpu"))
    assert second.peak_bytes() < first.peak_bytes() + 2**26
    before = second.peak_bytes()
    more = np.ones(2**24)  # 128 MiB
    assert second.peak_bytes() > before + 2**26
    del more


def test_a_process_is_as_old_as_its_start():
    code = (
        "import time; time.sleep(0.3); from phasegan.resources import process_seconds; "
        "time.sleep(0.2); print(process_seconds())"
    )
    start = time.monotonic()
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert 0.49 < float(printed) < time.monotonic() - start + 0.02  # ticks of 10 ms


def test_others_are_noticed_and_oneself_is_not():
    with LoadMonitor() as own:
        spin(0.3)
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with LoadMonitor() as busy:
            time.sleep(1.0)
    finally:
        process.kill()
        process.wait()
    assert 0 <= own.others <= 1
    assert 0 <= busy.others <= 1
    if own.others < 0.1:  # nobody else was at work
        assert busy.others > 0.2


def test_a_load_of_nothing_is_nothing():
    with LoadMonitor() as load:
        pass
    assert load.others == 0.0


def test_the_commit_is_that_of_the_checkout(monkeypatch, tmp_path):
    found = provenance()
    assert {"torch", "numpy", "scipy", "h5py", "phasegan", "processor", "cores"} <= set(found)
    commit = found["commit"]
    assert commit is None or len(commit.removesuffix("+changes")) == 40
    (tmp_path / "phasegan").mkdir()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "phasegan" / "evaluation" / "a.py"))
    module._commit.cache_clear()
    assert provenance()["commit"] is None
    module._commit.cache_clear()


@pytest.mark.parametrize(("others", "idle"), [(0.1, 4), (0.25, 3), (0.6, 2), (1.0, 1)])
def test_idle_cores_are_those_that_other_work_leaves(monkeypatch, others, idle):
    monkeypatch.setattr(resources, "available_cores", lambda: 4)
    monkeypatch.setattr(LoadMonitor, "__exit__", lambda self, *_: setattr(self, "others", others))
    assert resources.idle_cores(0.0) == idle
