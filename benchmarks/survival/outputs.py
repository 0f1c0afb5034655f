"""What a command leaves: whether every file is whole, and what two outputs have in common."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import safetensors.numpy
from PIL import Image

from phasegan.evaluation.inspection import inspect
from phasegan.models.weights import weights_intact

BOARD = "tensorboard"
"""A folder whose files are others with every attempt, and appended to."""
_CLOCK = {"seconds", "estimate", "cost", "machine", "command", "images_per_second"}
_DRAWN = {"training.png", "gallery.html", "report.html", "estimates.png", "estimates.svg"}
_ENDS = {".html": "</html>", ".md": "\n", ".tex": "\n"}
_HDF5 = {".h5", ".hdf5"}
_PICTURES = {".png", ".webp", ".jpg"}


class Broken(Exception):
    """Something that must not be after a kill or on a full disk."""


def whole(path: Path) -> None:
    """Read a file that has its final name to the end.

    Parameters
    ----------
    path : pathlib.Path
        A file that a command of phasegan wrote; the last line of `losses.jsonl`, which is
        appended to, may be torn.

    Raises
    ------
    Broken
        If a part is missing or a checksum does not match.
    """
    try:
        _read(path)
    except Broken:
        raise
    except Exception as error:  # half a file fails in any way
        raise Broken(f"{path.name}: {type(error).__name__}: {error}") from None


def _read(path: Path) -> None:
    suffix = path.suffix
    if suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif suffix == ".jsonl":
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            json.loads(line)
    elif suffix == ".safetensors":
        safetensors.numpy.load_file(path)
        if path.parent.name != "checkpoints" and weights_intact(path) is not True:
            raise Broken(f"{path.name}: its checksum does not match")
    elif suffix == ".npy":
        np.load(path)
    elif suffix in _PICTURES:
        Image.open(path).load()
    elif suffix in _HDF5:
        damaged = inspect(path, verify=True).damaged
        if damaged:
            raise Broken(f"{path.name}: {', '.join(damaged)}")
    elif suffix == ".svg":
        ElementTree.parse(path)
    elif suffix == ".csv":
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        if len({len(row) for row in rows}) != 1:
            raise Broken(f"{path.name}: lines of different lengths")
    elif suffix not in _ENDS:
        raise Broken(f"{path.name}: a file that is not known here")
    elif not path.read_text(encoding="utf-8").rstrip(" ").endswith(_ENDS[suffix], -20):
        raise Broken(f"{path.name}: its end is missing")


def files(output: Path) -> list[Path]:
    """Return the files of an output, a file or a folder, without TensorBoard's."""
    if output.is_file():
        return [output]
    found = sorted(path for path in output.rglob("*") if path.is_file())
    return [path for path in found if BOARD not in path.parts]


def all_whole(output: Path) -> None:
    """Read every file of an output that has its final name.

    Raises
    ------
    Broken
        If one is not whole.
    """
    for path in files(output):
        if not path.name.startswith("."):
            whole(path)


def hidden(folder: Path) -> list[str]:
    """Return the names, relative to a folder, of the hidden files in and below it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def contents(output: Path) -> dict[str, Any]:
    """Return what must not depend on kills, by name.

    Bytes of prepared files, weights, samples and configurations; losses and rows without
    what depends on the clock; of the last checkpoint (which is left beside it depends on where
    a run was interrupted) and of figures that show times only the names.
    """
    top, every = output.parent, files(output)
    last = {p.parent: p for p in every if p.parent.name == "checkpoints"}  # sorted by step
    kept = [p for p in every if last.get(p.parent, p) == p]
    return {str(path.relative_to(top)): _content(path) for path in kept}


def _content(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".json" and path.parent.name == "estimates":
        return None
    if path.name == "status.json":
        status = json.loads(path.read_text())
        return {name: status[name] for name in ("state", "epoch", "step", "steps", "best")}
    if path.suffix == ".json" and path.name != "config.json":
        return _timeless(json.loads(path.read_text()))
    if path.parent.name == "checkpoints" or path.name in _DRAWN:
        return None
    if path.suffix in (".csv", ".md", ".tex"):
        return None
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not _is_clock(k)}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _is_clock(name: str) -> bool:
    return name in _CLOCK or name.endswith("_seconds")


def same(reference: dict[str, Any], output: Path) -> None:
    """Compare an output with what `contents` returned of an uninterrupted one.

    Raises
    ------
    Broken
        Naming the first files that differ.
    """
    found = contents(output)
    for what, names in (
        ("missing", reference.keys() - found.keys()),
        ("not in the reference", found.keys() - reference.keys()),
        ("different", {n for n in reference.keys() & found if reference[n] != found[n]}),
    ):
        if names:
            raise Broken(f"{what}: {', '.join(sorted(names)[:3])}")
