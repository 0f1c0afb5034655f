"""A file of two domains gives what its folders give, notices damage and is whole or not there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from PIL import Image

from phasegan.data.domain_folders import ImageSubset, open_domains
from phasegan.data.domain_scan import scan
from phasegan.data.hdf5.pair_layout import CHECKSUMMED, DATASETS, GROUPS
from phasegan.data.hdf5.pair_reader import PairFile, is_pair_file
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.verification import verify
from phasegan.data.images.pixel_format import PixelFormat, to_planes
from phasegan.data.images.resizing import resize_to_load
from phasegan.data.prepare.domains import prepare_domains
from phasegan.errors import InputError, RunError

SHAPES = [(20, 31, 3), (33, 18, 3), (16, 16, 3), (24, 40, 3)]


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


def fill(root, rng, make=None, suffix="png"):
    for name in GROUPS:
        for i, shape in enumerate(SHAPES[: 2 if name.startswith("test") else 4]):
            default = rng.integers(0, 256, shape, np.uint8)
            write(root / name / f"{name}-{i}.{suffix}", default if make is None else make(i, shape))
    return root


@pytest.fixture
def pair(tmp_path, rng):
    return fill(tmp_path / "pair", rng)


@pytest.fixture
def file(pair, tmp_path):
    prepare_domains(pair, tmp_path / "p.h5", load=24)
    return tmp_path / "p.h5"


def planes_of(part, kind, load, fit):
    return [resize_to_load(to_planes(part.read(i), kind), load, fit) for i in range(len(part))]


@pytest.mark.parametrize("fit", ["stretch", "short-side", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_reading_from_the_file_is_reading_from_the_folders(tmp_path, rng, fit, dtype):
    channels = {"uint8": 3, "uint16": 1, "float32": 6}[dtype]

    def make(i, shape):
        return rng.uniform(0, 250, (*shape[:2], channels)).astype(dtype)

    pair = fill(tmp_path / "pair", rng, make, "npy")
    report = prepare_domains(pair, tmp_path / "p.h5", load=22, fit=fit)
    folders, stored = open_domains(pair), open_domains(tmp_path / "p.h5")
    assert stored.prepared == (22, fit)
    assert (folders.paired, stored.paired) == (False, False)
    for domain in (0, 1):
        kind, part = scan(folders.train[domain])
        assert report.kinds[domain] == kind
        again, same = scan(stored.train[domain])
        assert again == kind
        assert same.names == part.names
        for split, own in ((folders.train, fit), (folders.test, "none")):
            other = stored.train if split is folders.train else stored.test
            expected = planes_of(split[domain], kind, 22, own)
            found = planes_of(other[domain], kind, 22, own)
            for one, two in zip(expected, found, strict=True):
                assert one.dtype == two.dtype
                np.testing.assert_array_equal(one, two)


def test_alpha_is_kept_and_can_still_be_dropped(tmp_path, rng):
    pair = fill(tmp_path / "p", rng, lambda i, s: rng.integers(0, 256, (*s[:2], 4), np.uint8))
    prepare_domains(pair, tmp_path / "p.h5", load=20, alpha="keep")
    folders, stored = open_domains(pair), open_domains(tmp_path / "p.h5")
    for alpha in (True, False):
        kind, part = scan(folders.train[0], alpha=alpha)
        assert scan(stored.train[0], alpha=alpha)[0] == kind
        expected = planes_of(part, kind, 20, "stretch")
        for one, two in zip(expected, planes_of(stored.train[0], kind, 20, "stretch"), strict=True):
            np.testing.assert_array_equal(one, two)
    assert kind == PixelFormat(3, "uint8", 0, 255)


def test_plain_h5py_reads_a_picture(file, pair):
    with h5py.File(file) as f:
        group = f["testB"]
        i = list(group["names"].asstr()).index("testB-1.png")
        start, stop = group["offsets"][i : i + 2]
        picture = group["pixels"][start:stop].reshape(-1, *group["shapes"][i])
        assert json.loads(f.attrs["kinds"])["b"]["channels"] == len(picture)
    stored = np.asarray(Image.open(pair / "testB" / "testB-1.png"))
    np.testing.assert_array_equal(np.moveaxis(picture, 0, -1), stored)


def test_equal_folders_give_equal_files(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.data.prepare.picture_loop._TASK", 2)  # work for several processes
    for name, workers in (("a", 1), ("b", 2)):
        prepare_domains(pair, tmp_path / name / "p.h5", load=24, workers=workers)
    first, second = ((tmp_path / name / "p.h5").read_bytes() for name in "ab")
    assert first == second


def test_digests_follow_the_data(pair, tmp_path):
    def digests(name, **options):
        prepare_domains(pair, tmp_path / name, **options)
        return [part.digest() for part in open_domains(tmp_path / name).train]

    first = digests("1.h5", load=24)
    assert digests("2.h5", load=24) == first
    assert not set(digests("3.h5", load=25)) & set(first)
    picture = Image.open(pair / "trainA" / "trainA-0.png")
    picture.putpixel((0, 0), tuple(255 - v for v in picture.getpixel((0, 0))))
    picture.save(pair / "trainA" / "trainA-0.png")
    changed = digests("4.h5", load=24)
    assert changed[0] != first[0]
    assert changed[1] == first[1]


def _sum(part: ImageSubset) -> int:
    return int(sum(part.read(i).pixels.astype(int).sum() for i in range(len(part))))


def test_processes_and_threads_read_at_once(file):
    domains = open_domains(file)
    part = domains.train[0]
    expected = _sum(part)
    assert _sum(pickle.loads(pickle.dumps(part))) == expected
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(_sum, [part] * 4) == [expected] * 4
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(_sum, [part] * 8)) == [expected] * 8


def test_a_file_that_is_there_is_kept_refused_or_replaced(pair, file):
    before = file.stat().st_mtime_ns
    report = prepare_domains(pair, file, load=24)
    assert not report.written
    assert report.counts == {"trainA": 4, "trainB": 4, "testA": 2, "testB": 2}
    with pytest.raises(InputError, match=r"prepared otherwise \(load: 24 → 30\)"):
        prepare_domains(pair, file, load=30)
    picture = (pair / "trainB" / "trainB-1.png").read_bytes()
    (pair / "trainB" / "trainB-1.png").write_bytes(picture[:-1] + b"x")
    with pytest.raises(InputError, match="have changed since"):
        prepare_domains(pair, file, load=24)
    (pair / "trainB" / "trainB-1.png").write_bytes(picture)
    assert not prepare_domains(pair, file, load=24).written
    (pair / "testA" / "testA-1.png").unlink()
    with pytest.raises(InputError, match="have changed since"):
        prepare_domains(pair, file, load=24)
    assert file.stat().st_mtime_ns == before
    assert prepare_domains(pair, file, load=24, overwrite=True).counts["testA"] == 1
    (file.parent / "text.h5").write_text("a text")
    with pytest.raises(InputError, match="is not an HDF5 file"):
        prepare_domains(pair, file.parent / "text.h5", overwrite=True)
    assert (file.parent / "text.h5").read_text() == "a text"


def test_unreadable_pictures_are_left_out(pair, tmp_path, rng):
    (pair / "trainA" / "trainA-1.png").write_bytes(b"no picture")
    write(pair / "testA" / "deep.png", rng.integers(0, 65536, (9, 9), np.uint16))
    for path in (pair / "testB").iterdir():
        path.write_bytes(b"")
    report = prepare_domains(pair, tmp_path / "p.h5", load=24)
    assert report.counts == {"trainA": 3, "trainB": 4, "testA": 2, "testB": 0}
    assert [name for name, _ in report.left_out] == [
        *("trainA-1.png", "deep.png", "testB-0.png", "testB-1.png")
    ]
    assert report.left_out[1][1] == "uint16 values, the domain has uint8"
    stored = open_domains(tmp_path / "p.h5")
    assert stored.train[0].names == ["trainA-0.png", "trainA-2.png", "trainA-3.png"]
    assert stored.test[1] is None
    assert not prepare_domains(pair, tmp_path / "p.h5", load=24).written


@pytest.mark.skipif(os.name != "posix", reason="names of bytes, and pipes, are of POSIX")
def test_odd_names_are_kept_readable_and_pipes_left_out(pair, tmp_path):
    shutil.copy(
        pair / "testA" / "testA-0.png", os.fsencode(pair / "testA") + b"/\xff \xe2\x82\xac.png"
    )
    os.mkfifo(pair / "trainB" / "pipe.png")
    report = prepare_domains(pair, tmp_path / "p.h5", load=24)
    assert report.left_out == [("pipe.png", "not a regular file")]
    stored = open_domains(tmp_path / "p.h5").test[0]
    assert sorted(stored.names) == ["\\xff €.png", "testA-0.png", "testA-1.png"]
    assert not prepare_domains(pair, tmp_path / "p.h5", load=24).written


def test_test_pictures_among_training_pictures_are_counted(pair, tmp_path):
    assert prepare_domains(pair, tmp_path / "1.h5", load=24).shared == 0
    shutil.copy(pair / "trainA" / "trainA-0.png", pair / "testB" / "other.png")
    assert prepare_domains(pair, tmp_path / "2.h5", load=24).shared == 1


def test_a_dry_run_counts_and_writes_nothing(pair, tmp_path):
    report = prepare_domains(pair, tmp_path / "out" / "p.h5", dry_run=True)
    assert report.counts == {"trainA": 4, "trainB": 4, "testA": 2, "testB": 2}
    assert (report.load, report.fit, report.written) == (286, "stretch", False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"load": 7}, "8 to 16384"),
        ({"fit": "crop"}, "fit 'crop': choose one of stretch, short-side, none"),
        ({"alpha": "white"}, "alpha 'white'"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_options_out_of_range_are_refused(pair, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        prepare_domains(pair, tmp_path / "p.h5", **options)


def test_a_disk_that_is_too_small_is_noticed_before(pair, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(RunError, match=r"needs about 0\.6 MB, its disk has 0\.0 MB free"):
        prepare_domains(pair, tmp_path / "out" / "p.h5", load=160)
    monkeypatch.undo()
    report = prepare_domains(pair, tmp_path / "out" / "p.h5", load=160)
    assert report.resumed == 12


def test_each_kind_of_file_names_the_other(file, tiny):
    assert is_pair_file(file)
    assert not is_pair_file(tiny)
    with pytest.raises(
        InputError, match=r"two domains of pictures, not phase spectra.*phasegan train"
    ):
        PreparedFile(file)
    with pytest.raises(InputError, match="phase spectra, not two domains of pictures"):
        open_domains(tiny)
    with pytest.raises(InputError, match="prepared file already"):
        prepare_domains(file, file.parent / "q.h5")


def test_what_is_no_such_file_is_told_quietly(tmp_path, file):
    (tmp_path / "t.txt").write_text("text")
    (tmp_path / "cut.h5").write_bytes(file.read_bytes()[:600])
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f.attrs["format"] = 3
    for name in ("t.txt", "cut.h5", "other.h5", "missing.h5", "."):
        assert not is_pair_file(tmp_path / name)
    assert not is_pair_file(None)
    for name, message in (
        ("t.txt", "not an HDF5 file"),
        ("cut.h5", "truncated"),
        ("other.h5", "not one of picture domains"),
    ):
        with pytest.raises(InputError, match=message):
            open_domains(tmp_path / name)


def _flip(f, name):
    f[name][0] += 1


def _replace(f, name, values):
    del f[name]
    f[name] = values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.modify("format_version", 2), "format version 2"),
        (lambda f: f.attrs.modify("fit", "crop"), "contradict the format"),
        (lambda f: f.attrs.modify("kinds", "{}"), "damaged attributes"),
        (lambda f: f.attrs.__delitem__("load"), "damaged attributes"),
        (lambda f: f.__delitem__("trainA/names"), "trainA/names is missing"),
        (lambda f: f.__delitem__("testB"), "testB/pixels is missing"),
        (lambda f: _flip(f, "trainB/offsets"), "trainB contradict"),
        (lambda f: _flip(f, "testA/shapes"), "testA contradict"),
        (lambda f: _replace(f, "trainA/pixels", np.zeros(99, np.uint8)), "trainA contradict"),
        (lambda f: _replace(f, "trainA/pixels_sha256", np.zeros((3, 32), np.uint8)), "contradict"),
        (lambda f: _replace(f, "trainB/names", ["a", "b", "c", "d"]), "strings of fixed length"),
        (lambda f: f.attrs.__delitem__("checksum"), "before its first release"),
        (lambda f: _replace(f, "trainA/shapes", np.zeros((4, 2), np.int64)), "expected int32"),
    ],
)
def test_parts_that_contradict_one_another_are_damage(file, change, message):
    with h5py.File(file, "r+") as f:
        change(f)
    with pytest.raises(InputError, match=message):
        PairFile(file)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda f: None, []),
        (lambda f: _flip(f, "testB/pixels"), ["testB/pixels (1 picture: testB-0.png)"]),
        (
            lambda f: _flip(f, "trainA/pixels_sha256"),
            ["trainA/pixels (1 picture: trainA-0.png)"],
        ),
        (lambda f: f["trainA/names"].__setitem__(0, "x"), ["trainA/names"]),
        (lambda f: f["trainA/source_sha256"].__setitem__(0, "0" * 64), ["trainA/source_sha256"]),
        (lambda f: f.attrs.modify("load", 25), ["attributes"]),
        (lambda f: f.create_group("extra"), ["extra (unknown)"]),
        (lambda f: f["testA/pixels"].attrs.create("unit", "m"), ["testA/pixels (description)"]),
        (lambda f: f["testA"].attrs.create("unit", "m"), ["testA (description)"]),
    ],
)
def test_verification_names_what_changed(file, change, wrong):
    with h5py.File(file, "r+") as f:
        change(f)
    assert verify(PairFile(file, check=False)) == wrong


def test_every_dataset_has_a_checksum(file):
    opened = PairFile(file)
    names = {f"{group}/{name}" for group in GROUPS for name in CHECKSUMMED}
    assert set(opened.metadata.checksums) == names
    assert set(DATASETS) - set(CHECKSUMMED) == {"pixels_sha256"}
    assert opened.metadata.intact


def test_plain_h5py_finds_the_checksums(file):
    with h5py.File(file) as f:
        checksums = json.loads(f.attrs["checksums"])
        for name in GROUPS:
            group = f[name]
            for i, known in enumerate(group["pixels_sha256"][()]):
                values = group["pixels"][slice(*group["offsets"][i : i + 2])]
                assert hashlib.sha256(values).digest() == known.tobytes()
            table = hashlib.sha256(group["pixels_sha256"][()]).hexdigest()
            assert checksums[f"{name}/pixels"] == table
            assert [group[d].fletcher32 for d in ("names", "offsets", "shapes")] == [True] * 3


@pytest.mark.parametrize("dataset", ["pixels", "pixels_sha256"])
def test_a_damaged_picture_is_refused_and_named_and_the_others_read(file, dataset):
    def place(f):
        size = f["trainB"][dataset].size // 4  # of one of its pictures, which are alike
        return f["trainB"][dataset].id.get_offset() + 2 * size + size // 2

    expected = [open_domains(file).train[1].read(i).pixels for i in range(4)]
    with h5py.File(file) as f:
        where = place(f)
    _flip_bit(file, where)
    part = open_domains(file).train[1]
    with pytest.raises(
        InputError, match=r"p\.h5/trainB/trainB-2\.png: damaged, it is not what was"
    ):
        part.read(2)
    for i in (0, 1, 3):
        np.testing.assert_array_equal(part.read(i).pixels, expected[i])
    assert verify(PairFile(file)) == ["trainB/pixels (1 picture: trainB-2.png)"]
    unchecked = PairFile(file, check=False).groups["trainB"].read(2).pixels
    assert (unchecked != expected[2]).sum() == (dataset == "pixels")


@pytest.mark.parametrize("dataset", ["names", "offsets", "shapes", "source_sha256"])
def test_a_flipped_bit_in_a_small_dataset_is_found(file, dataset):
    with h5py.File(file) as f:
        place = f["testA"][dataset].id.get_chunk_info(0).byte_offset
    _flip_bit(file, place + 3)
    if dataset == "source_sha256":  # not read before it is needed
        assert verify(PairFile(file)) == ["testA/source_sha256"]
        return
    with pytest.raises(InputError, match=r"p\.h5: damaged"):
        PairFile(file)


def _flip_bit(path, place, bit=2):
    with open(path, "r+b") as stream:
        stream.seek(place)
        value = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([value ^ 1 << bit]))


def _all(path):
    file = PairFile(path)
    return file.metadata, [
        (name, group.names, [group.read(i).pixels.tobytes() for i in range(len(group))])
        for name, group in file.groups.items()
    ], [group.all_source_sha256() for group in file.groups.values()]  # fmt: skip


def test_no_flipped_bit_gives_other_pictures(file, rng):
    whole, expected = file.read_bytes(), _all(file)
    found = 0
    for place in rng.integers(0, len(whole), 150):
        file.write_bytes(whole)
        _flip_bit(file, int(place), int(rng.integers(8)))
        is_pair_file(file)
        try:
            data, wrong = _all(file), verify(PairFile(file))
        except InputError:
            found += 1
        else:
            assert wrong or data == expected
            found += bool(wrong)
    assert found > 75  # the rest of the file is of no use


def test_a_file_cut_anywhere_is_refused(file):
    whole = file.read_bytes()
    for size in range(0, len(whole), len(whole) // 23):
        file.write_bytes(whole[:size])
        assert not is_pair_file(file)
        with pytest.raises(InputError):
            PairFile(file)
    file.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="truncated"):
        PairFile(file)


def test_bytes_behind_the_end_change_nothing(file):
    expected = _all(file)
    with open(file, "ab") as stream:
        stream.write(b"behind" * 100)
    assert _all(file) == expected
    assert verify(PairFile(file)) == []


def test_a_file_rewritten_by_another_program_is_refused(file, tmp_path):
    with h5py.File(file) as old, h5py.File(tmp_path / "new.h5", "w") as new:
        new.attrs.update(old.attrs)
        for name in GROUPS:
            old.copy(name, new)
            pixels = new[name]["pixels"][()]
            del new[name]["pixels"]
            new[name].create_dataset("pixels", data=pixels, compression="gzip")
    with pytest.raises(InputError, match="does not lie in one piece"):
        PairFile(tmp_path / "new.h5")


def test_flowers_are_read_alike_from_folder_and_file(real_data, tmp_path):
    folder = real_data / "sunflower2daisy"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no sunflower2daisy")
    own = {"domain_a": folder / "testA", "domain_b": folder / "testB"}
    report = prepare_domains(output=tmp_path / "f.h5", load=64, fit="short-side", **own)
    assert report.counts == {"trainA": 138, "trainB": 126}
    folders, stored = open_domains(**own), open_domains(tmp_path / "f.h5")
    kind = report.kinds[1]
    for i in (0, 60, 125):
        expected = resize_to_load(to_planes(folders.train[1].read(i), kind), 64, "short-side")
        np.testing.assert_array_equal(to_planes(stored.train[1].read(i), kind), expected)
