"""Arrays come back as numpy reads them, in any number of threads; others are refused unread."""

from __future__ import annotations

import io
import threading
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from phasegan.errors import InputError
from phasegan.io.arrays import ArrayHeader, npz_names, read_npy, read_npz
from phasegan.io.untrusted import UnreadableFileError

KINDS = ["?", "u1", ">u2", "<i8", "f2", ">f4", "f8", "c8", ">c16"]
ARRAYS = arrays(
    st.sampled_from(KINDS), array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
)


@given(values=ARRAYS, order=st.sampled_from("CF"))
def test_arrays_come_back(tmp_path_factory, values, order):
    values, folder = np.asarray(values, order=order), tmp_path_factory.mktemp("arrays")
    np.save(folder / "a.npy", values)
    np.savez(folder / "a.npz", x=values)
    np.savez_compressed(folder / "b.npz", x=values)
    for found in (
        read_npy(folder / "a.npy"),
        read_npz(folder / "a.npz", "x"),
        read_npz(folder / "b.npz", "x"),
    ):
        assert found.dtype == values.dtype
        assert found.shape == values.shape
        np.testing.assert_array_equal(found, values)
        found[...] = 0  # they are writable, as numpy's are


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(tmp_path, version):
    with open(tmp_path / "a.npy", "wb") as stream:
        np.lib.format.write_array(stream, np.arange(6.0).reshape(2, 3), version)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), np.arange(6.0).reshape(2, 3))


def test_names_in_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros(1), phase=np.zeros(2))
    assert sorted(npz_names(tmp_path / "a.npz")) == ["arr_0", "phase"]
    with pytest.raises(UnreadableFileError, match="no array x"):
        read_npz(tmp_path / "a.npz", "x")


def test_many_threads_read_at_once(tmp_path):
    paths = []
    for i in range(8):
        paths.append(tmp_path / f"{i}.npy")
        np.save(paths[-1], np.full((i + 1, 7), i, np.float32))
    np.savez(tmp_path / "a.npz", x=np.arange(9))
    together = threading.Barrier(8)

    def load(number):
        together.wait()
        for turn in range(300):
            i = (number + turn) % 8
            assert read_npy(paths[i]).shape == (i + 1, 7)
            if turn % 10 == 0:
                assert read_npz(tmp_path / "a.npz", "x")[-1] == 8

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(load, number) for number in range(8)]:
            done.result()


def write(path, shape, data=b"", descr="<f8"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    whole = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data
    path.write_bytes(whole)
    return whole


def test_a_header_cannot_make_memory_be_taken(tmp_path):
    member = write(tmp_path / "a.npy", "(99999, 99999)", bytes(1000))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", member)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFileError, match="promises 79,998,400,008 bytes"):
            read_npy(tmp_path / "a.npy")
        with pytest.raises(UnreadableFileError, match="claims 79,998,400,008 bytes"):
            read_npz(tmp_path / "a.npz", "x")
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_a_check_comes_before_memory(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.uint8))
    seen = []

    def refuse(header: ArrayHeader) -> None:
        seen.append((header.shape, header.dtype.name))
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        read_npy(tmp_path / "a.npy", refuse)
    assert seen == [((3, 4), "uint8")]


@pytest.mark.parametrize("shape", ["(-1,)", "(-2, -3)", "(True,)", "3", "(2.0,)", "(1,) * 9", "x"])
def test_shapes_that_are_none(tmp_path, shape):
    write(tmp_path / "a.npy", shape, bytes(100))
    with pytest.raises(UnreadableFileError, match="damaged header"):
        read_npy(tmp_path / "a.npy")


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").mkdir, ()

    values = np.empty(1, object)
    values[0] = Trap()
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=values, allow_pickle=True)
    np.save(tmp_path / "b.npy", np.zeros(2, [("a", "O"), ("b", "f4")]), allow_pickle=True)
    for read in (
        lambda: read_npy(tmp_path / "a.npy"),
        lambda: read_npz(tmp_path / "a.npz", "x"),
        lambda: read_npy(tmp_path / "b.npy"),
    ):
        with pytest.raises(UnreadableFileError, match="pickled Python objects"):
            read()
    assert not (tmp_path / "sprung").exists()


def test_flipped_bits_in_an_archive_never_change_the_numbers(tmp_path, rng):
    values = rng.uniform(size=1000)
    np.savez_compressed(tmp_path / "a.npz", x=values)
    whole, refused = (tmp_path / "a.npz").read_bytes(), 0
    places = range(40, len(whole) - 200, 331)
    for place in places:
        torn = bytearray(whole)
        torn[place] ^= 1
        (tmp_path / "a.npz").write_bytes(bytes(torn))
        try:
            np.testing.assert_array_equal(read_npz(tmp_path / "a.npz", "x"), values)
        except UnreadableFileError:
            refused += 1
    assert refused > len(places) / 2


def test_numpy_reads_the_same(tmp_path, rng):
    buffer = io.BytesIO()
    np.save(buffer, rng.uniform(size=(4, 5)))
    np.save(buffer, np.zeros(3))  # what follows an array is left alone
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), np.load(tmp_path / "a.npy"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_samples_alone(tmp_path, order, rng):
    values = np.asarray(rng.normal(size=(5, 4, 3)), order=order)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", x=values, flat=values[:, :, 0])
    for samples in (1, 3, 5, 9):
        for found in (
            read_npy(tmp_path / "a.npy", samples=samples),
            read_npz(tmp_path / "a.npz", "x", samples=samples),
        ):
            np.testing.assert_array_equal(found, values[:samples])
    assert read_npz(tmp_path / "a.npz", "flat", samples=2).shape == (5, 4)


def test_bits_behind_the_first_samples_are_checked_too(tmp_path, rng):
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(5, 4, 3)))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2 + 100] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_npz(tmp_path / "a.npz", "x", samples=1)
