"""HDF5 files that lead elsewhere, were edited, or hold less than they say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import phasegan
from attacking.attack import HARMLESS, Attack
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights

PREPARED, FOREIGN, EDITED, BOMBS = (
    "prepared files that lead elsewhere",
    "files of others that lead elsewhere",
    "edited files and exchanged weights",
    "files that hold less than they say",
)
Change = Callable[[h5py.File], None]


def phases() -> np.ndarray:
    """Return phases of two 8×8 images in frames of 16: (2, 16, 9)."""
    images = np.random.default_rng(0).integers(1, 256, (2, 8, 8))
    return np.angle(np.fft.rfft2(images, s=(16, 16)))


def surroundings(folder: Path) -> None:
    """Make what attacks aim at: a pipe, and a file that reads as numbers."""
    os.mkfifo(folder / "pipe")
    (folder / "secret").write_bytes(np.random.default_rng(0).uniform(1, 9, 9000).tobytes())


def prepared(change: Change, *command: str) -> Callable[[Path], list[str]]:
    """Return what makes a prepared file and changes it, with the command on it."""

    def make(folder: Path) -> list[str]:
        surroundings(folder)
        for name in ("in.h5", "other.h5"):
            phasegan.prepare("builtin", folder / name, samples=4, test=2, size=16)
        with h5py.File(folder / "in.h5", "r+") as file:
            change(file)
        return list(command)

    return make


def foreign(write: Change, *command: str) -> Callable[[Path], list[str]]:
    """Return what makes an HDF5 file of others."""

    def make(folder: Path) -> list[str]:
        surroundings(folder)
        (folder / "deeper").mkdir()
        for name in ("other.h5", "deeper/other.h5"):
            with h5py.File(folder / name, "w") as file:
                file["phase"] = phases()
        with h5py.File(folder / "one.h5", "w") as file:
            file["one"] = phases()[0]
        with h5py.File(folder / "in.h5", "w") as file:
            write(file)
        return list(command) or ["reconstruct", "in.h5::/x", "--shape", "8", "-o", "out.h5"]

    return make


def put(name: str, node: Any) -> Change:
    """Return what puts a link in the place of an object."""

    def change(file: h5py.File) -> None:
        if file.get(name) is not None:
            del file[name]
        file[name] = node(file) if callable(node) and not isinstance(node, type) else node

    return change


def kept_in(place: str, name: str, shape: tuple[int, ...]) -> Change:
    """Return what keeps the values of a dataset in another file."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, shape, "f8", external=[(place, 0, h5py.h5f.UNLIMITED)])

    return change


def virtual(source: str, inside: str = "phase", part: Any = slice(None)) -> Change:
    """Return what makes x a virtual dataset."""

    def change(file: h5py.File) -> None:
        shape = phases().shape
        layout = h5py.VirtualLayout(shape, "f8")
        taken = shape if part == slice(None) else shape[1:]
        layout[part] = h5py.VirtualSource(source, inside, shape=taken)
        file.create_virtual_dataset("x", layout)

    return change


def attribute(name: str, value: Any) -> Change:
    """Return what edits an attribute."""

    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def doubled(file: h5py.File) -> None:
    """Double the mean magnitude."""
    file["train/mean_magnitude"][...] *= 2


def unwritten(file: h5py.File) -> None:
    """Write half of a dataset."""
    file.create_dataset("x", phases().shape, "f8", chunks=(1, 16, 9))[:1] = phases()[:1]


def bomb(file: h5py.File) -> None:
    """Claim 10¹² numbers."""
    file.create_dataset("x", (10**6, 1000, 1000), "f8", chunks=(1, 1000, 1000))


def many_dimensions(file: h5py.File) -> None:
    """Write 32 dimensions, as many as HDF5 has."""
    file["x"] = np.zeros((1,) * 32)


def marks(file: h5py.File) -> None:
    """Mark a thousand values as missing, one by one."""
    file["x"] = phases()
    file["x"].attrs["_FillValue"] = np.arange(1000.0)


def references(file: h5py.File) -> None:
    """Write references to objects."""
    file["x"] = np.array([file.ref] * 3, dtype=h5py.ref_dtype)


def exchanged(folder: Path) -> list[str]:
    """Exchange the two generators of a folder of weights."""
    for name, other in (("ab", "ba"), ("ba", "ab")):
        path = folder / f"generator_{other}.safetensors"
        save_weights(ResNetGenerator(3, 3, 4, 1), path, {"network": f"generator_{name}"})
    np.save(folder / "in.npy", np.zeros((16, 16, 3), np.uint8))
    return ["translate", ".", "in.npy", "-o", "out.npy", "--direction", "a2b"]


def imports(folder: Path) -> list[str]:
    """Put programs that are called like libraries beside the data."""
    for name in ("numpy", "h5py", "scipy", "phasegan"):
        (folder / f"{name}.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    with h5py.File(folder / "in.h5", "w") as file:
        file["x"] = phases()
    return ["reconstruct", "in.h5::/x", "--shape", "8", "-o", "out.h5"]


MEAN, PIPE = "train/mean_magnitude", h5py.ExternalLink("pipe", "/x")
SCORE = ("evaluate", "in.h5", "--method", "mean-magnitude")
ATTACKS = (
    Attack(PREPARED, "test is a soft link to train",
           prepared(put("test", h5py.SoftLink("/train")), *SCORE)),
    Attack(PREPARED, "test is train under a second name",
           prepared(put("test", lambda file: file["train"]), *SCORE)),
    Attack(PREPARED, "names from another file",
           prepared(put("test/source", h5py.ExternalLink("other.h5", "/train/source")), *SCORE)),
    Attack(PREPARED, "a link to a pipe", prepared(put("test", PIPE), *SCORE)),
    Attack(PREPARED, "the mean magnitude in a system file",
           prepared(kept_in("secret", MEAN, (16, 9)), *SCORE)),
    Attack(PREPARED, "the mean magnitude in a pipe",
           prepared(kept_in("pipe", MEAN, (16, 9)), *SCORE)),
    Attack(PREPARED, "statistics from a link to a pipe",
           prepared(put(MEAN, PIPE), "reconstruct", "other.h5",
                    "--method", "mean-magnitude", "--statistics", "in.h5", "-o", "out.h5")),
    Attack(PREPARED, "a group of shards that is a link to a pipe",
           prepared(put("shards", PIPE), "inspect", "in.h5")),
    Attack(FOREIGN, "an external link", foreign(put("x", h5py.ExternalLink("other.h5", "/phase")))),
    Attack(FOREIGN, "an external link to a pipe", foreign(put("x", PIPE))),
    Attack(FOREIGN, "a soft link to an external one", foreign(
        lambda file: (put("y", PIPE)(file),
                      put("x", h5py.SoftLink("/y"))(file))[0])),
    Attack(FOREIGN, "a soft link to itself", foreign(put("x", h5py.SoftLink("/x")))),
    Attack(FOREIGN, "a soft link inside the file", foreign(
        lambda file: (put("y", phases())(file), put("x", h5py.SoftLink("/y"))(file))[0]), HARMLESS),
    Attack(FOREIGN, "values in a system file", foreign(kept_in("secret", "x", (2, 16, 9)))),
    Attack(FOREIGN, "values in a pipe", foreign(kept_in("pipe", "x", (2, 16, 9)))),
    Attack(FOREIGN, "a virtual source beside", foreign(virtual("other.h5")), HARMLESS),
    Attack(FOREIGN, "a virtual source below", foreign(virtual("deeper/other.h5")), HARMLESS),
    Attack(FOREIGN, "a virtual source above", foreign(virtual("../work/other.h5"))),
    Attack(FOREIGN, "a virtual source by its absolute path", foreign(virtual("/etc/passwd"))),
    Attack(FOREIGN, "a virtual source that is a pipe", foreign(virtual("pipe"))),
    Attack(FOREIGN, "a virtual source that is itself", foreign(virtual(".", "x"))),
    Attack(FOREIGN, "programs called like libraries beside the data", imports, HARMLESS),
    Attack(EDITED, "noise of 0.5 rad that was not there",
           prepared(attribute("phase_noise", 0.5), "evaluate", "in.h5", "--method", "auto")),
    Attack(EDITED, "a note among the attributes", prepared(attribute("note", "mine"), *SCORE)),
    Attack(EDITED, "twice the mean magnitude", prepared(doubled, *SCORE)),
    Attack(EDITED, "generators under each other's name", exchanged),
    Attack(BOMBS, "10¹² numbers in a file of 2 kB", foreign(bomb)),
    Attack(BOMBS, "half of the chunks", foreign(unwritten)),
    Attack(BOMBS, "a virtual dataset of half of its sources",
           foreign(virtual("one.h5", "one", part=0))),
    Attack(BOMBS, "32 dimensions", foreign(many_dimensions)),
    Attack(BOMBS, "a thousand marks of missing values", foreign(marks)),
    Attack(BOMBS, "references to objects", foreign(references)),
)  # fmt: skip
