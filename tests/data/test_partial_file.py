"""An interrupted preparation: whatever it left, the next one ends with the same bytes."""

import contextlib
import os
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.hdf5 import container
from phasegan.data.prepare.partial import PartialFile, PartialPaths
from phasegan.data.prepare.sample_file import complete
from phasegan.errors import DiskFullError, InputError, Interrupted, RunError
from phasegan.io.append_log import AppendLog
from phasegan.progress import Progress

OPTIONS = {"size": 16, "seed": 3}


@pytest.fixture
def folder(tmp_path, rng):
    """Forty pictures, two of them damaged, one a duplicate, one black."""
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(40):
        pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels * (i != 7)).save(root / f"{i:02d}.png")
    (root / "11.png").write_bytes(b"not a picture")
    (root / "23.png").write_bytes((root / "24.png").read_bytes()[:200])
    shutil.copy(root / "30.png", root / "31.png")
    return root


class Stop(Progress):
    """Interrupts after so many steps."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    @contextlib.contextmanager
    def task(self, *arguments, **options):
        with super().task(*arguments, **options) as task:
            advance = task.advance

            def counted(*steps):
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
                advance(*steps)

            task.advance = counted
            yield task


def interrupted(folder, path, after, **options):
    with pytest.raises(Interrupted, match="continue with --resume"):
        phasegan.prepare(folder, path, progress=Stop(after), **(OPTIONS | options))
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"images": False}, {"channels": "rgb", "phase_noise": 0.1},
                                     {"samples": 20, "test": 6}])  # fmt: skip
@pytest.mark.parametrize(("after", "workers"), [(0, 1), (17, 2), (38, 1)])
def test_continued_is_uninterrupted(folder, tmp_path, options, after, workers):
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **(OPTIONS | options))
    after = min(after, 24) if "samples" in options else after
    interrupted(folder, path, after, workers=workers, **options)
    report = phasegan.prepare(folder, path, workers=workers, **(OPTIONS | options))
    assert path.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))
    assert report.resumed <= max(after, 1) + 32


@pytest.mark.slow
def test_a_journal_cut_anywhere_ends_with_the_same_file(folder, tmp_path, monkeypatch):
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **OPTIONS)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("phasegan.data.prepare.pipeline.complete", fail)
        phasegan.prepare(folder, path, **OPTIONS)
    names = PartialPaths.of(path)
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in names:
        shutil.copy(name, kept / name.name)
    size = names.journal.stat().st_size
    for cut in [0, 500, *range(2500, size, size // 4), size - 1]:
        for name in names:
            shutil.copy(kept / name.name, name)
        os.truncate(names.journal, cut)
        phasegan.prepare(folder, path, **OPTIONS)
        assert path.read_bytes() == whole.read_bytes()
        path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.05, 0.3, 0.6, 0.95])
def test_values_that_the_journal_does_not_vouch_for_are_made_again(folder, tmp_path, place):
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **OPTIONS)
    interrupted(folder, path, 30)
    part = PartialPaths.of(path).part
    data = bytearray(part.read_bytes())
    start = int(place * len(data))
    data[start : start + 3000] = os.urandom(len(data[start : start + 3000]))
    part.write_bytes(data)
    phasegan.prepare(folder, path, **OPTIONS)
    assert phasegan.open(path).digest == phasegan.open(whole).digest
    with phasegan.open(path) as file, phasegan.open(whole) as expected:
        for split in ("train", "test"):
            np.testing.assert_array_equal(file.split(split).codes(), expected.split(split).codes())


def test_a_crash_while_finishing_is_undone(folder, tmp_path, monkeypatch):
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **OPTIONS)

    def torn(part, *arguments):
        complete(part, *arguments)
        with open(part, "r+b") as stream:
            stream.write(b"\0" * 700)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("phasegan.data.prepare.pipeline.complete", torn)
        phasegan.prepare(folder, path, **OPTIONS)
    assert phasegan.prepare(folder, path, **OPTIONS).resumed == 40
    assert path.read_bytes() == whole.read_bytes()


def test_pictures_that_changed_since_are_taken_anew(folder, tmp_path):
    path = tmp_path / "p.h5"
    interrupted(folder, path, 30)
    changed = folder / "12.png"
    data = bytearray(changed.read_bytes())
    Image.fromarray(np.full((20, 24, 3), 9, np.uint8)).save(changed)
    changed.write_bytes(changed.read_bytes().ljust(len(data), b"\0"))  # as large as before
    phasegan.prepare(folder, path, **OPTIONS)
    fresh = tmp_path / "fresh.h5"
    phasegan.prepare(folder, fresh, **OPTIONS)
    assert path.read_bytes() == fresh.read_bytes()


def test_what_was_left_of_something_else_is_not_thrown_away(folder, tmp_path):
    path = tmp_path / "p.h5"
    interrupted(folder, path, 20)
    with pytest.raises(InputError, match=r"in the way.*preprocessing\.size: 16 → 20"):
        phasegan.prepare(folder, path, size=20, seed=3)
    (folder / "99.png").write_bytes((folder / "01.png").read_bytes())
    with pytest.raises(InputError, match="in the way"):
        phasegan.prepare(folder, path, **OPTIONS)
    with pytest.raises(InputError, match="in the way"):
        phasegan.prepare(folder, path, size=20, seed=3, overwrite=True, resume=True)
    assert phasegan.prepare(folder, path, size=20, seed=3, overwrite=True).resumed == 0
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_is_full_at_the_start_leaves_what_goes_on(folder, tmp_path, monkeypatch):
    path, create = tmp_path / "p.h5", container.create_contiguous

    def full(group, name, array):
        if name == "images":
            raise OSError(28, "No space left on device")
        return create(group, name, array)

    with monkeypatch.context() as patch, pytest.raises(DiskFullError):
        patch.setattr(container, "create_contiguous", full)
        phasegan.prepare(folder, path, **OPTIONS)
    assert {p.name for p in tmp_path.iterdir()} == {"pictures", ".p.h5.part", ".p.h5.journal"}
    assert phasegan.prepare(folder, path, **OPTIONS).resumed == 0


def test_what_a_disk_did_not_keep_is_no_finished_file(folder, tmp_path, monkeypatch):
    """h5py swallows an error of a write while it closes an object."""
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **OPTIONS)

    def losing(part, *arguments):
        complete(part, *arguments)
        with h5py.File(part) as file:
            place = file["train/source"].id.get_chunk_info(0).byte_offset
        with open(part, "r+b") as stream:
            stream.seek(place)
            stream.write(b"\0" * 40)

    with monkeypatch.context() as patch, pytest.raises(RunError, match="did not keep what was"):
        patch.setattr("phasegan.data.prepare.pipeline.complete", losing)
        phasegan.prepare(folder, path, **OPTIONS)
    assert not path.exists()
    assert phasegan.prepare(folder, path, **OPTIONS).resumed == 40
    assert path.read_bytes() == whole.read_bytes()


def test_nothing_is_left_of_a_picture_that_became_unreadable(folder, tmp_path):
    path = tmp_path / "p.h5"
    interrupted(folder, path, 38)
    lost = folder / "12.png"
    lost.write_bytes(b"x" * lost.stat().st_size)
    phasegan.prepare(folder, path, **OPTIONS)
    fresh = tmp_path / "fresh.h5"
    phasegan.prepare(folder, fresh, **OPTIONS)
    assert path.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("value", [["x"], [], {}, 3, ["train", "a"], ["train", "a", "b", 5]])
def test_whole_lines_of_a_journal_that_make_no_sense_end_it(folder, tmp_path, value):
    whole, path = tmp_path / "whole.h5", tmp_path / "p.h5"
    phasegan.prepare(folder, whole, **OPTIONS)
    interrupted(folder, path, 30)
    log = AppendLog(PartialPaths.of(path).journal)
    log.append([value])
    log.close()
    assert phasegan.prepare(folder, path, **OPTIONS).resumed > 10
    assert path.read_bytes() == whole.read_bytes()


def test_a_hopeless_preparation_leaves_nothing(folder, tmp_path):
    with pytest.raises(InputError, match="39 asked for, 38 usable"):
        phasegan.prepare(folder, tmp_path / "p.h5", samples=39, test=0, size=16)
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_about_is_none_without_both_files(folder, tmp_path):
    path = tmp_path / "p.h5"
    assert PartialFile.fingerprint(path) is None
    interrupted(folder, path, 5)
    assert PartialFile.fingerprint(path)["recipe"]["preprocessing"]["size"] == 16
    PartialPaths.of(path).part.unlink()
    assert PartialFile.fingerprint(path) is None
    assert phasegan.prepare(folder, path, **OPTIONS).resumed == 0
