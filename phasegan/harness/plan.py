"""Which rows a bench consists of."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasegan._version import __version__
from phasegan.errors import InputError
from phasegan.harness.cases import PUBLISHED, Case, Pair, load_case
from phasegan.harness.evaluate import problem_of, require_test_split
from phasegan.reconstruction.registry import NEEDS_STATISTICS, check_method, make_method
from phasegan.runs.config import TrainConfig
from phasegan.runs.presets import PRESETS
from phasegan.store.reader import PreparedFile
from phasegan.training.resolve import OWNERS, options_of, resolve_config

ROW_FORMAT = 1


@dataclass(frozen=True)
class PlannedRow:
    """One row to be: a baseline (`config` is None) or a training."""

    method: str
    seed: int
    samples: int | None
    config: TrainConfig | None

    def key(self, file: PreparedFile) -> str:
        """Digest of all that decides the row."""
        decides = {
            "format": ROW_FORMAT,
            "phasegan": __version__,
            "data": file.digest,
            "method": self.method,
            "seed": self.seed,
            "samples": self.samples,
            "config": None if self.config is None else self.config.model_dump(mode="json"),
        }
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def run_name(self, file: PreparedFile) -> str:
        """Return the name of the row's run folder."""
        assert self.config is not None
        pair = f"{self.samples}x{self.config.epochs}"
        label = re.sub(r"[^A-Za-z0-9.]+", "-", self.method).strip("-.")
        return f"{label}-{pair}-seed{self.seed}-{self.key(file)[:6]}"


def resolve_case(
    case: str | os.PathLike[str] | None,
    samples: Sequence[int],
    epochs: Sequence[int],
    preset: str | None,
    variant: str | None,
    seed: int | None,
) -> Case:
    """Build the case from a file or from flags.

    Raises
    ------
    InputError
        If flags contradict one another or the case.
    """
    if len(samples) != len(epochs):
        raise InputError(
            f"--samples is given {len(samples)} times and --epochs {len(epochs)} times; "
            "they pair in order, give both equally often"
        )
    if case is not None and samples:
        raise InputError(
            "--case brings its own samples and epochs; leave --samples and --epochs out"
        )
    for name, values in (("--samples", samples), ("--epochs", epochs)):
        for value in values:
            if value < 1:
                raise InputError(f"{name} {value}: must be at least 1")
    if preset is not None and preset not in PRESETS:
        raise InputError(f"preset = {preset!r}: choose one of {', '.join(PRESETS)}")
    chosen = load_case(PUBLISHED if case is None else Path(case))
    changes: dict[str, Any] = {}
    if samples:
        changes["pairs"] = tuple(
            Pair(samples=int(n), epochs=int(m)) for n, m in zip(samples, epochs, strict=True)
        )
    if preset is not None:
        changes["presets"] = (preset,)
    if variant is not None:
        changes["variant"] = variant
    if seed is not None:
        changes["seeds"] = (seed,)
    return chosen.model_copy(update=changes)


def plan_rows(
    case: Case, file: PreparedFile, device: torch.device, sizes: dict[str, Any]
) -> list[PlannedRow]:
    """List the rows of a case: for each pair the baselines of its samples, then the trainings.

    Parameters
    ----------
    case : Case
        What to measure.
    file : PreparedFile
        The data.
    device : torch.device
        Where trainings will run; it decides the default variant.
    sizes : dict
        precision, base_channels, blocks and others as in `phasegan.train`; each
        preset takes those that it has.

    Raises
    ------
    InputError
        If a pair, a method or an option does not fit the data.
    """
    require_test_split(file)
    left_out = skipped(case, file)
    methods = [name for name in case.methods if name not in left_out]
    problem = problem_of(file, None)
    for name in methods:
        check_method(name)
        if name not in NEEDS_STATISTICS:
            make_method(name, problem)
    for name, value in sizes.items():
        if value is not None and OWNERS.get(name, case.presets[0]) not in case.presets:
            raise InputError(f"--{name.replace('_', '-')} belongs to the preset {OWNERS[name]}")
    presets = [preset for preset in case.presets if preset not in left_out]
    wanted = {k: v for k, v in sizes.items() if v is not None and (k, v) != ("precision", "auto")}
    trainings = case.trainings(wanted)
    planned: list[PlannedRow] = []
    for seed in case.seeds:
        for pair in case.pairs:
            configs = [
                (name, _configure(case, file, device, pair, seed, preset, name, options))
                for preset in presets
                for name, options in trainings
            ]
            for name in methods:
                plan = PlannedRow(name, seed, pair.samples, None)
                if name in ("zero", "learned"):  # depend on neither
                    plan = PlannedRow(name, 0, None, None)
                if plan not in planned:
                    planned.append(plan)
            for name, config in configs:
                label = f"{config.label}, {name}" if name else config.label
                training = PlannedRow(label, seed, pair.samples, config)
                if training not in planned:
                    planned.append(training)
    return planned


def _configure(
    case: Case,
    file: PreparedFile,
    device: torch.device,
    pair: Pair,
    seed: int,
    preset: str,
    name: str,
    options: dict[str, Any],
) -> TrainConfig:
    try:
        return resolve_config(
            file,
            device,
            preset=preset,
            variant=case.variant,
            samples=pair.samples,
            epochs=pair.epochs,
            seed=seed,
            **options_of(preset, options),
        )
    except InputError as error:
        if not name:
            raise
        raise InputError(f"case {case.name}, variant {name!r}: {error}") from None


def skipped(case: Case, file: PreparedFile) -> dict[str, str]:
    """Return presets and methods of a case that cannot take a file beside others, and why."""
    layout = file.layout
    if layout.padded == layout.size:
        return {}
    missing = ["paper"] if "paper" in case.presets and len(case.presets) > 1 else []
    missing += ["shrinkage"] if "shrinkage" in case.methods else []
    kinds = f"M = {layout.padded}, N = {layout.size}"
    return {name: f"skipped: {name} needs unpadded phases, these have {kinds}." for name in missing}
