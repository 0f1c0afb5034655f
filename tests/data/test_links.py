"""Prepared files that lead elsewhere, or were edited, are refused before anything is read."""

from __future__ import annotations

import os
import shutil
import sys

import h5py
import numpy as np
import pytest

import phasegan
from phasegan.data.hdf5.container import open_hdf5
from phasegan.data.hdf5.layout import attributes_checksum
from phasegan.data.hdf5.links import resolve_name
from phasegan.data.hdf5.pair_reader import PairFile
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.domains import prepare_domains
from phasegan.data.prepare.merge import is_merged
from phasegan.errors import InputError
from phasegan.reconstruction.image_statistics import gather_statistics

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names"),
]


@pytest.fixture
def prepared(tiny, tmp_path):
    shutil.copy(tiny, tmp_path / "a.h5")
    shutil.copy(tiny, tmp_path / "other.h5")
    (tmp_path / "secret").write_bytes(bytes(range(256)) * 400)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "a.h5"


def replaced(file, name, node):
    del file[name]
    file[name] = node


def soft_split(file):
    replaced(file, "test", h5py.SoftLink("/train"))


def hard_split(file):
    replaced(file, "test", file["train"])


def soft_dataset(file):
    replaced(file, "test/images", h5py.SoftLink("/train/images"))


def hard_dataset(file):
    replaced(file, "test/source", file["train/source"])


def external_dataset(file):
    replaced(file, "train/source", h5py.ExternalLink("other.h5", "/test/source"))


def external_pipe(file):
    replaced(file, "train/mean_magnitude", h5py.ExternalLink("pipe", "/x"))


def external_group(file):
    replaced(file, "train", h5py.ExternalLink("pipe", "/"))


def shards_elsewhere(file):
    file["shards"] = h5py.ExternalLink("pipe", "/")


def kept_elsewhere(file, place="secret"):
    shape = file["train/mean_magnitude"].shape
    del file["train/mean_magnitude"]
    file.create_dataset("train/mean_magnitude", shape, "f8", external=[(place, 0, 1 << 20)])


def kept_in_a_pipe(file):
    kept_elsewhere(file, "pipe")


def virtual(file):
    shape = file["train/mean_magnitude"].shape
    layout = h5py.VirtualLayout(shape, "f8")
    layout[:] = h5py.VirtualSource("other.h5", "train/mean_magnitude", shape=shape)
    del file["train/mean_magnitude"]
    file["train"].create_virtual_dataset("mean_magnitude", layout)


def claims_more(file):
    """10¹² numbers that were never written."""
    shape = (10**6, 10**6 // 2 + 1)
    del file["train/mean_magnitude"]
    file.create_dataset("train/mean_magnitude", shape, "f8", chunks=(1, shape[1]))
    plain = {k: v.decode() if isinstance(v, bytes) else v.item() for k, v in file.attrs.items()}
    plain |= {"M1": 10**6, "M2": 10**6}
    file.attrs["M1"] = file.attrs["M2"] = 10**6
    file.attrs["attributes_checksum"] = attributes_checksum(plain)


def shards_without_end(file):
    for name, width in (("file", ()), ("identity", ()), ("pieces", (4,))):
        kind = "i8" if width else "S64"
        file.create_dataset(f"shards/{name}", (10**11, *width), kind, chunks=(10**6, *width))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (claims_more, "train/mean_magnitude is a dataset that lacks values"),
        (shards_without_end, "shards/file is a dataset that lacks values"),
        (soft_split, "test is a soft link"),
        (hard_split, "(test|train) is one of two names"),
        (soft_dataset, "test/images is a soft link"),
        (hard_dataset, "source is one of two names"),
        (external_dataset, "train/source is a link to another file"),
        (external_pipe, "train/mean_magnitude is a link to another file"),
        (external_group, "train is a link to another file"),
        (shards_elsewhere, "shards is a link to another file"),
        (kept_elsewhere, "train/mean_magnitude is a dataset with its values in another file"),
        (kept_in_a_pipe, "train/mean_magnitude is a dataset with its values in another file"),
        (virtual, "train/mean_magnitude is a virtual dataset"),
    ],
)
def test_a_prepared_file_leads_nowhere(prepared, change, message):
    with h5py.File(prepared, "r+") as file:
        change(file)
    for check in (True, False):
        with pytest.raises(InputError, match=message) as caught:
            phasegan.open(prepared, check=check)
        assert "\n" not in str(caught.value)
    assert is_merged(prepared) is ("shards" in change.__name__)


def test_domains_of_pictures_lead_nowhere(tmp_path, rng):
    from PIL import Image

    for name in ("trainA", "trainB"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(2):
            pixels = rng.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "p" / name / f"{i}.png")
    path = tmp_path / "p.h5"
    prepare_domains(tmp_path / "p", path, load=20)
    shutil.copy(path, tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["fit"] = "none"
    with pytest.raises(InputError, match=r"p\.h5: damaged, its attributes are not those"):
        PairFile(path)
    shutil.copy(tmp_path / "other.h5", path)
    with h5py.File(path, "r+") as file:
        replaced(file, "trainB/names", h5py.ExternalLink("other.h5", "/trainA/names"))
    with pytest.raises(InputError, match="trainB/names is a link to another file"):
        PairFile(path)


@pytest.mark.parametrize(
    ("name", "value"), [("phase_noise", 0.5), ("phase_bits", 4), ("note", "mine"), ("seed", 7)]
)
def test_edited_attributes_are_refused_by_every_use_and_shown_by_verify(prepared, name, value):
    with h5py.File(prepared, "r+") as file:
        file.attrs[name] = value
    for use in (
        lambda: phasegan.open(prepared),
        lambda: phasegan.reconstruct(prepared, method="unit-magnitude"),
        lambda: phasegan.evaluate(prepared, methods=["zero"]),
    ):
        with pytest.raises(InputError, match=r"a\.h5: damaged, its attributes are not those"):
            use()
    with phasegan.open(prepared, check=False) as file:
        assert verify(file) == ["attributes"]


def test_an_edited_mean_magnitude_is_not_used(prepared):
    with h5py.File(prepared, "r+") as file:
        file["train/mean_magnitude"][3, 3] *= 2
    with phasegan.open(prepared) as file:
        for use in (file.mean_magnitude, lambda: gather_statistics(file)):
            with pytest.raises(InputError, match="train/mean_magnitude is not what was written"):
                use()
    with phasegan.open(prepared, check=False) as file:
        assert np.isfinite(file.mean_magnitude()).all()


def test_long_lists_of_attributes_are_not_read(prepared):
    with h5py.File(prepared, "r+") as file:
        file.attrs.create("seed", ["x" * 1000] * 5000, dtype=h5py.string_dtype())
    with pytest.raises(InputError, match="damaged attributes"):
        phasegan.open(prepared)


def test_names_are_followed_inside_a_file_alone(tmp_path):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["real/x"] = np.arange(3)
        file["kind"] = np.dtype("f8")
        file["group"] = h5py.SoftLink("real")
        file["real/up"] = h5py.SoftLink("/group/x")
        file["real/beside"] = h5py.SoftLink("x")
        file["loop"] = h5py.SoftLink("/loop")
        file["lost"] = h5py.SoftLink("/nothing")
        file["out"] = h5py.ExternalLink("gone.h5", "/x\x1b[0m")
        file["inner"] = h5py.SoftLink("/out")
    with open_hdf5(path) as file:
        for name in ("real/x", "/group/x", "group/up", "real/beside", "./real//x/"):
            assert resolve_name(file, name, path).id == file["real/x"].id
        assert isinstance(resolve_name(file, "kind", path), h5py.Datatype)
        for name in ("lost", "nothing", "real/x/y", "kind/x"):
            assert resolve_name(file, name, path) is None
        with pytest.raises(InputError, match="more than 32 links"):
            resolve_name(file, "loop", path)
        for name in ("out", "inner", "out/deeper"):
            with pytest.raises(
                InputError, match=r"/out is a link to another file.*gone\.h5::/x\\x1b"
            ):
                resolve_name(file, name, path)


def test_old_files_are_walked_without_leaving_them(tmp_path):
    """The child that looks for crashes reads no pipe, and imports nothing from the folder."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.create_dataset("x", (8,), "f8", external=[("pipe", 0, 64)])
        layout = h5py.VirtualLayout((8,), "f8")
        layout[:] = h5py.VirtualSource("pipe", "x", shape=(8,))
        file.create_virtual_dataset("v", layout)
        file["out"] = h5py.ExternalLink("pipe", "/")
    with open_hdf5(tmp_path / "old.h5") as file:
        assert sorted(file) == ["out", "v", "x"]


def test_programs_in_the_folder_are_not_imported(tmp_path, monkeypatch, rng):
    import scipy.io

    canary = tmp_path / "imported"
    for name in ("numpy", "h5py", "scipy", "phasegan"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w')\n")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["x"] = np.zeros(3)
    scipy.io.savemat(tmp_path / "a.mat", {"x": rng.uniform(-1, 1, (8, 5))})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    open_hdf5("old.h5").close()
    phasegan.reconstruct("a.mat", method="zero", symmetrise=True)
    phasegan.prepare("builtin", "b.h5", samples=2, test=1, size=16, workers=2)
    assert not canary.exists()
