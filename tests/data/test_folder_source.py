"""Folders of pictures: their order, what a limit reads, and the memory of many names."""

from __future__ import annotations

import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phasegan.data import file_loader
from phasegan.data import folder_source as module
from phasegan.data.folder_source import ImageFolder
from phasegan.data.prepare.in_memory import encode_images
from phasegan.errors import InputError
from phasegan.progress import Progress

LETTERS = [b"a", b"B", b"0", b" ", b"!", b"-", b".", b"\x01", b"~", "é".encode(), "\ue000".encode(),
           "\U0001f600".encode(), b"\xff", b"\xc3", b"\x80"]  # fmt: skip


def grow(folder, draw, depth=0):
    for _ in range(draw.randrange(1, 12)):
        name = b"x" + b"".join(draw.choices(LETTERS, k=draw.randrange(4)))
        if depth < 3 and draw.random() < 0.3:
            os.makedirs(os.path.join(folder, name), exist_ok=True)
            grow(os.path.join(folder, name), draw, depth + 1)
        elif not os.path.lexists(path := os.path.join(folder, name + b".png")):
            os.symlink(b"/nowhere", path) if draw.random() < 0.1 else open(path, "xb").close()


@pytest.mark.skipif(os.name == "nt", reason="names of any bytes")
@pytest.mark.parametrize("seed", range(12))
def test_the_order_is_that_of_the_parts_of_paths(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(module, "_RUN", 3)
    monkeypatch.setattr(module, "_BLOCK", 2)
    try:
        grow(os.fsencode(tmp_path), random.Random(seed))
    except OSError:
        pytest.skip("a file system that takes no such names")
    (tmp_path / "last.png").touch()
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png") if path.is_file()]
    expected = sorted(files, key=lambda path: path.parts)
    found = ImageFolder(tmp_path)
    numbers = found.splits()[None]
    assert [Path(found.job(i)) for i in numbers] == expected
    found.save(tmp_path / "list")
    again = ImageFolder.restore(tmp_path, tmp_path / "list")
    assert again is not None
    assert [again.job(i) for i in numbers] == [str(path) for path in expected]


def test_many_names_take_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_RUN", 1000)
    for i in range(20_000):
        (tmp_path / f"{i:05d}.png").touch()
    tracemalloc.start()
    try:
        found = ImageFolder(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 600_000
    finally:
        tracemalloc.stop()
    assert found.job(12_345) == "12345.png"


@pytest.fixture
def mixed(tmp_path):
    """Pictures of 8 bits, a damaged one of 8 bits, one of 16 bits, one of 8 bits."""
    root = tmp_path / "mixed"
    root.mkdir()
    for i in range(5):
        pixels = np.full((16, 16), 40 * i + 3, np.uint16 if i == 3 else np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    data = (root / "1.png").read_bytes()
    (root / "1.png").write_bytes(data[:40])
    return root


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, None])
def test_a_limit_takes_the_first_each_in_its_own_depth(mixed, limit):
    encoded = list(encode_images(mixed, {"size": 16}, limit, Progress()))
    assert [e.sample.source for e in encoded] == [f"{i}.png" for i in (0, 2, 3, 4)][:limit]
    assert [e.layout.bits for e in encoded] == [8, 8, 16, 8][:limit]
    for layout, sample in encoded:
        assert sample.images.dtype == f"uint{layout.bits}"


def test_a_limit_reads_no_other_file(mixed, monkeypatch):
    read, content = [], file_loader.read_file
    monkeypatch.setattr(file_loader, "read_file", lambda path: read.append(path) or content(path))
    list(encode_images(mixed, {"size": 16}, 2, Progress()))
    assert {os.path.basename(path) for path in read} == {"0.png", "1.png", "2.png"}


def test_a_limit_of_damaged_pictures_says_so(mixed):
    for i in (0, 2, 3, 4):
        (mixed / f"{i}.png").unlink()
    with pytest.raises(InputError, match="no usable picture"):
        list(encode_images(mixed, {"size": 16}, 1, Progress()))
