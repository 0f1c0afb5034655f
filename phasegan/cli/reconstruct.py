"""`phasegan reconstruct`."""

from __future__ import annotations

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
    taken first, or your own phases: phase.npy, phase.mat (phase.mat::variable)
    or file.h5::/path/to/dataset.
    """
    from phasegan.reconstruction.api import reconstruct
    from phasegan.reconstruction.output import check_output, output_lock, write_output
    from phasegan.reconstruction.summary import describe_result

    check_output(output, source, overwrite)
    with output_lock(output):
        result = reconstruct(
            source,
            preprocessing={
                name: options.pop(name)
                for name in PreprocessingConfig.model_fields.keys() & options
            },
            device=common.device,
            progress=common.progress,
            **options,
        )
        sheet = write_output(result, output, overwrite=overwrite, lock_held=True)
    common.say(f"wrote {len(result.estimate)} reconstructions by {result.method} to {output}")
    for line in describe_result(result):
        common.say(line)
    common.say(f"look at {sheet}")
