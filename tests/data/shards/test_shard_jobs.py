"""The jobs of an array: in any order, at once, killed; and what is there already."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from shard_helper import assert_same, make, save

import phasegan
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.shards import listing_path, shard_path
from phasegan.errors import InputError, RunError


def test_jobs_come_in_any_order_and_the_last_one_joins(forty, tmp_path):
    whole = make(forty, tmp_path / "whole.h5")
    path, order = tmp_path / "set.h5", list(range(4))
    random.Random(3).shuffle(order)
    for done, number in enumerate(order, 1):
        assert not path.exists()
        report = make(forty, path, shards=4, shard=number)
        assert report.shards == (done, 4)
        assert report.path == (path if done == 4 else shard_path(path, number, 4))
    assert_same(path, whole.path)
    assert not listing_path(path).exists()
    late = make(forty, path, shards=4, shard=2)
    assert not late.written
    assert (late.train, late.test) == (whole.train, whole.test)


def test_two_last_jobs_at_once_both_finish(forty, tmp_path, start_cli):
    path = tmp_path / "set.h5"
    words = ["prepare", forty, "-o", path, "--size", 8, "--workers", 1, "--shards", 3]
    jobs = [start_cli(*words, "--shard", number) for number in range(3)]
    said = [job.communicate(timeout=300) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    with phasegan.open(path) as file:
        assert len(file.train) + len(file.test) == 43
        assert verify(file) == []
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert sum("joined from 3 shards" in out for out, _ in said) >= 1


def test_a_killed_shard_is_continued(tmp_path):
    for i in range(300):
        save(tmp_path / "p" / f"{i}.png", i, side=64)
    whole = make(tmp_path / "p", tmp_path / "whole.h5", size=64)
    path, number = tmp_path / "set.h5", 1
    words = ["prepare", tmp_path / "p", "-o", path, "--size", 64, "--workers", 1]
    words += ["--shards", 2, "--shard", number]
    job = subprocess.Popen(
        [sys.executable, "-m", "phasegan", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = shard_path(path, number, 2).with_name(f".{shard_path(path, number, 2).name}.journal")
    limit = time.monotonic() + 300
    while time.monotonic() < limit and job.poll() is None:
        if journal.exists() and journal.stat().st_size > 8000:
            break
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not shard_path(path, number, 2).exists()
    assert journal.exists()
    report = make(tmp_path / "p", path, size=64, shards=2, resume=True)
    assert 0 < report.resumed < 150
    assert_same(path, whole.path)


def test_a_folder_without_a_name_is_the_same_folder(forty, tmp_path, monkeypatch):
    make(forty, tmp_path / "set.h5", shards=2, shard=0)
    monkeypatch.chdir(forty)
    assert make(".", tmp_path / "set.h5", shards=2, shard=1).shards == (2, 2)


@pytest.mark.parametrize("number", [None, 1])
def test_dry_run_says_what_would_be_done(forty, tmp_path, run_cli, number):
    words = [] if number is None else ["--shard", number]
    said = run_cli("prepare", forty, "-o", tmp_path / "set.h5", "--shards", 3, *words, "--dry-run")
    assert said.status == 0
    assert ("in 3 shards" in said.out) == (number is None)
    assert ("set-0001-of-0003.h5" in said.out) == (number == 1)
    assert not list(tmp_path.glob("*.h5*"))
    many = run_cli("prepare", forty, "--shards", 6, "--dry-run")
    assert many.status == 2
    assert "at most 5" in many.err


def test_what_is_there_is_kept_or_replaced_when_asked(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=3)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")}
    assert not make(forty, path, shards=3).written
    assert not make(forty, path).written
    with pytest.raises(InputError, match="was prepared otherwise"):
        make(forty, path, shards=3, seed=1)
    with pytest.raises(InputError, match="was prepared otherwise"):
        make(forty, path, shards=3, shard=0, seed=1)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")} == before
    whole = make(forty, tmp_path / "whole.h5", seed=1)
    report = make(forty, path, shards=3, seed=1, overwrite=True)
    assert report.written
    assert_same(path, whole.path)


def test_jobs_replace_shards_one_by_one_and_the_last_one_joins(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=3)
    whole = make(forty, tmp_path / "whole.h5", seed=1)
    for number in (2, 0, 1):
        report = make(forty, path, shards=3, shard=number, seed=1, overwrite=True)
        if number != 1:
            assert report.path == shard_path(path, number, 3)
            with pytest.raises(InputError, match="not the shard"):
                phasegan.open(path)
    assert_same(path, whole.path)


def test_a_file_in_one_piece_stays_when_shards_are_asked_for(forty, tmp_path):
    make(forty, tmp_path / "set.h5")
    before = (tmp_path / "set.h5").read_bytes()
    assert not make(forty, tmp_path / "set.h5", shards=3).written
    assert (tmp_path / "set.h5").read_bytes() == before
    assert not list(tmp_path.glob("set-*"))


def test_a_file_that_is_not_hdf5_is_never_replaced(forty, tmp_path):
    for name in ("set-0001-of-0002.h5", "set.h5"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(InputError):
            make(forty, tmp_path / "set.h5", shards=2, overwrite=True)
        assert (tmp_path / name).read_text() == "precious"
        (tmp_path / name).unlink()


def test_a_full_disk_leaves_no_joined_file(forty, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "phasegan.data.prepare.partial.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": 100})(),
    )
    with pytest.raises(RunError, match="free some space"):
        make(forty, tmp_path / "set.h5", shards=2)
    assert not list(tmp_path.glob("*.h5"))


def test_a_recipe_with_a_checksum_is_held_to_it(forty, tmp_path):
    whole = make(forty, tmp_path / "whole.h5")
    with phasegan.open(whole.path) as file:
        checksum = file.attributes["source_checksum"]
    for name, asked in (("right", checksum), ("wrong", "sha256:" + "0" * 64)):
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(
            f'format = 1\nname = "{name}"\n[source]\nkind = "folder"\n'
            f"path = {json.dumps(str(forty))}\nchecksum = {json.dumps(asked)}\n"
        )
    assert make(tmp_path / "right.toml", tmp_path / "right.h5", shards=2).train == whole.train
    with pytest.raises(InputError, match="they are not the same set"):
        make(tmp_path / "wrong.toml", tmp_path / "wrong.h5", shards=2)
    assert not (tmp_path / "wrong.h5").exists()
