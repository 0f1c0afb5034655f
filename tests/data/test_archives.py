"""Unpacking: what is wanted arrives, and nothing of an archive reaches beyond its folder."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile

import pytest

from phasegan.data.download import archives as module
from phasegan.data.download.archives import unpack
from phasegan.errors import InputError


def make_zip(path, members, *, mode=0):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def make_tar(path, members, *, compression="gz"):
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def everything(path):
    return path


def contents(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


MAKERS = {"zip": make_zip, "tar": make_tar}


@pytest.fixture(params=sorted(MAKERS))
def kind(request):
    return request.param


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "inside" / "target"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def make(tmp_path, kind):
    return lambda members: MAKERS[kind](tmp_path / "archive", members)


def test_files_come_out_as_they_went_in(make, target, kind):
    members = {"set/a/1.png": b"one" * 5000, "set/2 :x.png": b"", "./set/3.png": b"three"}
    assert unpack(make(members.items()), target, kind, everything) == 3
    members["set/3.png"] = members.pop("./set/3.png")
    assert contents(target) == members


@pytest.mark.parametrize("compression", ["", "bz2", "xz"])
def test_tar_files_may_be_compressed_in_any_way(tmp_path, target, compression):
    archive = make_tar(tmp_path / "t", [("a.png", b"pixels")], compression=compression)
    unpack(archive, target, "tar", everything)
    assert contents(target) == {"a.png": b"pixels"}


def test_files_go_where_they_are_sent_or_nowhere(make, target, kind):
    def place(path):
        return path.relative_to("set").with_suffix(".jpg") if path.suffix == ".png" else None

    archive = make([("set/1.png", b"1"), ("set/readme.txt", b"2")])
    assert unpack(archive, target, kind, place) == 1
    assert contents(target) == {"1.jpg": b"1"}


@pytest.mark.parametrize(
    "name",
    ["../out.png", "a/../../out.png", "/out.png", "C:/out.png", "c:out.png", "..\\out.png",
     "a\\b.png", "a\nb.png", "a\x1b[2J.png", "x" * 2000, "a/.."],
)  # fmt: skip
def test_names_that_lead_away_condemn_the_archive(make, target, kind, name):
    archive = make([("good.png", b"1"), (name, b"bad")])
    with pytest.raises(InputError, match="may lead out of the folder") as caught:
        unpack(archive, target, kind, lambda path: path if path.suffix == ".png" else None)
    assert "\n" not in str(caught.value)
    beside = [p for p in target.parent.rglob("*") if p.is_file()]
    assert beside in ([], [target / "good.png"])


def test_a_placement_may_not_lead_away_either(make, target, kind):
    from pathlib import PurePosixPath

    with pytest.raises(InputError, match="may lead out"):
        unpack(make([("a.png", b"1")]), target, kind, lambda path: PurePosixPath("../b.png"))


@pytest.mark.parametrize(
    "special", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_tar_files_are_refused(tmp_path, target, special):
    with tarfile.open(tmp_path / "t", "w") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = special, "../../secret"
        archive.addfile(info)
    with pytest.raises(InputError, match="link or a device"):
        unpack(tmp_path / "t", target, "tar", everything)
    assert contents(target) == {}


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600])
def test_links_and_devices_in_zip_files_are_refused(tmp_path, target, mode):
    archive = make_zip(tmp_path / "z", [("link.png", b"../../secret")], mode=mode)
    with pytest.raises(InputError, match="link or a device"):
        unpack(archive, target, "zip", everything)
    assert contents(target) == {}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_file_twice_is_refused(make, target, kind):
    with pytest.raises(InputError, match="in it twice"):
        unpack(make([("a.png", b"1"), ("a.png", b"2")]), target, kind, everything)


def test_a_file_cannot_be_a_folder_too(make, target, kind):
    with pytest.raises(InputError, match="a file and a folder"):
        unpack(make([("a", b"1"), ("a/b.png", b"2")]), target, kind, everything)


def test_bombs_are_stopped_while_they_unpack(make, target, kind):
    archive = make([("small.png", b"1"), ("huge.png", bytes(50_000_000))])
    with pytest.raises(InputError, match="far more than its own size"):
        unpack(archive, target, kind, everything, most_bytes=3_000_000)
    assert sum(p.stat().st_size for p in target.rglob("*")) <= 3_000_000


def test_what_is_skipped_counts_too(tmp_path, target, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 1_000_000)
    archive = make_tar(tmp_path / "t", [("other.bin", bytes(50_000_000)), ("a.png", b"1")])
    with pytest.raises(InputError, match="far more than its own size"):
        unpack(archive, target, "tar", lambda path: path if path.suffix == ".png" else None)


def test_a_name_cannot_be_larger_than_an_archive(tmp_path, target, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 1_000_000)
    header = bytearray(tarfile.TarInfo("././@LongLink").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[124:136] = b"L", b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "t").write_bytes(gzip.compress(bytes(header) + bytes(50_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="far more than its own size"):
            unpack(tmp_path / "t", target, "tar", everything)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "hole",
    [{"GNU.sparse.map": "900000000000,3"}, {"GNU.sparse.map": "0,3", "GNU.sparse.size": "9" * 12}],
)
def test_holes_in_sparse_files_count(tmp_path, target, hole):
    with tarfile.open(tmp_path / "t", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.png")
        info.size, info.pax_headers = 3, hole
        archive.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(InputError, match="far more than its own size"):
        unpack(tmp_path / "t", target, "tar", everything)
    assert not any(p.stat().st_size for p in target.rglob("*"))


def test_a_member_of_a_zip_without_a_name_is_none(tmp_path, target):
    data = make_zip(tmp_path / "z", [("a.png", b"1")]).read_bytes()
    (tmp_path / "z").write_bytes(data.replace(b"a.png", b"\0.png"))
    with pytest.raises(InputError, match="not a readable archive"):
        unpack(tmp_path / "z", target, "zip", everything)


def test_many_small_files_count_together(make, target, kind):
    archive = make([(f"{i}.png", bytes(1000)) for i in range(12)])
    with pytest.raises(InputError, match="far more"):
        unpack(archive, target, kind, everything, most_bytes=10_000)


def test_numbers_of_members_are_bounded(make, target, kind):
    archive = make([(f"{i}.txt", b"") for i in range(12)])
    with pytest.raises(InputError, match="more than 10 members"):
        unpack(archive, target, kind, lambda path: None, most_members=10)


def test_damaged_archives_are_named(make, target, kind):
    import os

    archive = make([("a.png", os.urandom(100_000))])
    data = archive.read_bytes()
    archive.write_bytes(data[:50_000])
    with pytest.raises(InputError, match="not a readable archive") as caught:
        unpack(archive, target, kind, everything)
    assert str(archive) in str(caught.value)


def test_flipped_bits_are_noticed(tmp_path, target):
    archive = make_zip(tmp_path / "z", [("a.png", b"the pixels" * 100)])
    data = bytearray(archive.read_bytes())
    data[40] ^= 0xFF
    archive.write_bytes(bytes(data))
    with pytest.raises(InputError, match="not a readable archive"):
        unpack(archive, target, "zip", everything)


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(10_000)])
def test_what_is_no_archive_is_no_archive(tmp_path, target, kind, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match="not a readable archive"):
        unpack(tmp_path / "x", target, kind, everything)


def test_encrypted_zip_files_are_refused(tmp_path, target):
    archive = make_zip(tmp_path / "z", [("a.png", b"1")])
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(InputError, match="encrypted"):
        unpack(archive, target, "zip", everything)
