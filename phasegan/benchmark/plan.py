"""The plan of a bench: its rows, with their keys and configurations."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from phasegan._version import __version__
from phasegan.benchmark.cases import PUBLISHED, Case, Pair, load_case
from phasegan.config.options.size import format_side
from phasegan.config.options.train import OWNERS, phase_owners
from phasegan.config.presets import PHASE_PRESETS
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.run import TrainConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import InputError
from phasegan.evaluation.evaluate import problem_of, require_test_split
from phasegan.reconstruction.registry import NEEDS_STATISTICS, check_method, make_method

ROW_FORMAT = 2
NO_STATISTICS = ("zero", "learned", "learned-coarse")
"""Methods that depend on neither the samples nor the seed."""


@dataclass(frozen=True)
class PlannedRow:
    """One row to be: a baseline (`epochs` is None) or a training.

    Attributes
    ----------
    method : str
        As the table names it.
    seed : int
        Of the samples and of the training.
    samples, epochs : int, optional
        How much it learns from.
    config : TrainConfig, optional
        The training; None for a baseline, and where the data do not allow it.
    split : {"test", "train"}
        What it is scored on.
    optional : bool
        Whether it may be left out for the time it takes.
    skip : str
        Why the data do not allow it; empty if they do.
    """

    method: str
    seed: int
    samples: int | None
    config: TrainConfig | None = None
    epochs: int | None = None
    split: str = "test"
    optional: bool = False
    skip: str = ""

    def key(self, file: PreparedFile, device: torch.device) -> str:
        """Return a digest of everything that determines the row.

        That is the version of phasegan, the data, the method, the seed, the samples, the split
        and the whole configuration; for a training also the kind of device, as each rounds in
        its own way.

        Parameters
        ----------
        file : PreparedFile
            The data.
        device : torch.device
            Where trainings run.

        Returns
        -------
        str
            12 hexadecimal digits.
        """
        return _digest({**self._inputs(file, device), "split": self.split})

    def _inputs(self, file: PreparedFile, device: torch.device) -> dict[str, Any]:
        trained = self.config is not None
        return {
            "format": ROW_FORMAT,
            "phasegan": __version__,
            "data": file.digest,
            "method": self.method,
            "seed": self.seed,
            "samples": self.samples,
            "config": None if self.config is None else self.config.model_dump(mode="json"),
            "device": device.type if trained else None,
        }

    def run_name(self, file: PreparedFile, device: torch.device) -> str:
        """Return the name of the row's run folder; rows of every split share it.

        Parameters
        ----------
        file, device
            As in `key`.

        Returns
        -------
        str
            `<label>-<samples>x<epochs>-seed<seed>-<digest>`.
        """
        assert self.config is not None
        pair = f"{self.samples}x{self.config.epochs}"
        label = re.sub(r"[^A-Za-z0-9.]+", "-", self.method).strip("-.")
        return f"{label}-{pair}-seed{self.seed}-{_digest(self._inputs(file, device))[:6]}"

    @property
    def label(self) -> str:
        """`physics-small, 200 samples × 50 epochs`."""
        if self.samples is None:
            return self.method
        epochs = "" if self.epochs is None else f" × {self.epochs:,} epochs"
        return f"{self.method}, {self.samples:,} samples{epochs}"


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def resolve_case(
    case: str | os.PathLike[str] | None,
    samples: Sequence[int],
    epochs: Sequence[int],
    *,
    preset: str | None = None,
    variant: str | None = None,
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
) -> Case:
    """Build the case from a file or from flags.

    Parameters
    ----------
    case : path, optional
        A case file, or the name of a shipped one; the published table's by default.
    samples, epochs : sequence of int
        Pairs in order, instead of those of the case.
    preset : str, optional
        The only preset.
    variant : str, optional
        Sizes of the networks.
    seeds : sequence of int
        Instead of the case's, if there are any.
    methods : sequence of str
        Baselines instead of the case's, if there are any.

    Returns
    -------
    Case
        With these changes.

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
    if preset is not None and preset not in PHASE_PRESETS:
        raise InputError(f"preset = {preset!r}: choose one of {', '.join(PHASE_PRESETS)}")
    for name in methods:
        check_method(name)
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
    if seeds:
        changes["seeds"] = tuple(seeds)
    if methods:
        changes["methods"] = tuple(methods)
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

    Returns
    -------
    list of PlannedRow
        Each once, in the order of the table.

    Raises
    ------
    InputError
        If a pair, a method or an option does not fit the data.
    """
    require_test_split(file)
    incompatible = _incompatible(case, file)
    problem = problem_of(file, None)
    for name in case.methods:
        check_method(name)
        if name not in NEEDS_STATISTICS and name not in incompatible:
            make_method(name, problem)
    for name, value in sizes.items():
        owners = phase_owners(name)
        if value is not None and owners and not {*owners} & {*case.presets}:
            raise InputError(f"--{name.replace('_', '-')} belongs to the preset {owners[0]}")
    overrides = {
        k: v for k, v in sizes.items() if v is not None and (k, v) != ("precision", "auto")
    }
    trainings = case.trainings(overrides)
    planned: dict[PlannedRow, None] = {}
    for seed in case.seeds:
        for pair in case.pairs:
            methods = () if _too_many(pair, file) else case.methods
            rows = [_baseline(name, seed, pair, incompatible) for name in methods]
            rows += [
                _training(case, file, device, pair, seed, preset, variant, incompatible)
                for preset in case.presets
                for variant in trainings
            ]
            for row in rows:
                for split in case.splits:
                    planned[replace(row, split=split)] = None
    return list(planned)


def _baseline(name: str, seed: int, pair: Pair, incompatible: dict[str, str]) -> PlannedRow:
    if name in NO_STATISTICS or name in incompatible:
        return PlannedRow(name, 0, None, skip=incompatible.get(name, ""))
    return PlannedRow(name, seed, pair.samples)


def _too_many(pair: Pair, file: PreparedFile) -> str:
    if not pair.optional or pair.samples <= len(file.train):
        return ""
    return f"{pair.samples:,} samples asked for, {file.path.name} has {len(file.train):,}"


def _training(
    case: Case,
    file: PreparedFile,
    device: torch.device,
    pair: Pair,
    seed: int,
    preset: str,
    variant: tuple[str, dict[str, Any]],
    incompatible: dict[str, str],
) -> PlannedRow:
    name, options = variant
    reason = incompatible.get(preset, "") or _too_many(pair, file)
    if reason:
        label = f"{preset}, {name}" if name else preset
        return PlannedRow(label, seed, pair.samples, None, pair.epochs, skip=reason)
    try:
        config = resolve_phases(
            file.facts,
            device,
            preset=preset,
            variant=case.variant,
            samples=pair.samples,
            epochs=pair.epochs,
            seed=seed,
            **{k: v for k, v in options.items() if preset in OWNERS.get(k, (preset,))},
        )
    except InputError as error:
        if not name:
            raise
        raise InputError(f"case {case.name}, variant {name!r}: {error}") from None
    label = f"{config.label}, {name}" if name else config.label
    return PlannedRow(label, seed, pair.samples, config, pair.epochs, optional=pair.optional)


def _incompatible(case: Case, file: PreparedFile) -> dict[str, str]:
    """Return presets and methods that cannot take a file beside others, and why."""
    layout = file.layout
    if layout.padded == layout.size:
        return {}
    missing = ["paper"] if "paper" in case.presets and len(case.presets) > 1 else []
    missing += ["shrinkage"] if "shrinkage" in case.methods else []
    kinds = f"M = {format_side(layout.padded)}, N = {format_side(layout.size)}"
    return {name: f"{name} needs unpadded phases, these have {kinds}" for name in missing}
