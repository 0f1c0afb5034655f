"""HDF5 files of others: what lies elsewhere, what is missing, what is in use, what is huge."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from phasegan.data.hdf5 import container
from phasegan.errors import InputError
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.inputs import hdf5_arrays
from phasegan.reconstruction.inputs.arrays import read_phase

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names"),
]


@pytest.fixture
def phase(rng):
    return analyse(rng.integers(1, 256, (4, 8, 8)), (8, 8)).phase


@pytest.fixture
def folder(phase, tmp_path):
    """Four files of a sample, one of all, one below, and a pipe."""
    for i, one in enumerate(phase):
        with h5py.File(tmp_path / f"p{i}.h5", "w") as file:
            file["phase"] = one
    (tmp_path / "below").mkdir()
    for place in (tmp_path, tmp_path / "below"):
        with h5py.File(place / "all.h5", "w") as file:
            file["phase"] = phase
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def silent(text):
    raise AssertionError(text)


def read(source, **options):
    return read_phase(source, warn=silent, **options)


def refused(source, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def write_virtual(path, phase, *sources):
    """Write a virtual dataset: sources are (where, file, name, shape)."""
    layout = h5py.VirtualLayout(phase.shape, "f8")
    for where, name, inside, shape in sources:
        layout[where] = h5py.VirtualSource(name, inside, shape=shape)
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("v", layout)
    return f"{path}::/v"


def test_virtual_sources_stand_beside_the_file_or_below(folder, phase):
    parts = [(i, f"p{i}.h5", "phase", (8, 5)) for i in range(4)]
    for name, sources in (
        ("parts.h5", parts),
        ("below.h5", [(slice(None), "below/all.h5", "phase", phase.shape)]),
        ("own.h5", [(slice(None), ".", "phase", phase.shape)]),
    ):
        if name == "own.h5":
            with h5py.File(folder / name, "w") as file:
                file["phase"] = phase
        found = read(write_virtual(folder / name, phase, *sources))
        np.testing.assert_array_equal(found.phase, phase)
    outside = "sources are only followed beside the file or below"
    for i, name in enumerate((str(folder / "all.h5"), "../all.h5", "below/../../all.h5")):
        path = folder / "below" / f"{i}.h5"
        refused(write_virtual(path, phase, (slice(None), name, "phase", phase.shape)), outside)
    piped = write_virtual(folder / "piped.h5", phase, (0, "pipe", "phase", (8, 5)))
    refused(piped, "pipe: not a regular file")


def test_virtual_values_without_a_source_are_counted(folder, phase):
    whole = (slice(None), "all.h5", "phase", phase.shape)
    three = [(i, f"p{i}.h5", "phase", (8, 5)) for i in range(3)]
    refused(write_virtual(folder / "a.h5", phase, *three), "40 of 160 values of /v have no source")
    twice = [*three, (1, "p3.h5", "phase", (8, 5))]
    refused(write_virtual(folder / "b.h5", phase, *twice), "40 of 160 values of /v have no source")
    short = (slice(None), "p0.h5", "phase", phase.shape)
    refused(write_virtual(folder / "c.h5", phase, short), "asks for more than its source phase in")
    path = folder / "circle.h5"
    refused(write_virtual(path, phase, (slice(None), ".", "v", phase.shape)), "in a circle")
    with h5py.File(folder / "all.h5", "r+") as file:
        del file["phase"]
        file["phase"] = h5py.ExternalLink("pipe", "/phase")
    refused(write_virtual(folder / "d.h5", phase, whole), "/phase is a link to another file")


@pytest.mark.parametrize("length", [4, 3])
def test_growing_virtual_datasets_are_as_long_as_their_source(folder, phase, length):
    endless, shape, most = slice(0, h5py.h5s.UNLIMITED), (4, 8, 5), (None, 8, 5)
    with h5py.File(folder / "grown.h5", "w") as file:
        file.create_dataset("phase", data=phase[:length], maxshape=most)
    layout = h5py.VirtualLayout(shape, "f8", maxshape=most)
    layout[endless] = h5py.VirtualSource("grown.h5", "phase", shape=shape, maxshape=most)[endless]
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    np.testing.assert_array_equal(read(f"{folder}/v.h5::/v").phase, phase[:length])


def test_the_environment_does_not_move_virtual_sources(folder, phase, monkeypatch):
    source = write_virtual(folder / "v.h5", phase, (slice(None), "all.h5", "phase", phase.shape))
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(folder / "below"))
    refused(source, "HDF5_VDS_PREFIX is set; unset it")


def test_links_and_values_in_other_files_are_refused(folder, phase):
    with h5py.File(folder / "f.h5", "w") as file:
        file["real/phase"] = phase
        file["inside"] = h5py.SoftLink("/real/phase")
        file["out"] = h5py.ExternalLink("pipe", "/phase")
        file.create_dataset("raw", phase.shape, "f8", external=[("pipe", 0, phase.nbytes)])
    np.testing.assert_array_equal(read(f"{folder}/f.h5::inside").phase, phase)
    refused(f"{folder}/f.h5::/out", "/out is a link to another file.*name it: .*/pipe::/phase")
    refused(f"{folder}/f.h5::/raw", r"/raw keeps its values in another file \(pipe\)")


def test_matlab_variables_are_not_links(folder, phase):
    with h5py.File(folder / "m.mat", "w", userblock_size=512) as file:
        file["a"] = h5py.ExternalLink("pipe", "/phase")
        data = file.create_dataset("phi", data=np.swapaxes(phase, 1, 2))
        data.attrs["MATLAB_class"] = np.bytes_("double")
    np.testing.assert_array_equal(read(folder / "m.mat").phase, phase)
    refused(f"{folder}/m.mat::a", "/a is a link to another file")


def test_things_that_are_no_numbers_are_told_before_they_are_read(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("bomb", (10**6, 1000, 1000), "f8", chunks=(1, 1000, 1000))
        file.create_dataset("dense", (10**8,), "u1", chunks=(1,))
        file.create_dataset("deep", data=np.zeros((1,) * 32))
        file["reference"] = np.array([file.ref] * 3, dtype=h5py.ref_dtype)
        file["text\n\x1b[31m"] = "x"
        file["kind"] = np.dtype("f8")
        file["null"] = h5py.Empty("f8")
        marks = file.create_dataset("marks", data=np.zeros((8, 5)))
        marks.attrs["_FillValue"] = np.zeros(1000)
    for name, message in {
        "bomb": "its header claims 8,000,000,000,000 bytes",
        "dense": "100000000 of 100000000 chunks of /dense were never written",
        "deep": "a phase of shape",
        "reference": "/reference: dtype object is no phase",
        "text\n\x1b[31m": r"text\\n\\x1b\[31m: dtype object is no phase",
        "kind": "kind is not a dataset",
        "null": "/null is empty",
        "marks": "its attribute _FillValue has 1000 values",
        "none\x1b": r"no array /none\\x1b",
    }.items():
        refused(f"{tmp_path}/f.h5::/{name}", message)


@pytest.mark.parametrize("chunk", [(1, 8, 5), (3, 8, 5)])
def test_only_the_first_samples_are_read_and_checked(phase, tmp_path, chunk):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = file.create_dataset("x", (10**7, 8, 5), "f8", chunks=chunk)
        data[:4] = phase
        file.create_dataset("cut", (9, 8, 5), "f8", chunks=(2, 8, 5))[:3] = phase[:3]
    found = read(f"{tmp_path}/f.h5::/x", limit=3)
    np.testing.assert_array_equal(found.phase, phase[:3])
    refused(f"{tmp_path}/f.h5::/x", "its header claims")
    assert len(read(f"{tmp_path}/f.h5::/cut", limit=2).phase) == 2
    refused(f"{tmp_path}/f.h5::/cut", "3 of 5 chunks of /cut were never written, .* \\[4–5, ")


def test_planes_as_a_type_of_arrays_are_read(phase, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("x", (4,), np.dtype(("f8", (8, 5))))[...] = phase
    np.testing.assert_array_equal(read(f"{tmp_path}/f.h5::/x").phase, phase)


def test_what_does_not_fit_into_memory_is_told_before_it_is_read(phase, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = phase
    monkeypatch.setattr(hdf5_arrays, "free_memory", lambda: phase.nbytes - 1)
    refused(f"{tmp_path}/f.h5::/x", r"/x needs 1\.2 KiB of memory.*--limit N")
    assert len(read(f"{tmp_path}/f.h5::/x", limit=3).phase) == 3


def test_masks_of_all_samples_fit_the_first(phase, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = phase
    mask = np.ones(phase.shape, bool)
    mask[1, 2, 3] = False
    np.save(tmp_path / "x.npy", phase)
    for source in (phase, f"{tmp_path}/f.h5::/x", tmp_path / "x.npy"):
        for given in (mask, mask[1], mask[1:2]):
            found = read(source, mask=given, limit=2)
            assert not found.trusted[1, 2, 3]
            assert found.trusted[0].all() == (given is mask)
        refused(source, "a mask of shape", mask=mask[:3], limit=2)


def test_filters_that_are_missing_are_named(phase, tmp_path):
    for number, name in ((32001, "Blosc"), (60000, "")):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            created.set_chunk(phase.shape)
            created.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (2, 2, 8, phase.nbytes))
            space = h5py.h5s.create_simple(phase.shape)
            made = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, created)
            made.write_direct_chunk((0, 0, 0), phase.tobytes(), 0)
        advice = r"pip install hdf5plugin" if name else "HDF5_PLUGIN_PATH"
        if name and h5py.h5z.filter_avail(number):
            continue
        refused(
            f"{tmp_path}/{number}.h5::/x", rf"compressed with filter {number}.*{name}.*{advice}"
        )


WRITER = """
import h5py, numpy, sys
with h5py.File(sys.argv[1], "w", libver=sys.argv[2]) as file:
    file["x"] = numpy.zeros((8, 5))
    if sys.argv[3]:
        file.swmr_mode = True
    file.flush()
    print(flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("version", "mode", "message"),
    [
        ("earliest", "", "in use by another program"),
        ("latest", "", "(in use by another program|another program writes it)"),
        ("latest", "swmr", "another program writes it"),
    ],
)
def test_files_that_are_being_written_are_in_use_and_not_damaged(tmp_path, version, mode, message):
    path = tmp_path / "busy.h5"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, version, mode],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    writer.stdout.readline()
    try:
        refused(f"{path}::/x", rf"busy\.h5: {message}")
    finally:
        writer.communicate(b"\n")
    assert read(f"{path}::/x").phase.shape == (1, 8, 5)


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_file_systems_without_locks_are_read_and_written(monkeypatch, tmp_path, error):
    number, original = getattr(errno, error), h5py.File

    def without_locks(path, mode="r", **options):
        if options.get("locking") is not False:
            if mode == "x":
                open(path, "xb").close()
            raise OSError(
                number, f"Unable to open file (unable to lock file, errno = {number}, error ...)"
            )
        return original(path, mode, **options)

    monkeypatch.setattr(h5py, "File", without_locks)
    with container.create(tmp_path / "f.h5") as file:
        file["x"] = 1
    with container.reopen(tmp_path / "f.h5") as file:
        file["y"] = 2
    with container.open_hdf5(tmp_path / "f.h5") as file:
        assert sorted(file) == ["x", "y"]
