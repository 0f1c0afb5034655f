"""Reading prepared files, whole and damaged."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

import phasegan
from phasegan.data.hdf5.verification import verify
from phasegan.errors import InputError


def test_any_order_of_indices(tiny):
    with phasegan.open(tiny) as file:
        everything = file.train.codes()
        for indices in ([4, 0, 0, 5], [3], [], np.array([5, 4, 3])):
            np.testing.assert_array_equal(file.train.codes(indices), everything[list(indices)])
            names = [file.train.sources()[i] for i in indices]
            assert file.train.sources(indices) == names
        np.testing.assert_array_equal(file.train.codes(slice(1, 3)), everything[1:3])


@pytest.mark.parametrize("index", [-1, 6])
def test_an_index_out_of_range_is_named(tiny, index):
    with phasegan.open(tiny) as file, pytest.raises(InputError, match=f"index {index} is outside"):
        file.train.images([index])


def test_phases_are_radians_of_the_stored_images(tiny):
    with phasegan.open(tiny) as file:
        phase, images = file.test.phase(), file.test.images()
    spectrum = np.fft.rfft2(images.astype(float))
    aligned = np.real(spectrum * np.exp(-1j * phase))
    np.testing.assert_allclose(aligned, np.abs(spectrum), rtol=1e-8, atol=1e-6)


def test_it_can_be_pickled_and_closed_and_used_again(tiny):
    file = phasegan.open(tiny)
    expected = file.train.images()
    copy = pickle.loads(pickle.dumps(file))
    file.close()
    np.testing.assert_array_equal(copy.train.images(), expected)
    np.testing.assert_array_equal(file.train.images(), expected)


def _sum_in_child(file, queue):
    queue.put(int(file.train.images().sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.skipif(os.name != "posix", reason="fork needs a POSIX system")
def test_child_processes_open_their_own_handle(tiny, method):
    context = multiprocessing.get_context(method)
    with phasegan.open(tiny) as file:
        expected = int(file.train.images().sum())
        queue = context.Queue()
        children = [context.Process(target=_sum_in_child, args=(file, queue)) for _ in range(3)]
        for child in children:
            child.start()
        assert [queue.get(timeout=300) for _ in children] == [expected] * 3
        for child in children:
            child.join()
        assert int(file.train.images().sum()) == expected


def test_verify_finds_a_flipped_bit_in_every_dataset(tiny, tmp_path):
    assert verify(phasegan.open(tiny)) == []
    for name in ("phase", "images", "undefined", "source", "source_sha256", "mean_magnitude"):
        copy = tmp_path / f"{name}.h5"
        shutil.copy(tiny, copy)
        with h5py.File(copy, "r+") as f:
            dataset = f["train"][name]
            if name.startswith("source"):
                dataset[2] = dataset[2][:-1] + b"~"
            elif name == "undefined":
                dataset[1, 3, 3] = not dataset[1, 3, 3]
            else:
                index = (1,) * dataset.ndim
                dataset[index] = dataset[index] + 1
        sample = " (1 sample: 1)" if name in ("phase", "images") else ""
        with phasegan.open(copy) as file:
            assert verify(file) == [f"train/{name}{sample}"]


def test_verify_finds_changed_descriptions_and_strangers(tiny, tmp_path):
    copy = tmp_path / "a.h5"
    shutil.copy(tiny, copy)
    with h5py.File(copy, "r+") as f:
        f["train/phase"].attrs["scale_factor"] *= 2
        f["test/phase"].attrs["axes"] = "sample, row, column"
        f["test/undefined"].attrs["count"] = 5
        f["train/evil"] = 1
    with phasegan.open(copy) as file:
        assert verify(file) == [
            "test/undefined (description)",
            "train/phase (description)",
            "test/phase (description)",
            "train/evil (unknown)",
        ]


@pytest.mark.parametrize("indices", [[True] * 6, [0.5], [[1]], 3])
def test_indices_must_be_integers(tiny, indices):
    with phasegan.open(tiny) as file, pytest.raises(InputError, match="sequence of integers"):
        file.train.phase(indices)


def test_verify_finds_attributes_of_a_split(tiny, tmp_path):
    path = tmp_path / "t.h5"
    shutil.copy(tiny, path)
    with h5py.File(path, "a") as file:
        file["test"].attrs["note"] = "mine"
    with phasegan.open(path) as file:
        assert verify(file) == ["test (description)"]


def test_verify_finds_a_changed_attribute(tiny, tmp_path):
    copy = tmp_path / "a.h5"
    shutil.copy(tiny, copy)
    with h5py.File(copy, "r+") as f:
        f.attrs["seed"] = 7
    with phasegan.open(copy, check=False) as file:
        assert verify(file) == ["attributes"]


def damage_missing(path):
    path.unlink()


def damage_empty(path):
    path.write_bytes(b"")


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-5000])


def damage_foreign(path):
    path.write_bytes(b"\x89PNG not hdf5" * 100)


def damage_other_hdf5(path):
    path.unlink()
    with h5py.File(path, "w") as f:
        f["x"] = 1


def damage_version(path):
    with h5py.File(path, "r+") as f:
        f.attrs["format_version"] = 99


def damage_dataset(path):
    with h5py.File(path, "r+") as f:
        del f["train/phase"]


def damage_shape(path):
    with h5py.File(path, "r+") as f:
        del f["train/images"]
        f["train/images"] = np.zeros((6, 5, 5), np.uint8)


def damage_length(path):
    with h5py.File(path, "r+") as f:
        f["test/source"].resize(2, axis=0)


def damage_attribute(path):
    with h5py.File(path, "r+") as f:
        f.attrs["N1"] = "many"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing, "no such file"),
        (damage_empty, "empty"),
        (damage_truncated, "truncated"),
        (damage_foreign, "not an HDF5 file"),
        (damage_other_hdf5, "not one that phasegan prepared"),
        (damage_version, "format version 99"),
        (damage_dataset, "train/phase is missing"),
        (damage_shape, "expected"),
        (damage_length, "differ in length"),
        (damage_attribute, "damaged attributes"),
    ],
)
def test_damaged_files_are_refused_with_one_line(tiny, tmp_path, damage, message):
    copy = tmp_path / "copy.h5"
    shutil.copy(tiny, copy)
    damage(copy)
    with pytest.raises(InputError, match=message) as caught:
        phasegan.open(copy)
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(InputError, match="a folder"):
        phasegan.open(tmp_path)


def test_equal_data_have_equal_digests(tmp_path, tiny):
    phasegan.prepare("builtin", tmp_path / "a.h5", size=32, samples=6, test=3)
    phasegan.prepare("builtin", tmp_path / "b.h5", size=32, samples=6, test=3, seed=1)
    digest = phasegan.open(tiny).digest
    assert phasegan.open(tmp_path / "a.h5").digest == digest
    assert phasegan.open(tmp_path / "b.h5").digest != digest
