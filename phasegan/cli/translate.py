"""`phasegan translate`."""

from __future__ import annotations

import math
from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.networks import TranslateCommand


@option_command("translate", TranslateCommand)
@click.argument("run", metavar="RUN", type=click.Path())
@click.argument("source", metavar="INPUT", type=click.Path())
def command(common: CommonOptions, run: str, source: str, output: str, **options: Any) -> None:
    """Translate pictures or films by a trained generator.

    RUN is a run folder, a folder with others' weights such as latest_net_G_A.pth, or
    one generator's file. INPUT is a picture, 8 or 16 bit or an array, a folder of
    pictures, or a film. A stack becomes a TIFF of as many pages. More than 89,478,485
    pixels are taken where --max-pixels says so.
    """
    from phasegan.progress import format_duration
    from phasegan.translation.api import translate

    report = translate(
        run,
        source,
        output,
        device=common.device,
        progress=common.progress,
        **options,
    )
    took = format_duration(report.seconds)
    if report.steadiness is not None and report.size is not None:
        rows, columns = report.size
        common.say(f"wrote {report.output}: {report.frames} frames, {columns}×{rows}, in {took}")
        change = report.steadiness
        for share, output_change, input_change in (
            (f"at rest ({change.static_share:.0%})", change.static_output, change.static_input),
            ("along the motion", change.motion_output, change.motion_input),
        ):
            if math.isfinite(output_change):
                common.say(
                    f"change between frames, {share}: {output_change:.2f} levels of 255, "
                    f"of the input {input_change:.2f}"
                )
        return
    there = f", {report.there} were there" if report.there and options["skip_existing"] else ""
    left = f", {len(report.skipped)} left out" if report.skipped else ""
    count = "1 picture" if len(report.written) == 1 else f"{len(report.written)} pictures"
    size = sum(path.stat().st_size for path in report.written) / 1e6
    common.say(f"wrote {count} ({size:,.1f} MB) to {report.output} in {took}{there}{left}")
