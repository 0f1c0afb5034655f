"""Every reader of phasegan: how it is called, and what it gave, as one digest."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuzzing import specimens
from phasegan.errors import InputError

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Target:
    """A reader and valid files for it."""

    name: str
    specimens: list[Path]
    read: Read
    """Takes the file's path; raises, or returns what was read."""
    checksummed: bool = False
    """Whether no changed content may be taken for the whole one."""
    weight: float = 1.0
    """Its share of the cases, relative to the others."""
    companions: Path | None = None
    """A folder, a copy of which the file is in when it is read."""


def digest(value: Any) -> str:
    """Return the SHA-256 of nested results."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous().numpy()
    if isinstance(value, np.ndarray):
        found.update(f"{value.shape} {value.dtype.str}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            _feed(found, (repr(key), value[key]))
    elif isinstance(value, list | tuple):
        found.update(f"{len(value)}(".encode())
        for item in value:
            _feed(found, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(found, [getattr(value, f.name) for f in dataclasses.fields(value)])
    elif hasattr(value, "model_dump"):
        _feed(found, value.model_dump())
    else:
        found.update(f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass"))


def _picture(path: Path) -> Any:
    from phasegan.data.images.decoding import bit_depth, read_full_depth

    picture = read_full_depth(path)
    return picture, bit_depth(path.read_bytes())


def _stored_picture(path: Path) -> Any:
    from phasegan.data.images.decoding import read_image

    return read_image(path.read_bytes())


def _phase(path: Path) -> Any:
    from phasegan.reconstruction.inputs.arrays import read_phase

    return read_phase(path, warn=lambda line: None)


def _generator(path: Path) -> Any:
    from phasegan.models.weights import load_generator

    network = load_generator(path)
    return network.state_dict(), network.design


def _checkpoint(path: Path) -> Any:
    from phasegan.training.checkpoint import load_checkpoint

    return load_checkpoint(path, torch.device("cpu"))


def _recipe(path: Path) -> Any:
    from phasegan.data.recipes import load_recipe

    return load_recipe(str(path))


def _pair(path: Path) -> Any:
    from phasegan.data.recipes import load_pair

    return load_pair(str(path))


def _case(path: Path) -> Any:
    from phasegan.benchmark.cases import load_case

    return load_case(path)


def _results(path: Path) -> Any:
    from phasegan.benchmark.results import measured_rows
    from phasegan.io.atomic import read_json

    return measured_rows(read_json(path), str(path))


def _config(path: Path) -> Any:
    from phasegan.config.run_folder import RunFolder

    return RunFolder(path.parent).read_config()


def _status(path: Path) -> Any:
    from phasegan.config.run_folder import RunFolder

    return RunFolder(path.parent).read_status()


def _losses(path: Path) -> Any:
    from phasegan.config.run_folder import RunFolder
    from phasegan.plotting.training import training_figure

    records = RunFolder(path.parent).read_losses()
    if records:
        training_figure(records, title="fuzz")
    return records


def _frames(path: Path) -> Any:
    from phasegan.plotting.filmstrip import FrameStore

    frames = FrameStore(path.parent, 255).frames()
    if not frames:
        raise InputError("left out")
    return frames


def _archive(kind: Any) -> Read:
    def read(path: Path) -> Any:
        from phasegan.data.download.archives import unpack

        target = path.with_name("unpacked")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        before = sorted(path.parent.iterdir())
        try:
            unpack(path, target, kind, lambda p: p if p.suffix == ".png" else None)
        finally:
            if sorted(path.parent.iterdir()) != before:
                raise AssertionError("something was written outside of the target")
        files = sorted(p for p in target.rglob("*") if p.is_file())
        return [(p.relative_to(target).as_posix(), p.read_bytes()) for p in files]

    return read


def _film(path: Path) -> Any:
    from phasegan.translation.video.reader import VideoReader

    with VideoReader(path) as film:
        shots = [part for part in film.frames_and_audio() if hasattr(part, "pixels")]
        return film.frames, film.rate, shots


def _prepared(path: Path) -> Any:
    import phasegan

    with phasegan.open(path) as file:
        found = [repr(file.layout), file.attributes]
        for split in (file.train, file.test):
            found += [split.codes(), split.phase(), split.undefined(), split.undefined_count]
            found += [split.sources(), split.source_sha256()]
            found += [split.images()] if file.has_images else []
        return [*found, file.mean_magnitude()] if file.has_images else found


def _joined(path: Path) -> Any:
    return _prepared(path.with_name("joined.h5"))


def _domains(path: Path) -> Any:
    from phasegan.data.hdf5.pair_reader import PairFile

    file = PairFile(path)
    try:
        found: list[Any] = [repr(file.metadata)]
        for name, group in file.groups.items():
            rows = range(len(group))
            found.append((name, group.names, [group.read(i) for i in rows]))
            found.append([group.source_sha256(i) for i in rows])
        return found
    finally:
        file.close()


def make_targets(folder: Path) -> list[Target]:
    """Write the specimens into an empty folder; return every reader."""
    places = {}
    for name in ("pictures", "arrays", "archives", "films", "data", "models", "texts"):
        places[name] = folder / name
        places[name].mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures = specimens.pictures(places["pictures"])
        arrays = specimens.arrays(places["arrays"])
        prepared = specimens.prepared(places["data"])
        joined = specimens.sharded(places["data"], places["data"] / "pictures")
        domains = specimens.domains(places["data"])
        run = specimens.run(places["models"], prepared[0])
        weights = specimens.weights(places["models"])
    archives, texts = specimens.archives(places["archives"]), specimens.documents(places["texts"])
    films, checkpoint = specimens.films(places["films"]), sorted((run / "checkpoints").iterdir())
    frames = sorted((run / "samples").glob("epoch-*.npy"))
    targets = [Target(f"picture: {k}", p, _picture, weight=0.6) for k, p in pictures.items()]
    room = joined.parent
    shards = sorted(path for path in room.glob("*.h5") if path != joined)
    every = [p for paths in pictures.values() for p in paths if p.name not in specimens.FLOATS]
    targets += [
        Target("picture for prepare, any format", every, _stored_picture, weight=2),
        Target("picture: .npy array", arrays["pixels"], _picture),
        Target("phases: .npy", arrays["npy"], _phase),
        Target("phases: .npz", arrays["npz"], _phase),
        Target("phases: .mat", arrays["mat"], _phase, weight=0.3),
        Target("phases: foreign HDF5", arrays["hdf5"], _phase, weight=0.4),
        Target("prepared phases", prepared, _prepared, True, weight=3),
        Target("prepared in shards: the file that joins them", [joined], _prepared, True, 2, room),
        Target("prepared in shards: one of them", shards, _joined, True, 2, room),
        Target("prepared domains of pictures", domains, _domains, True, weight=2),
        Target("weights: phasegan's", weights["safetensors"], _generator, True, weight=2),
        Target("weights: others' .pth", weights["pth"], _generator, weight=2),
        Target("checkpoint", checkpoint, _checkpoint, True, weight=2),
        Target("recipe", texts["recipe"], _recipe),
        Target("recipe of a pair", texts["pair"], _pair),
        Target("case of a bench", texts["case"], _case),
        Target("results of a bench", texts["results"], _results),
        Target("run: config.json", [run / "config.json"], _config, companions=run),
        Target("run: status.json", [run / "status.json"], _status, companions=run),
        Target("run: losses.jsonl", [run / "losses.jsonl"], _losses, companions=run, weight=0.3),
        Target("run: frames of the film strip", frames, _frames, companions=run / "samples"),
        Target("archive: zip", archives["zip"], _archive("zip")),
        Target("archive: tar", archives["tar"], _archive("tar"), weight=1.5),
    ]
    if films:
        targets.append(Target("film", films, _film))
    return [target for target in targets if target.specimens]
