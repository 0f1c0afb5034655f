"""The modes that are measured, and what takes their steps."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from phasegan.config.execution import Execution
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.run import PaperConfig, TrainConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS
from phasegan.errors import InputError
from phasegan.training.callbacks.loss_meter import LossMeter
from phasegan.training.non_finite import NonFiniteDetector
from phasegan.training.presets import TrainingSetup
from phasegan.training.setup.timing import benchmark_setup
from phasegan.training.trainer import LOG_STEPS
from training_speed import recipe

EPOCHS = 1000
"""Of a configuration: more than any measurement lasts, so that rates hardly change."""
ALL_OFF: dict[str, Any] = {
    "compile": "off",
    "channels_last": False,
    "batched": False,
    "fused": False,
    "resident": "memory",
}


@dataclass(frozen=True)
class Mode:
    """A way to compute a training."""

    name: str
    what: str
    execution: Execution | None
    """None: the reference."""
    precision: str = "32"
    batch: int | None = 1
    """Images of a step; None: as many as were fastest."""
    threads: int | None = None
    tf32: str = "default"
    """`default` as torch has it (convolutions yes, products of matrices no), `all` or `off`."""
    autotune: bool = False
    """Whether cuDNN times its algorithms first."""
    needs: str | None = None
    """`gpu`, `cpu` or `compile`."""


def list_modes(preset: str, device: torch.device, batches: Sequence[int]) -> list[Mode]:
    """Return every mode of a preset, the reference first where there is one."""
    one = 1 if preset == "paper" else 8

    def switch(name: str, what: str, **options: Any) -> Mode:
        own = {key: options.pop(key) for key in list(options) if key in Execution.model_fields}
        return Mode(name, what, Execution(**{**ALL_OFF, **own}), **{"batch": one, **options})

    def chosen(name: str, what: str, compile: str = "off", **options: Any) -> Mode:
        execution = Execution(compile=compile)
        usual = {"precision": "bf16", "batch": one, "autotune": True}
        return Mode(name, what, execution, **{**usual, **options})

    modes = [
        switch("base", "32 bit, every switch off, data in memory"),
        switch("fused", "one kernel updates all weights", fused=True),
        switch("channels-last", "channels innermost in memory", channels_last=True),
        switch("batched", "pictures through one network at once", batched=True),
        switch("resident-device", "data on the GPU", resident="device", needs="gpu"),
        switch("autotune", "cuDNN times its algorithms", autotune=True, needs="gpu"),
        switch("tf32-all", "TF32 for all products", tf32="all", needs="gpu"),
        switch("tf32-off", "float32 without TF32", tf32="off", needs="gpu"),
        switch("bf16", "bfloat16 convolutions", precision="bf16"),
        switch("bf16-channels-last", "both", precision="bf16", channels_last=True),
        switch("bf16-batched", "both", precision="bf16", batched=True),
        switch("fp16", "float16 convolutions, scaled losses", precision="fp16", needs="gpu"),
        switch("recompute", "blocks computed again for the gradient", recompute=True),
        switch("threads-1", "one thread", threads=1, needs="cpu"),
        *(switch(f"batch-{n}", f"{n} images a step", batch=n) for n in batches if n != one),
        chosen("all", "what phasegan chooses, bf16"),
        chosen("all-best", "the same, the batch that was fastest", batch=None),
        switch("compile", "torch.compile", compile="default", needs="compile"),
        switch(
            "reduce-overhead",
            "torch.compile, CUDA graphs",
            compile="reduce-overhead",
            needs="compile",
        ),
        chosen("all-compile", "all, torch.compile", compile="default", needs="compile"),
    ]
    if preset == "paper":
        common = Mode("reference", "the common recipe", None, autotune=True)
        return [common, *modes]
    return [mode for mode in modes if "batched" not in mode.name]


def choose(modes: Sequence[Mode], names: str | None) -> list[Mode]:
    """Return the modes of a list of names with commas between them; all by default.

    Raises
    ------
    InputError
        If there is no such mode.
    """
    if names is None:
        return list(modes)
    known = {mode.name: mode for mode in modes}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise InputError(f"mode {name!r}: choose among {', '.join(known)}")
    if not wanted:
        raise InputError("--modes names no mode")
    return [mode for mode in modes if mode.name in wanted]


def obstacle(mode: Mode, device: torch.device, compiling: bool) -> str | None:
    """Return why a mode cannot be measured here; None if it can."""
    if mode.needs == "gpu" and device.type != "cuda":
        return "needs a CUDA GPU"
    if mode.needs == "cpu" and (device.type != "cpu" or torch.get_num_threads() == 1):
        return "needs a CPU with two threads"
    if mode.needs == "compile" and not compiling:
        return "needs --compile"
    return None


@contextlib.contextmanager
def conditions(mode: Mode) -> Iterator[None]:
    """Set threads, TF32 and cuDNN's choice of algorithms as a mode has them, for a while."""
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (
        torch.get_num_threads(),
        matrices.allow_tf32,
        convolutions.allow_tf32,
        convolutions.benchmark,
    )
    torch.set_num_threads(mode.threads or before[0])
    if mode.tf32 != "default":
        matrices.allow_tf32 = convolutions.allow_tf32 = mode.tf32 == "all"
    convolutions.benchmark = mode.autotune
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        matrices.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = before[1:]


class Runner(Protocol):
    """Takes one step of a training after the other."""

    period: int
    """Steps after which kinds of steps repeat."""

    def step(self) -> int:
        """Take a step; return its images."""


class Reference:
    """Steps of the common recipe."""

    period = 1

    def __init__(self, config: PaperConfig, folder: Path, device: torch.device) -> None:
        sizes = recipe.sizes_of(config)
        self.recipe, self.batches = recipe.Recipe(sizes, device), recipe.endless(folder, sizes)
        self.done = 0

    def step(self) -> int:
        """Take a step; return its images."""
        losses = self.recipe.step(*next(self.batches))
        self.done += 1
        if self.done % recipe.LOG_STEPS == 0:
            self.shown = {name: loss.item() for name, loss in losses.items()}
        return 1


class Steps:
    """Steps of a phasegan training, with all that its training loop does in each."""

    def __init__(
        self, config: TrainConfig, file: PreparedFile, device: torch.device, execution: Execution
    ) -> None:
        self.config = config
        setup = TrainingSetup(config, file, device, execution=execution)
        self.lr_factor, self.gan = setup.preset.lr_factor, setup.make_gan()
        self.batches = setup.make_batches()
        benchmark_setup(self.gan, self.batches)
        self.loaded = self.batches.iterate(itertools.count())
        self.period = getattr(config, "period", 1) or 1
        self.loss_meter = LossMeter(self.gan.loss_names, device)
        self.non_finite = NonFiniteDetector(device)
        self.done = 0

    def step(self) -> int:
        """Take a step; return its images."""
        batch = next(self.loaded)
        losses = self.gan.training_step(batch, self.lr_factor(self.config, self.done))
        self.non_finite.update(self.loss_meter.update(losses))
        self.done += 1
        if self.done % LOG_STEPS == 0:
            self.loss_meter.flush(SINGLE_PROCESS)
        return batch.total


def configure(
    file: PreparedFile, device: torch.device, preset: str, mode: Mode, **options: Any
) -> TrainConfig:
    """Return the configuration of a mode: as many samples as fill its batches."""
    batch = mode.batch or 1
    total = min(options.pop("samples") or len(file.train), len(file.train))
    if batch > total:
        raise InputError(f"{batch} images a step need as many samples; there are {total}")
    return resolve_phases(
        file.facts,
        device,
        preset=preset,
        samples=total // batch * batch,
        epochs=EPOCHS,
        batch_size=batch,
        precision=mode.precision,
        **{name: value for name, value in options.items() if value is not None},
    )
