"""Inspection of prepared files and runs: a description in words, and facts as JSON values."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phasegan.config.options.size import format_size
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import domain_labels
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.pair_reader import HDF5Images, PairFile, is_pair_file
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.verification import verify as verify_prepared
from phasegan.errors import InputError
from phasegan.evaluation.run_entries import run_entries
from phasegan.fourier.convention import is_determined
from phasegan.models.weights import weights_intact
from phasegan.progress import Progress, format_duration
from phasegan.reconstruction.auto import choose_method
from phasegan.reconstruction.inputs.problems import phase_error
from phasegan.reconstruction.protocol import Problem
from phasegan.tables import Entry, labelled_lines


@dataclass(frozen=True)
class Inspection:
    """Facts and description of a file or a run."""

    facts: dict[str, Any]
    lines: list[str]
    damaged: list[str] = field(default_factory=list)
    """Parts whose checksums do not match; only filled when asked to verify."""


def inspect(
    path: str | os.PathLike[str], *, verify: bool = False, progress: Progress | None = None
) -> Inspection:
    """Describe a prepared file or a run folder.

    Parameters
    ----------
    path : path
        An HDF5 file of phases or of picture domains, or a folder.
    verify : bool
        Compute every checksum again.
    progress : Progress, optional
        Follows that; silent by default.

    Returns
    -------
    Inspection
        Facts and lines of text; with `verify`, also the damaged parts.

    Raises
    ------
    InputError
        If it is neither.
    """
    target = Path(path)
    if not target.exists():
        raise InputError(f"{target}: no such file or folder")
    if target.is_dir():
        inspection = _run(target, verify)
    else:
        inspection = (_domains if is_pair_file(target) else _prepared)(target, verify, progress)
    if verify and not inspection.damaged:
        inspection.lines.append("every checksum matches")
    if verify:
        inspection.facts["verified"] = not inspection.damaged
        inspection.facts["damaged"] = inspection.damaged
    return inspection


def _prepared(path: Path, verify: bool, progress: Progress | None) -> Inspection:
    with PreparedFile(path, check=not verify) as file:
        layout, attributes = file.layout, file.attributes
        undefined = {s.name: s.undefined_count for s in (file.train, file.test)}
        damaged = verify_prepared(file, progress) if verify else []
        recipe = attributes["recipe"]
        facts = {
            "kind": "prepared file",
            "path": str(path),
            "train": len(file.train),
            "test": len(file.test),
            "has_images": file.has_images,
            "undefined_phases": undefined,
            "digest": file.digest,
            "shards": [shard.path.name for shard in file.shards],
            **{k: v for k, v in attributes.items() if k != "intact"},
        }
    ratio = layout.oversampling
    padding = "no zero-padding" if ratio == 1 else f"zero-padded to {format_size(layout.frame)}"
    encodings = {
        "uint16": "uint16 codes k, phase = 2πk/65536 rad",
        "float16": "float16 radians",
        "float32": "float32 radians",
    }
    equations = math.prod(layout.frame) // 2 - 2
    unknowns = math.prod(layout.shape) - 1
    pictures = f"{format_size(layout.shape)} {layout.channels}, {layout.bits} bit"
    if not layout.has_images:
        pictures = f"no images, the phases are those of {pictures}"
    title = f"{path}: phase spectra of {facts['train']} training and {facts['test']} test images"
    entries = [
        ("images", f"{pictures}, fitted by {recipe['preprocessing']['fit']}"),
        (
            "spectra",
            f"{padding} (M/N = {ratio:g}), half-plane {layout.phase_shape}, "
            f"{encodings[layout.phase_dtype]}",
        ),
        *_degradation(layout),
        (
            "determinacy",
            f"about {equations:,} equations for {unknowns:,} unknowns: " + _expectation(layout),
        ),
        ("undefined", f"{sum(undefined.values())} phases of zero magnitude"),
        ("source", f"{recipe['name']}, {recipe['source']['kind']}, seed {attributes['seed']}"),
        *_shards(facts["shards"]),
        ("checksum", f"{attributes['source_checksum']} of the source's pictures"),
        (
            "written by",
            f"phasegan {attributes['phasegan_version']}, format version "
            f"{attributes['format_version']}",
        ),
    ]
    return Inspection(facts, [title, *labelled_lines(entries)], damaged)


def _shards(names: list[str]) -> list[Entry]:
    if not names:
        return []
    between = "" if len(names) == 1 else f" to {names[-1]}"
    return [("shards", f"{len(names)}, {names[0]}{between}, all there")]


def _domains(path: Path, verify: bool, progress: Progress | None) -> Inspection:
    file = PairFile(path, check=not verify)
    facts, damaged = file.metadata, verify_prepared(file, progress) if verify else []
    counts = {name: len(group) for name, group in file.groups.items()}
    values = {
        "kind": "picture domains",
        "path": str(path),
        "name": facts.name,
        **counts,
        "load": facts.load,
        "fit": facts.fit,
        "alpha": facts.alpha,
        "kinds": {name: kind._asdict() for name, kind in zip("ab", facts.kinds, strict=True)},
        "source_listings": facts.listings,
        "checksums": facts.checksums,
        "versions": facts.versions,
    }
    title = (
        f"{path}: two domains of pictures, {counts['trainA']} + {counts['trainB']} for training, "
        f"{counts.get('testA', 0)} + {counts.get('testB', 0)} for testing"
    )
    entries = [
        (f"domain {label}", kind.describe())
        for label, kind in zip(domain_labels(facts.domain_names), facts.kinds, strict=True)
    ]
    how = {
        "stretch": f"stretched to {facts.load}×{facts.load}",
        "short-side": f"the short side brought to {facts.load}",
        "none": "at their own size",
    }
    for name, group in file.groups.items():
        fitted = how[facts.fit if name.startswith("train") else "none"]
        entries.append((name, f"{len(group)} pictures, {fitted}{_extent(group)}"))
    entries += [
        ("source", facts.name),
        (
            "written by",
            f"phasegan {facts.versions['phasegan']} with Pillow {facts.versions['pillow']}",
        ),
        ("train on it", f"`phasegan train {path}`"),
    ]
    file.close()
    return Inspection(values, [title, *labelled_lines(entries)], damaged)


def _extent(group: HDF5Images) -> str:
    """Return the smallest and the largest size, rows × columns, where they differ."""
    shapes = group.shapes()
    if not len(shapes) or (shapes == shapes[0]).all():
        return ""
    areas = shapes.prod(1, dtype="int64")
    least, most = shapes[areas.argmin()], shapes[areas.argmax()]
    return f", {least[0]}×{least[1]} to {most[0]}×{most[1]} (rows × columns)"


def _degradation(layout: Layout) -> list[Entry]:
    steps = []
    if layout.phase_noise:
        steps.append(f"Gaussian phase noise of {layout.phase_noise:g} rad")
    if layout.phase_bits:
        steps.append(f"phases rounded to {layout.phase_bits} bit, 2πk/{2**layout.phase_bits}")
    return [("degraded", ", then ".join(steps))] if steps else []


def _expectation(layout: Layout) -> str:
    """Say what can be expected of phases like these; the threshold is M/N ≥ √2."""
    name = choose_method(
        Problem(layout.shape, layout.frame, noise=layout.phase_noise), phase_error(layout)
    )
    if not is_determined(layout.shape, layout.frame):
        return (
            "too few, the phase alone does not determine the image (that takes M/N ≥ √2); expect "
            "what a prior can give, --method auto takes the best one"
        )
    if name != "cg":
        return (
            "enough (M/N ≥ √2), but the phases are noisy or coarse; expect a close image, "
            "--method auto weighs the noise"
        )
    return (
        "enough (M/N ≥ √2) to determine almost every image up to its brightness; expect exact "
        "images with a certificate, --method auto"
    )


def _run(path: Path, verify: bool) -> Inspection:
    folder = RunFolder(path)
    config = folder.read_config()
    status = folder.read_status()
    facts = {
        "kind": "run",
        "path": str(path),
        "label": config.label,
        "config": config.model_dump(mode="json"),
        "status": status.model_dump(mode="json"),
    }
    steps, done = config.steps, status.step
    title = f"{path}: a run of {config.label}, {status.state} (step {done} of {steps})"
    entries = [
        *run_entries(config),
        (
            "training",
            f"{config.epochs_text} epochs, batches of {config.batch_size}, learning rate "
            f"{config.learning_rate:g}, precision {config.precision}, seed {config.seed}",
        ),
        (
            "time",
            f"{format_duration(status.seconds)} on {status.device}"
            + (f", {status.processes} processes" if status.processes > 1 else ""),
        ),
    ]
    if status.best is not None:
        entries.append(
            (
                "validation",
                f"best {'MSE' if status.best.swd is None else 'Wasserstein distance'} "
                f"{status.best.value:,.0f} after epoch {status.best.epoch}, of "
                f"{config.validation.samples} samples; the weights are of then",
            )
        )
    entries += [("fell back", text) for text in status.fell_back]
    resumable = folder.checkpoints_path.exists()
    names = config.network_names if resumable else ("generator_ab",)
    files = {name: folder.weights_path(name) for name in names} if verify else {}
    damaged = [file.name for name, file in files.items() if not weights_intact(file, name)]
    return Inspection(facts, [title, *labelled_lines(entries)], damaged)
