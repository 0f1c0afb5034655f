"""`phasegan export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.networks import ExportCommand


@option_command("export", ExportCommand)
@click.argument("run", type=click.Path())
def command(common: CommonOptions, run: str, output: str, **options: Any) -> None:
    """Write a trained generator for other programs.

    RUN is a run folder of a translation, a folder of others' weights, or one
    generator's file. ONNX and torch.export keep batch, height and width free, and
    are compared with torch before the file is there. A folder gets
    latest_net_G_A.pth and so on, as pytorch-CycleGAN-and-pix2pix reads them.
    """
    from phasegan.translation.export import export

    report = export(run, Path(output), **options)
    for path in report.paths:
        common.say(f"wrote {path}, {path.stat().st_size / 1e6:,.1f} MB")
    if report.difference is not None:
        common.say(f"largest difference from torch on pictures in −1..1: {report.difference:.1e}")
