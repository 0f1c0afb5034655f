"""What a training is on: a prepared file, or two domains of pictures; and its configuration."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from phasegan.config.run import TrainConfig
from phasegan.data.domain_folders import is_pair_folder, open_domains
from phasegan.data.hdf5.pair_reader import is_pair_file
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.prepare.api import prepare
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.training.engine import Data
from phasegan.training.setup.init_from import Start, load_start
from phasegan.training.setup.options import OWNERS
from phasegan.training.setup.resolve import resolve_config
from phasegan.training.setup.resolve_translation import resolve_pictures

DEFAULT_DATA = Path("builtin.h5")

PathLike = str | os.PathLike[str]


class Opened(NamedTuple):
    """What is trained on, and how."""

    data: Data
    images: PreparedFile | None
    config: TrainConfig
    name: str
    """Of the data, for the run folder's."""
    start: Start | None = None


def data_or_builtin(data: PathLike | None, progress: Progress) -> Path:
    """Return the prepared file to use: `data`, or builtin.h5, prepared if it is not there."""
    if data is not None:
        if not isinstance(data, str | os.PathLike):
            raise InputError(f"data of type {type(data).__name__}: give the path of a file")
        return Path(data)
    if not DEFAULT_DATA.exists():
        progress.say(f"preparing {DEFAULT_DATA} from the photographs inside scikit-image first")
        prepare(output=DEFAULT_DATA, progress=progress)
    return DEFAULT_DATA


def are_pictures(data: PathLike | None, options: dict[str, Any]) -> bool:
    """Tell whether a training is on two domains of pictures, not on phases."""
    named = any(options.get(name) is not None for name in ("domain_a", "domain_b"))
    wanted = options.get("preset") in OWNERS["size"]
    return named or wanted or is_pair_folder(data) or is_pair_file(data)


def open_training(
    data: PathLike | None,
    options: dict[str, Any],
    device: torch.device,
    progress: Progress,
    stack: contextlib.ExitStack,
) -> Opened:
    """Open what is trained on and resolve the configuration.

    Parameters
    ----------
    data : path, optional
        As of `phasegan.train`; builtin.h5 is there where it is None and phases are meant.
    options : dict
        All that was given, with `images`, `domain_a`, `domain_b` and `start_from`.
    device : torch.device
        Where the training will run.
    progress : Progress
        Where to report.
    stack : contextlib.ExitStack
        Closes what is opened.

    Raises
    ------
    InputError
        If data and options do not fit.
    """
    own = {k: options.pop(k, None) for k in ("images", "domain_a", "domain_b", "start_from")}
    if are_pictures(data, own | options):
        return _open_pictures(data, own, options, device, progress)
    if own["start_from"] is not None:
        raise InputError("--start-from belongs to the presets translation and one-way")
    path = DEFAULT_DATA if data is None else Path(data)
    if path.is_dir():
        raise InputError(
            f"{path}: a folder without trainA and trainB; for phases give a file of "
            "`phasegan prepare`, for translation such a folder"
        )
    file = stack.enter_context(PreparedFile(path))
    images = own["images"]
    pictures = None if images is None else stack.enter_context(PreparedFile(images))
    config = resolve_config(file, device, pictures, **options)
    return Opened(file, pictures, config, file.path.stem)


def _open_pictures(
    data: PathLike | None,
    own: dict[str, Any],
    options: dict[str, Any],
    device: torch.device,
    progress: Progress,
) -> Opened:
    if own["images"] is not None:
        raise InputError("--images belongs to the preset physics")
    if data is None and own["domain_a"] is None and own["domain_b"] is None:
        raise InputError(
            "translation needs two domains of pictures: a folder with trainA and trainB, or "
            "--domain-a DIR --domain-b DIR; `phasegan datasets` lists some to fetch"
        )
    domains = open_domains(data, own["domain_a"], own["domain_b"])
    start = None
    if own["start_from"] is not None:
        start = load_start(own["start_from"], options.get("padding"))
        for name, value in start.sizes().items():
            if options.get(name) is None:
                options[name] = value
    config, pictures = resolve_pictures(domains, device, progress, **options)
    if start is not None:
        config = config.model_copy(update={"start": start.digest})
    return Opened(pictures, None, config, domains.name, start)
