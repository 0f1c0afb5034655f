"""`phasegan reconstruct`."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.networks import ReconstructCommand
from phasegan.config.preprocessing import PreprocessingConfig


@option_command("reconstruct", ReconstructCommand)
@click.argument("source", metavar="INPUT")
def command(
    common: CommonOptions,
    source: str,
    output: str,
    overwrite: bool,
    **options: Any,
) -> None:
    """Reconstruct images from phase spectra.

    INPUT is a prepared file, a picture or folder of pictures whose phase is
    taken first (each keeps its own size and colours), or your own phases:
    phase.npy, phase.mat (phase.mat::variable) or file.h5::/path/to/dataset.
    """
    from phasegan.data.hdf5.container import HDF5_SUFFIXES
    from phasegan.reconstruction.api import reconstruct
    from phasegan.reconstruction.inputs.problems import ArrayOptions, holds_pictures
    from phasegan.reconstruction.output import (
        check_output,
        output_lock,
        write_output,
        write_pictures,
    )
    from phasegan.reconstruction.pictures import reconstruct_pictures
    from phasegan.reconstruction.summary import ResultSummary

    check_output(output, source, overwrite)
    of_arrays = {f.name: options.get(f.name) for f in fields(ArrayOptions)}
    transformed = holds_pictures(source, ArrayOptions(**of_arrays))
    preprocessing = {
        name: options.pop(name) for name in PreprocessingConfig.model_fields.keys() & options
    }
    call = {**options, "preprocessing": preprocessing, "device": common.device}
    call["progress"] = common.progress
    summary = ResultSummary()
    with output_lock(output):
        if transformed and Path(output).suffix not in HDF5_SUFFIXES:
            taken = inspect.signature(reconstruct_pictures).parameters.keys()
            results = reconstruct_pictures(source, **{k: call[k] for k in taken & call.keys()})
            sheet = write_pictures(summary.follow(results), Path(output), overwrite=overwrite)
        else:
            result = reconstruct(source, **call)
            summary.add(result)
            sheet = write_output(result, output, overwrite=overwrite, lock_held=True)
    method = f"by {next(iter(summary.methods))}"
    if len(summary.methods) > 1:
        counts = (f"{count} by {name}" for name, count in summary.methods.items())
        method = f"({', '.join(counts)})"
    common.say(f"wrote {summary.count} reconstructions {method} to {output}")
    if transformed:
        automatic = options["run"] is None and options["method"] in (None, "auto")
        clean = not preprocessing["phase_noise"] and not preprocessing["phase_bits"]
        for line in summary.pictures(advise=automatic and clean):
            common.say(line)
    for line in summary.claims():
        common.say(line)
    common.say(f"look at {sheet}")
