"""`phasegan reconstruct`."""

from __future__ import annotations

import math

import click

from phasegan.cli.common import Manners, common_options


@click.command("reconstruct")
@click.argument("source", metavar="INPUT")
@click.option(
    "--method",
    help="zero, mean-image, unit-magnitude, power-law, mean-magnitude, shrinkage, learned, hlo, "
    "pocs, pocs-accelerated, cg, fista, map, pnp or auto.  [default: auto]",
)
@click.option("--run", type=click.Path(), help="A run folder instead of a method.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="A folder for PNG pictures, or a .h5 file.",
)
@click.option(
    "--statistics",
    type=click.Path(),
    help="A prepared file whose training images the means are taken from.  "
    "[default: INPUT, if it is prepared]",
)
@click.option(
    "--split", type=click.Choice(["test", "train"]), default="test", show_default=True,
    help="Of a prepared INPUT.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only the first so many.")
@click.option("--size", type=click.IntRange(2, 8192), help="N, for pictures.  [default: 128]")
@click.option("--channels", type=click.Choice(["gray", "rgb"]), help="For pictures.  [gray]")
@click.option("--fit", type=click.Choice(["crop", "pad", "stretch"]), help="For pictures.  [crop]")
@click.option("--oversample", type=click.FloatRange(1, 4), help="M/N, for pictures.  [1]")
@click.option("--phase-noise", type=click.FloatRange(0, math.pi), help="σ, for pictures.  [0]")
@click.option("--phase-bits", type=click.IntRange(1, 16), help="For pictures.  [none]")
@click.option("--shape", metavar="N", type=click.IntRange(1), help="For arrays.  [default: M]")
@click.option(
    "--layout",
    type=click.Choice(["half", "full", "centred"]),
    help="Of an array: as rfft2, fft2 or fftshift(fft2) give it.  [default: half]",
)
@click.option(
    "--units",
    type=click.Choice(["rad", "deg", "turns", "phasor"]),
    help="Of an array.  [default: rad]",
)
@click.option(
    "--mask",
    metavar="FILE",
    help="An array like INPUT: true or not 0 where its samples are to be trusted.",
)
@click.option("--symmetrise", is_flag=True, help="Average both halves of an array's full plane.")
@click.option(
    "--noise", type=click.FloatRange(0, math.pi), help="σ of an array's phases, radians.  [0]"
)
@click.option("--iterations", type=click.IntRange(1), help="Of iterative methods, at most.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    help="Of iterative methods.  [default: the array's, float64 for files]",
)
@click.option("--overwrite", is_flag=True, help="Replace an output that is there.")
@common_options(heavy=True)
def command(
    manners: Manners,
    source: str,
    method: str | None,
    run: str | None,
    output: str,
    statistics: str | None,
    split: str,
    limit: int | None,
    size: int | None,
    channels: str | None,
    fit: str | None,
    oversample: float | None,
    phase_noise: float | None,
    phase_bits: int | None,
    shape: int | None,
    layout: str | None,
    units: str | None,
    mask: str | None,
    symmetrise: bool,
    noise: float | None,
    iterations: int | None,
    dtype: str | None,
    overwrite: bool,
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
            method=method,
            run=run,
            statistics=statistics,
            split=split,
            limit=limit,
            preprocessing={
                "size": size,
                "channels": channels,
                "fit": fit,
                "oversample": oversample,
                "phase_noise": phase_noise,
                "phase_bits": phase_bits,
            },
            shape=None if shape is None else (shape, shape),
            layout=layout,
            units=units,
            mask=mask,
            symmetrise=symmetrise or None,
            noise=noise,
            iterations=iterations,
            dtype=dtype,
            device=manners.device,
            progress=manners.progress,
        )
        sheet = write_output(result, output, overwrite=overwrite, lock_held=True)
    manners.say(f"wrote {len(result.estimate)} reconstructions by {result.method} to {output}")
    for line in describe_result(result):
        manners.say(line)
    manners.say(f"look at {sheet}")
