"""`phasegan export`."""

from __future__ import annotations

from pathlib import Path

import click

from phasegan.cli.common import Manners, common_options


@click.command("export")
@click.argument("run", type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="MODEL.onnx, MODEL.pt2 (torch.export), or a folder for the .pth files of others.",
)
@click.option(
    "--direction",
    type=click.Choice(["a2b", "b2a"]),
    help="Which generator; needed where there are two, not for a folder.",
)
@click.option(
    "--padding",
    type=click.Choice(["reflect", "replicate", "zero"]),
    help="Of others' weights, whose files do not tell reflect from replicate.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@common_options(heavy=True)
def command(
    manners: Manners,
    run: str,
    output: str,
    direction: str | None,
    padding: str | None,
    overwrite: bool,
) -> None:
    """Write a trained generator for other programs.

    RUN is a run folder of a translation, a folder of others' weights, or one
    generator's file. ONNX and torch.export keep batch, height and width free, and
    are compared with torch before the file is there. A folder gets
    latest_net_G_A.pth and so on, as pytorch-CycleGAN-and-pix2pix reads them.
    """
    from phasegan.translation.export import export

    report = export(run, Path(output), direction=direction, padding=padding, overwrite=overwrite)
    for path in report.paths:
        manners.say(f"wrote {path}, {path.stat().st_size / 1e6:,.1f} MB")
    if report.difference is not None:
        manners.say(f"largest difference from torch on pictures in −1..1: {report.difference:.1e}")
