"""Two domains are found in folders, looked at once, and what is damaged is left out."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from phasegan.data.domain_folders import FolderImages, ImageSubset, is_pair_folder, open_domains
from phasegan.data.domain_scan import scan
from phasegan.data.images.notices import HIDDEN
from phasegan.data.images.pixel_format import PixelFormat, to_planes
from phasegan.errors import InputError
from phasegan.progress import Progress


class Heard(Progress):
    """Remembers the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values)
    else:
        Image.fromarray(values).save(path)


def picture(rng, *shape, dtype=np.uint8):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.fixture
def pair(tmp_path, rng):
    root = tmp_path / "pair"
    for name, count in {"trainA": 3, "trainB": 4, "testA": 2, "testB": 2}.items():
        for i in range(count):
            write(root / name / f"{i}.png", picture(rng, 10 + i, 12, 3))
    return root


def look(folder, **options):
    heard = Heard()
    return (*scan(ImageSubset(FolderImages(folder)), progress=heard, **options), heard.warnings)


def test_a_folder_holds_two_domains(pair):
    domains = open_domains(pair)
    assert is_pair_folder(pair)
    assert domains.name == "pair"
    assert domains.prepared is None
    assert [len(part) for part in (*domains.train, *domains.test)] == [3, 4, 2, 2]
    assert domains.paired
    os.rename(pair / "testB" / "1.png", pair / "testB" / "2.png")
    assert not open_domains(pair).paired
    for path in (pair / "testA").iterdir():
        path.unlink()
    (pair / "testA").rmdir()
    assert open_domains(pair).test[0] is None
    assert not open_domains(pair).paired


def test_domains_have_folders_of_their_own(pair, tmp_path, rng):
    domains = open_domains(domain_a=pair / "trainA", domain_b=pair / "trainB")
    assert domains.name == "trainA-trainB"
    assert domains.test == (None, None)
    write(tmp_path / "own" / "train" / "1.png", picture(rng, 8, 8))
    write(tmp_path / "own" / "test" / "2.png", picture(rng, 8, 8))
    domains = open_domains(domain_a=tmp_path / "own", domain_b=pair / "trainB")
    assert domains.train[0].names == ["1.png"]
    assert domains.test[0].names == ["2.png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folder": "missing"}, "no such folder"),
        ({"folder": "."}, "holds no trainA and no trainB"),
        ({"folder": "half"}, "holds no trainB"),
        ({"folder": "empty"}, "no pictures"),
        ({"domain_a": "half"}, "give both"),
        ({"folder": "half", "domain_a": "half"}, "not both"),
        ({"domain_a": "half", "domain_b": "missing"}, "no such folder"),
    ],
)
def test_folders_that_do_not_do_are_named(tmp_path, rng, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "half" / "trainA" / "1.png", picture(rng, 8, 8))
    for name in ("trainA", "trainB"):
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=message):
        open_domains(**given)
    assert is_pair_folder(given.get("folder")) == (given == {"folder": "empty"})


def test_pictures_are_sorted_and_hidden_and_foreign_files_ignored(tmp_path, rng):
    for name in ("b/2.png", "a.png", "b/1.JPG", ".hidden.png", ".cache/3.png", "c.npy"):
        write(tmp_path / "f" / name, picture(rng, 8, 8))
    (tmp_path / "f" / "readme.txt").write_text("text")
    assert FolderImages(tmp_path / "f").names == ["a.png", "b/1.JPG", "b/2.png", "c.npy"]


def test_the_digest_follows_names_and_sizes(pair):
    before = open_domains(pair).train[0]
    whole, part = before.digest(), before.subset([0, 2])
    assert whole == open_domains(pair).train[0].digest()
    assert len({whole, part.digest(), before.subset([2, 0]).digest()}) == 3
    assert before.subset([0, 1, 2]).digest() == whole
    os.rename(pair / "trainA" / "0.png", pair / "trainA" / "00.png")
    renamed = open_domains(pair).train[0].digest()
    with open(pair / "trainA" / "00.png", "ab") as stream:
        stream.write(b"\0")
    assert len({whole, renamed, open_domains(pair).train[0].digest()}) == 3


def test_a_part_reads_what_it_names(pair):
    part = open_domains(pair).train[1].subset([3, 1]).subset([1, 0])
    assert part.names == ["1.png", "3.png"]
    assert [part.read(i).pixels.shape[0] for i in (0, 1)] == [11, 13]
    content = (pair / "trainB" / "1.png").read_bytes()
    assert part.source_sha256(0) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"1.png": ((8, 8), np.uint8)}, PixelFormat(1, "uint8", 0, 255)),
        ({"1.png": ((8, 8, 3), np.uint8)}, PixelFormat(3, "uint8", 0, 255)),
        (
            {"1.png": ((8, 8), np.uint8), "2.png": ((8, 8, 3), np.uint8)},
            PixelFormat(3, "uint8", 0, 255),
        ),
        ({"1.png": ((8, 8), np.uint16)}, PixelFormat(1, "uint16", 0, 65535)),
        (
            {"1.png": ((8, 8, 3), np.uint8), "2.png": ((9, 9), np.uint16)},
            PixelFormat(3, "uint16", 0, 65535),
        ),
        ({"1.png": ((8, 8, 4), np.uint8)}, PixelFormat(3, "uint8", 0, 255)),
        ({"1.npy": ((12, 12, 7), np.uint8)}, PixelFormat(7, "uint8", 0, 255)),
        (
            {"1.npy": ((7, 12, 12), np.uint8), "2.npy": ((9, 9, 7), np.uint8)},
            PixelFormat(7, "uint8", 0, 255),
        ),
    ],
)
def test_what_pictures_have_in_common_is_found(tmp_path, rng, stored, expected):
    for name, (shape, dtype) in stored.items():
        write(tmp_path / "f" / name, picture(rng, *shape, dtype=dtype))
    kind, part, warnings = look(tmp_path / "f")
    assert kind == expected
    hidden = [f"{tmp_path / 'f' / '1.png'} has {HIDDEN}"]
    assert warnings == (hidden if stored.get("1.png") == ((8, 8, 4), np.uint8) else [])
    for index in range(len(part)):
        planes = to_planes(part.read(index), kind)
        assert (planes.shape[0], planes.dtype) == (expected.channels, expected.dtype)


def test_alpha_is_kept_where_it_is_asked_for(tmp_path, rng):
    write(tmp_path / "f" / "1.png", picture(rng, 8, 8, 4))
    write(tmp_path / "f" / "2.png", picture(rng, 8, 8))
    kind, part, _ = look(tmp_path / "f", alpha=True)
    assert kind == PixelFormat(4, "uint8", 0, 255, alpha=True)
    assert (to_planes(part.read(1), kind)[3] == 255).all()
    (tmp_path / "f" / "1.png").unlink()
    assert look(tmp_path / "f", alpha=True)[0] == PixelFormat(1, "uint8", 0, 255)


def test_floats_run_between_their_extremes_or_the_limits_given(tmp_path, rng):
    stored = rng.normal(0, 3, (2, 8, 9)).astype(np.float32)
    write(tmp_path / "f" / "1.tif", stored[0])
    write(tmp_path / "f" / "2.npy", stored[1].astype(np.float64))
    kind, _, _ = look(tmp_path / "f")
    assert kind == PixelFormat(1, "float32", float(stored.min()), float(stored.max()))
    assert look(tmp_path / "f", limits=(-1, 5))[0] == PixelFormat(1, "float32", -1, 5)


def test_damaged_pictures_are_left_out_with_a_warning_each(tmp_path, rng):
    folder = tmp_path / "f"
    for i in range(5):
        write(folder / f"{i}.png", picture(rng, 8, 8))
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:50])
    (folder / "3.png").write_bytes(b"")
    (folder / "x.png").symlink_to(tmp_path / "nowhere")
    _, part, warnings = look(folder)
    assert part.names == ["0.png", "2.png", "4.png"]
    assert [text.split(":")[0] for text in warnings] == [
        f"left out {folder}/{name}" for name in ("1.png", "3.png", "x.png")
    ]
    assert "No such file" in warnings[2]
    assert len(part.digest()) == 64


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 5), np.uint8)], "3, 5 channels"),
        ([np.zeros((9, 9), np.uint8), np.ones((9, 9), np.float32)], "integers and floating-point"),
        ([np.full((9, 9), 2.5, np.float32)] * 2, "every value is 2.5"),
        ([np.full((9, 9), np.nan, np.float32)], "none of its 1 pictures"),
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(tmp_path, stored, message):
    for i, values in enumerate(stored):
        write(tmp_path / "f" / f"{i}.npy", values)
    with pytest.raises(InputError, match=message):
        look(tmp_path / "f")


def test_limits_make_constant_floats_pictures(tmp_path):
    write(tmp_path / "f" / "1.npy", np.full((9, 9), 2.5))
    assert look(tmp_path / "f", limits=(0, 5))[0] == PixelFormat(1, "float32", 0, 5)
