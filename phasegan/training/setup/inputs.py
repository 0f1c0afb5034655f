"""Open the data of a training, a prepared file or two domains of images, and configure it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch

from phasegan.config.options.training_groups import TRANSLATIONS
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.resolve.translation import reading_options, resolve_translation, scan_options
from phasegan.data.domain_folders import is_pair_folder, open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.data.hdf5.pair_reader import is_pair_file
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.reading import Reading, pixel_limit
from phasegan.data.prepare.api import prepare
from phasegan.errors import InputError
from phasegan.models.initial_networks import load_initial_networks
from phasegan.progress import Progress
from phasegan.training.presets import TrainingSetup

DEFAULT_DATA = Path("builtin.h5")

PathLike = str | os.PathLike[str]


def default_data(data: PathLike | None, progress: Progress) -> Path:
    """Return the path of the prepared file, preparing `builtin.h5` if that is the default.

    Parameters
    ----------
    data : path, optional
        `builtin.h5` in the working folder by default, prepared if it is missing.
    progress : Progress
        Where preparing is reported.

    Returns
    -------
    pathlib.Path
        Not checked.

    Raises
    ------
    InputError
        If `data` is not a path, or preparing fails.
    """
    if data is not None:
        if not isinstance(data, str | os.PathLike):
            raise InputError(f"data of type {type(data).__name__}: give the path of a file")
        return Path(data)
    if not DEFAULT_DATA.exists():
        progress.say(f"preparing {DEFAULT_DATA} from the photographs inside scikit-image first")
        prepare(output=DEFAULT_DATA, progress=progress)
    return DEFAULT_DATA


def is_translation(data: PathLike | None, options: dict[str, Any]) -> bool:
    """Return whether a training is on two domains of images, not on phases.

    Parameters
    ----------
    data : path, optional
        As of `phasegan.train`.
    options : dict
        With `domain_a`, `domain_b` and `preset`, if given.

    Returns
    -------
    bool
        By the options, or by the kind of file or folder.
    """
    named = any(options.get(name) is not None for name in ("domain_a", "domain_b"))
    wanted = options.get("preset") in TRANSLATIONS
    return named or wanted or is_pair_folder(data) or is_pair_file(data)


def open_inputs(
    data: PathLike | None,
    options: dict[str, Any],
    device: torch.device,
    progress: Progress,
    stack: contextlib.ExitStack,
) -> tuple[TrainingSetup, str]:
    """Open the data of a training and resolve its configuration.

    Parameters
    ----------
    data : path, optional
        As of `phasegan.train`; where it is None and phases are meant, `builtin.h5` exists.
    options : dict
        All options, with `images`, `domain_a`, `domain_b` and `init_from`; changed.
    device : torch.device
        Where the training will run.
    progress : Progress
        Where to report.
    stack : contextlib.ExitStack
        Closes the files.

    Returns
    -------
    (TrainingSetup, str)
        Data, configuration, and networks to start from; the name of the data, for that of
        the run folder.

    Raises
    ------
    InputError
        If data and options do not fit.
    """
    own = {k: options.pop(k, None) for k in ("images", "domain_a", "domain_b", "init_from")}
    stack.enter_context(pixel_limit(options.pop("max_pixels", None)))
    if is_translation(data, own | options):
        return _open_domains(data, own, options, device, progress)
    if own["init_from"] is not None:
        raise InputError("--init-from belongs to the presets translation and one-way")
    path = DEFAULT_DATA if data is None else Path(data)
    if path.is_dir():
        raise InputError(
            f"{path}: a folder without trainA and trainB; for phases give a file of "
            "`phasegan prepare`, for translation such a folder"
        )
    file = stack.enter_context(PreparedFile(path))
    images = own["images"]
    image_file = None if images is None else stack.enter_context(PreparedFile(images))
    image_facts = None if image_file is None else image_file.facts
    config = resolve_phases(file.facts, device, image_facts, **options)
    return TrainingSetup(config, file, device, image_file), file.path.stem


def _open_domains(
    data: PathLike | None,
    own: dict[str, Any],
    options: dict[str, Any],
    device: torch.device,
    progress: Progress,
) -> tuple[TrainingSetup, str]:
    if own["images"] is not None:
        raise InputError("--images belongs to the preset physics")
    if data is None and own["domain_a"] is None and own["domain_b"] is None:
        raise InputError(
            "translation needs two domains of pictures: a folder with trainA and trainB, or "
            "--domain-a DIR --domain-b DIR; `phasegan datasets` lists some to fetch"
        )
    reading = Reading.of(reading_options(options))
    domains = open_domains(data, own["domain_a"], own["domain_b"], reading)
    start = None
    if own["init_from"] is not None:
        start = load_initial_networks(own["init_from"], options.get("padding"))
        for name, value in start.sizes().items():
            if options.get(name) is None:
                options[name] = value
    domain_data = scan_domains(domains, progress, **scan_options(options))
    config = resolve_translation(domain_data.facts, device, **options)
    if start is not None:
        config = config.model_copy(update={"start": start.digest})
    return TrainingSetup(config, domain_data, device, initial=start), domains.name
