"""`phasegan.train`: resolve a configuration, then train, continue, or say it is done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasegan.devices import choose_device, memory_guard
from phasegan.errors import InputError
from phasegan.files import locked, remove_leftovers
from phasegan.models.patchgan import MIN_SIZE
from phasegan.progress import Progress, format_duration
from phasegan.runs.config import (
    VARIANTS,
    LossConfig,
    NetworkConfig,
    OptimiserConfig,
    TrainConfig,
    full_blocks,
)
from phasegan.runs.folder import RunFolder
from phasegan.settings import build, differences
from phasegan.store.prepare import prepare
from phasegan.store.reader import PreparedFile
from phasegan.training.loop import run_training
from phasegan.training.timing import estimate_seconds

DEFAULT_DATA = Path("builtin.h5")
DEFAULT_RUNS = Path("runs")
DEFAULT_EPOCHS = 10


@dataclass(frozen=True)
class TrainReport:
    """What `train` did."""

    path: Path
    """The run folder."""
    config: TrainConfig
    seconds: float
    """Spent training, over all attempts."""
    estimated_seconds: float | None
    """Estimated before training; None if there was nothing left to do."""
    trained: bool
    """False if the run was finished already."""


def resolve_config(
    file: PreparedFile,
    device: torch.device,
    *,
    preset: str = "paper",
    variant: str | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    batch_size: int = 1,
    base_channels: int | None = None,
    blocks: int | None = None,
    discriminator_channels: int | None = None,
    learning_rate: float | None = None,
    cycle_a: float | None = None,
    cycle_b: float | None = None,
    identity: float | None = None,
    pool_size: int | None = None,
    precision: str = "32",
) -> TrainConfig:
    """Turn options into a complete configuration; see `train` for them.

    Raises
    ------
    InputError
        If an option is out of range or the data do not fit the preset.
    """
    layout = file.layout
    if layout.padded != layout.size:
        raise InputError(
            f"{file.path}: the preset {preset} needs unpadded phases (M = N), these have "
            f"M = {layout.padded}, N = {layout.size}; prepare with --oversample 1"
        )
    if layout.size < MIN_SIZE:
        raise InputError(
            f"{file.path}: images of {layout.size}×{layout.size} are too small for the 70×70 "
            f"PatchGAN; prepare with --size {MIN_SIZE} or more"
        )
    total = len(file.train)
    wanted = total if samples is None else samples
    if not 1 <= wanted <= total:
        raise InputError(f"--samples {wanted}: {file.path} has 1 to {total} training samples")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or 32")
    chosen = variant or ("small" if device.type == "cpu" else "full")
    if chosen not in VARIANTS:
        raise InputError(f"variant {chosen!r}: choose one of {', '.join(VARIANTS)}")
    sizes = {"blocks": full_blocks(layout.size), **VARIANTS[chosen]}
    asked = {
        "base_channels": base_channels,
        "blocks": blocks,
        "discriminator_channels": discriminator_channels,
    }
    given = {key: value for key, value in asked.items() if value is not None}
    if base_channels is not None and discriminator_channels is None:
        given["discriminator_channels"] = base_channels
    networks = sizes | given
    for name, standard in VARIANTS.items():
        if networks == {"blocks": full_blocks(layout.size), **standard}:
            chosen = name
            break
    else:
        chosen = "custom"

    def options(model: type[Any], **values: Any) -> Any:
        return build(model, {k: v for k, v in values.items() if v is not None}, "train")

    return build(
        TrainConfig,
        {
            "preset": preset,
            "variant": chosen,
            "data": {
                "digest": file.digest,
                "size": layout.size,
                "padded": layout.padded,
                "channels": layout.channels,
                "bits": layout.bits,
                "samples": wanted,
            },
            "networks": build(NetworkConfig, networks, "train"),
            "losses": options(LossConfig, cycle_a=cycle_a, cycle_b=cycle_b, identity=identity),
            "optimiser": options(OptimiserConfig, learning_rate=learning_rate),
            "epochs": DEFAULT_EPOCHS if epochs is None else epochs,
            "batch_size": batch_size,
            "pool_size": 50 if pool_size is None else pool_size,
            "precision": precision,
            "seed": seed,
        },
        "train",
    )


def train(
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    preset: str = "paper",
    variant: str | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    batch_size: int = 1,
    base_channels: int | None = None,
    blocks: int | None = None,
    discriminator_channels: int | None = None,
    learning_rate: float | None = None,
    cycle_a: float | None = None,
    cycle_b: float | None = None,
    identity: float | None = None,
    pool_size: int | None = None,
    precision: str = "32",
    resume: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    estimated_seconds: float | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a CycleGAN from phase pictures (domain A) to images (domain B).

    Parameters
    ----------
    data : path, optional
        A prepared file; `builtin.h5` in the working folder by default, prepared
        first when it is not there.
    output : path, optional
        The run folder; `runs/<name of the file>-<label>` by default.
    preset : {"paper"}
        The published CycleGAN.
    variant : {"full", "small"}, optional
        Sizes of the networks; small on a CPU, full on a GPU by default.
    samples : int, optional
        Training samples, the first of a seeded shuffle; all by default.
    epochs : int, optional
        Passes over them; 10 by default.
    seed : int
        Of weights, shuffles and pools.
    batch_size : int
        1 as published.
    base_channels, blocks, discriminator_channels : int, optional
        Other sizes than a variant's.
    learning_rate : float, optional
        2e-4 as published.
    cycle_a, cycle_b : float, optional
        Weights of the cycle losses of phases and of images; 10 as published.
    identity : float, optional
        Share of the cycle weights; 0.5 as published, 0 switches the term off.
    pool_size : int, optional
        Pictures in each image pool; 50 as published.
    precision : {"32", "bf16", "fp16"}
        Of the convolutions; fp16 needs a GPU.
    resume : bool
        Continue an interrupted run; start it if there is nothing to continue.
    dry_run : bool
        Resolve everything and estimate the duration, write nothing.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    estimated_seconds : float, optional
        How long it will take, where that was measured before; it is measured
        here by default.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    TrainReport
        Where the run is and what it took.

    Raises
    ------
    InputError
        If the data, an option or an existing run folder does not fit.
    Interrupted
        After Ctrl-C or SIGTERM, once the state is saved.
    RunError
        If a loss is not finite or memory runs out.

    Examples
    --------
    >>> import phasegan
    >>> _ = phasegan.prepare("builtin", "tiny.h5", size=32, samples=4, test=2)
    >>> run = phasegan.train("tiny.h5", "runs/tiny", epochs=1, variant="small", device="cpu")
    >>> run.config.steps, run.config.label
    (4, 'paper-small')
    """
    progress = progress or Progress()
    chosen = choose_device(device)
    with PreparedFile(data_or_builtin(data, progress)) as file:
        config = resolve_config(
            file,
            chosen,
            preset=preset,
            variant=variant,
            samples=samples,
            epochs=epochs,
            seed=seed,
            batch_size=batch_size,
            base_channels=base_channels,
            blocks=blocks,
            discriminator_channels=discriminator_channels,
            learning_rate=learning_rate,
            cycle_a=cycle_a,
            cycle_b=cycle_b,
            identity=identity,
            pool_size=pool_size,
            precision=precision,
        )
        name = f"{file.path.stem}-{config.label}"
        folder = RunFolder(Path(output) if output is not None else DEFAULT_RUNS / name)
        folder.check_free()
        advice = (
            f"{config.label} at {config.data.size}×{config.data.size} with batches of "
            f"{config.batch_size}; lower --batch-size or --base-channels"
        )
        with memory_guard(advice):
            if dry_run:
                seconds = estimate_seconds(config, chosen)
                return TrainReport(folder.path, config, 0.0, seconds, trained=False)
            with locked(folder.path / ".lock", str(folder.path)):
                return _train_locked(
                    config, file, folder, chosen, progress, resume, estimated_seconds
                )


def data_or_builtin(data: str | os.PathLike[str] | None, progress: Progress) -> Path:
    """Return the prepared file to use: `data`, or builtin.h5, prepared if it is not there."""
    if data is not None:
        if not isinstance(data, str | os.PathLike):
            raise InputError(f"data of type {type(data).__name__}: give the path of a file")
        return Path(data)
    if not DEFAULT_DATA.exists():
        progress.say(f"preparing {DEFAULT_DATA} from the photographs inside scikit-image first")
        prepare(output=DEFAULT_DATA, progress=progress)
    return DEFAULT_DATA


def _train_locked(
    config: TrainConfig,
    file: PreparedFile,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
    resume: bool,
    estimated: float | None,
) -> TrainReport:
    if folder.exists:
        finished = _check_existing(folder, config, resume)
        if finished is not None:
            return finished
    else:
        folder.write_config(config)
    remove_leftovers(folder.path)
    going_on = folder.checkpoint_path.is_file()
    left = config.steps - (_steps_done(folder) if going_on else 0)
    if estimated is None or going_on:
        estimated = estimate_seconds(config, device, left)
    progress.say(
        f"{config.label} on {device}: {config.data.samples} samples × {config.epochs} epochs, "
        f"{left} steps left, estimated {format_duration(estimated)}"
    )
    spent = run_training(config, file, folder, device, progress, resume=going_on)
    return TrainReport(folder.path, config, spent, estimated, trained=True)


def _check_existing(folder: RunFolder, config: TrainConfig, resume: bool) -> TrainReport | None:
    old = folder.read_config()
    changed = differences(old.model_dump(mode="json"), config.model_dump(mode="json"))
    if changed:
        raise InputError(
            f"{folder.path} holds a run of another configuration ({'; '.join(changed)}); "
            "choose another -o"
        )
    if not folder.status_path.is_file():
        return None  # killed before its first checkpoint was complete
    status = folder.read_status()
    if status.state == "finished":
        return TrainReport(folder.path, old, status.seconds, None, trained=False)
    if not resume:
        raise InputError(
            f"{folder.path} holds an unfinished run (step {status.step} of {old.steps}); "
            "continue it with --resume, or choose another -o"
        )
    if not folder.checkpoint_path.is_file():
        raise InputError(
            f"{folder.checkpoint_path} is missing, the run cannot be continued; choose another "
            "-o and train again"
        )
    return None


def _steps_done(folder: RunFolder) -> int:
    return folder.read_status().step if folder.status_path.is_file() else 0
