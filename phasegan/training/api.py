"""`phasegan.train`: resolve a configuration, then train, continue, or say it is done."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch

from phasegan.config.execution import take_execution
from phasegan.config.options.keywords import takes_options
from phasegan.config.options.size import format_size
from phasegan.config.options.train import TrainCommand, TrainOptions
from phasegan.config.run import PhaseConfig, RunStatus, TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.leakage import count_same_source
from phasegan.data.samplers import choose_subset
from phasegan.devices import choose_device, memory_guard, torch_algorithms, worker_guard
from phasegan.distributed import process_group
from phasegan.eta import Estimate
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import is_read_only
from phasegan.progress import Progress
from phasegan.training.callbacks.validation import validation_indices
from phasegan.training.presets import Data, TrainingSetup
from phasegan.training.setup.inputs import PathLike, default_data, is_translation, open_inputs
from phasegan.training.setup.run_state import RunState, find_run_state, planned_epochs
from phasegan.training.setup.timing import estimate_run
from phasegan.training.trainer import Trainer

DEFAULT_RUNS = Path("runs")


@dataclass(frozen=True)
class TrainReport:
    """What `train` did."""

    path: Path
    """The run folder."""
    config: TrainConfig
    seconds: float
    """Spent training, over all attempts."""
    estimate: Estimate | None
    """Of the duration, before training; None if there was nothing left to do."""
    trained: bool
    """False if the run was finished already."""
    status: RunStatus | None = None
    """Where the run stands; None if nothing was trained."""


@takes_options(TrainCommand, TrainOptions)
def train(
    data: PathLike | None = None,
    output: PathLike | None = None,
    *,
    images: PathLike | None = None,
    domain_a: PathLike | None = None,
    domain_b: PathLike | None = None,
    init_from: PathLike | None = None,
    resume: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Unpack[TrainOptions],
) -> TrainReport:
    """Train a CycleGAN from phases (A) to images (B), or between two domains of pictures.

    Parameters
    ----------
    data : path, optional
        A prepared file; `builtin.h5` in the working folder by default, prepared
        first when it is not there. Or a folder with `trainA` and `trainB`, perhaps
        `testA` and `testB`: two domains of pictures.
    output : path, optional
        The run folder; `runs/<name of the file>-<label>` by default.
    images : path, optional
        A prepared file whose training images are domain B; the phases of `data`
        are then domain A as they are, and `data` need not hold images.
    domain_a, domain_b : path, optional
        Two domains of pictures, each in a folder of its own.
    init_from : path, optional
        Of translations: a run folder, or one with others' weights, whose networks the
        training starts from; their sizes are the default.
    resume : bool
        Continue an interrupted run; start it if there is nothing to continue. With more
        `epochs` than the run has, go on with it beyond its end.
    dry_run : bool
        Resolve everything and estimate the duration, write nothing.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train. Several processes, started by torchrun or srun, take a GPU
        each and train together.
    progress : Progress, optional
        Where to report; silent by default.
    **options
        None stands for the default.

        {options}

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
    (1, 'physics-small')
    """
    keywords: dict[str, Any] = dict(options) | {
        "images": images,
        "domain_a": domain_a,
        "domain_b": domain_b,
        "init_from": init_from,
    }
    execution = take_execution(keywords)
    with contextlib.ExitStack() as stack:
        processes, chosen = stack.enter_context(process_group(choose_device(device)))
        progress = progress if progress is not None and processes.main else Progress()
        if not is_translation(data, keywords):
            data = processes.broadcast_result(lambda: default_data(data, progress))
        setup, name = processes.main_first(
            lambda: open_inputs(data, keywords, chosen, progress, stack)
        )
        setup = setup._replace(execution=execution, processes=processes)
        label = setup.config.label
        folder = Path(output) if output is not None else DEFAULT_RUNS / f"{name}-{label}"
        if dry_run:
            processes.broadcast_result(RunFolder(folder).check_free)
            with memory_guard(_advice(setup)), worker_guard():
                estimate = estimate_run(setup, None, progress)
            return TrainReport(folder, setup.config, 0.0, estimate, trained=False)
        if resume and keywords.get("epochs") is None:
            planned = processes.broadcast_result(lambda: planned_epochs(RunFolder(folder)))
            if planned is not None:
                setup = setup._replace(config=setup.config.model_copy(update={"epochs": planned}))
        return train_setup(setup, folder, resume=resume, extend=True, progress=progress)


def train_setup(
    setup: TrainingSetup,
    folder: Path,
    *,
    resume: bool = False,
    extend: bool = False,
    estimate: Estimate | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a run, resume it, or find that it is finished.

    Parameters
    ----------
    setup : TrainingSetup
        Its configuration was resolved for its data.
    folder : pathlib.Path
        The run folder.
    resume : bool
        Continue an interrupted run; start it if there is nothing to continue.
    extend : bool
        Whether a run that is resumed may get more epochs.
    estimate : Estimate, optional
        Of the duration, where it was measured before; by default it is measured here.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    TrainReport
        The run folder, its status and the duration.

    Raises
    ------
    InputError
        If an existing run folder does not fit.
    Interrupted
        After Ctrl-C or SIGTERM, once the state is saved.
    RunError
        If a loss is not finite or memory runs out.
    """
    run, progress = RunFolder(folder), progress or Progress()
    device, processes = setup.device, setup.processes
    with contextlib.ExitStack() as stack:
        stack.enter_context(memory_guard(_advice(setup)))
        stack.enter_context(worker_guard())
        gpus = range(torch.cuda.device_count()) if device.type == "cuda" else ()
        stack.enter_context(torch.random.fork_rng(gpus))  # the caller's, which checkpoints set
        switches = {name: getattr(setup.execution, name) for name in ("deterministic", "autotune")}
        stack.enter_context(torch_algorithms(device, **switches))

        def open_folder() -> RunState:
            run.check_free()
            if not (run.exists and is_read_only(run.path)):
                stack.enter_context(file_lock(run.path / ".lock", str(run.path)))
            return find_run_state(run, setup.config, resume, extend=extend)

        state = processes.broadcast_result(open_folder)
        setup, config = setup._replace(config=state.config), state.config
        if state.finished is not None:
            return TrainReport(run.path, config, state.finished.seconds, None, trained=False)
        if state.step and device.type == "cpu":
            _warn_threads(run, progress)
        left = config.steps - state.step
        if estimate is None or state.resumable:
            estimate = estimate_run(setup, left, progress)
            announced = f"{estimate.after(progress.elapsed()).describe()} in all"
        else:
            announced = estimate.describe()
        together = f" × {processes.count}" if processes.count > 1 else ""
        amount = f"{config.samples} samples × {config.epochs_text} epochs"
        progress.say(
            f"{config.label} on {device.type}{together}: {amount}{_describe_data(setup.data)}, "
            f"{left} steps left, estimated {announced}"
        )
        _warn_shared(config, setup.data, progress)
        spent = Trainer(setup, run, progress).train(resume=state.resumable)
        processes.barrier()
        status = processes.broadcast_result(run.read_status)
        return TrainReport(run.path, config, spent, estimate, trained=True, status=status)


def _warn_threads(run: RunFolder, progress: Progress) -> None:
    """Warn where a resumed run rounds differently from an uninterrupted one."""
    before, now = run.read_status().threads, torch.get_num_threads()
    if before != now:
        progress.say(
            f"{run.path} was trained with --threads {before} so far, now with {now}: rounding "
            "differs from that of an uninterrupted run"
        )


def _warn_shared(config: TrainConfig, file: Data, progress: Progress) -> None:
    """Warn where validation samples are crops of training photographs."""
    count = config.validation.samples
    if not (count and isinstance(file, PreparedFile) and isinstance(config, PhaseConfig)):
        return
    trained = choose_subset(len(file.train), config.data.samples, config.seed)
    shared = count_same_source(file.train, validation_indices(config, file), trained)
    if shared:
        progress.warn(
            f"{shared} of {count} samples that validate are crops of photographs that are trained "
            "on: their score says little about others"
        )


def _describe_data(file: Data) -> str:
    """Return a description of the data where they are not exact unpadded phases."""
    if not isinstance(file, PreparedFile):
        return f" of {file.domains.name}"
    layout = file.layout
    unusual = layout.degraded or layout.padded != layout.size or not layout.has_images
    return f" of {file.path.name} ({layout.describe()})" if unusual else ""


def _advice(setup: TrainingSetup) -> str:
    config, execution = setup.config, setup.execution
    at_once = min(execution.micro_batch or config.batch_size, config.batch_size)
    ways = [f"--micro-batch {at_once // 2}"] if at_once > 1 else []
    ways += [] if execution.recompute else ["--recompute"]
    same = f"give {' or '.join(ways)} for the same result, or " if ways else ""
    lower = "--batch-size or " if config.batch_size > 1 else ""
    return (
        f"{config.label} at {format_size(config.size)} with {at_once} images at once; "
        f"{same}lower {lower}{config.size_name}"
    )
