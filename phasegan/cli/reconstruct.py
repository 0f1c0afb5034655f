"""`phasegan reconstruct`."""

from __future__ import annotations

import click

from phasegan.cli.common import Manners, common_options


@click.command("reconstruct")
@click.argument("source", metavar="INPUT")
@click.option(
    "--method",
    help="zero, mean-image, unit-magnitude or mean-magnitude.",
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
    overwrite: bool,
) -> None:
    """Reconstruct images from phase spectra.

    INPUT is a prepared file, or a picture or folder of pictures whose phase is
    taken first. Give --method or --run.
    """
    from phasegan.reconstruction.api import reconstruct
    from phasegan.reconstruction.output import check_output, write_output

    check_output(output, source, overwrite)
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
        },
        device=manners.device,
        progress=manners.progress,
    )
    sheet = write_output(result, output, overwrite=overwrite)
    manners.say(f"wrote {len(result.estimate)} reconstructions by {result.method} to {output}")
    manners.say(f"look at {sheet}")
