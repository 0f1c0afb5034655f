"""`phasegan translate`."""

from __future__ import annotations

import math

import click

from phasegan.cli.common import Manners, common_options


@click.command("translate")
@click.argument("run", metavar="RUN", type=click.Path())
@click.argument("source", metavar="INPUT", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="A file for a file, else a folder."
)
@click.option(
    "--direction",
    type=click.Choice(["a2b", "b2a"]),
    help="Needed where RUN holds generators both ways.",
)
@click.option(
    "--padding",
    type=click.Choice(["reflect", "replicate", "zero"]),
    help="Of others' weights, where the file does not tell.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), help="Small pictures at a time.  [1; on a GPU 8]"
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="That the process may take, such as 800MB.  [1.5GiB; of a GPU 60 % of what is free]",
)
@click.option(
    "--precision", type=click.Choice(["auto", "32", "bf16"]), default="auto", show_default=True,
    help="Of the network.",
)  # fmt: skip
@click.option(
    "--depth", type=click.Choice(["keep", "8", "16"]), default="keep", show_default=True,
    help="Bits of the results.",
)  # fmt: skip
@click.option(
    "--alpha", type=click.Choice(["drop", "keep"]), default="drop", show_default=True,
    help="Whether transparency is kept as it is.",
)  # fmt: skip
@click.option(
    "--range",
    "limits",
    metavar="LOW HIGH",
    type=(float, float),
    help="Values of INPUT that are black and white.  [those of the training, or 0 and white]",
)
@click.option(
    "--steady", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Hold flicker of a film down: 0 not at all, 1 strongly.",
)  # fmt: skip
@click.option("--skip-existing", is_flag=True, help="In a folder, leave out what is done.")
@click.option("--overwrite", is_flag=True, help="Replace an output that is there.")
@common_options(heavy=True)
def command(
    manners: Manners,
    run: str,
    source: str,
    output: str,
    direction: str | None,
    padding: str | None,
    batch_size: int | None,
    memory: str | None,
    precision: str,
    depth: str,
    alpha: str,
    limits: tuple[float, float] | None,
    steady: float,
    skip_existing: bool,
    overwrite: bool,
) -> None:
    """Translate pictures or films by a trained generator.

    RUN is a run folder, a folder with others' weights such as latest_net_G_A.pth, or
    one generator's file. INPUT is a picture, 8 or 16 bit or an array, a folder of
    pictures, or a film. More than 89,478,485 pixels are taken where the environment
    variable PHASEGAN_MAX_PIXELS says so.
    """
    from phasegan.progress import format_duration
    from phasegan.translation.api import translate

    report = translate(
        run,
        source,
        output,
        direction=direction,
        padding=padding,
        device=manners.device,
        batch_size=batch_size,
        memory=memory,
        precision=precision,
        depth=depth,
        alpha=alpha,
        limits=limits,
        steady=steady,
        overwrite=overwrite,
        skip_existing=skip_existing,
        progress=manners.progress,
    )
    took = format_duration(report.seconds)
    if report.steadiness is not None and report.size is not None:
        rows, columns = report.size
        manners.say(f"wrote {report.output}: {report.frames} frames, {columns}×{rows}, in {took}")
        found = report.steadiness
        for share, made, given in (
            (f"at rest ({found.static_share:.0%})", found.static_output, found.static_input),
            ("along the motion", found.motion_output, found.motion_input),
        ):
            if math.isfinite(made):
                manners.say(
                    f"change between frames, {share}: {made:.2f} levels of 255, "
                    f"of the input {given:.2f}"
                )
        return
    there = f", {report.there} were there" if report.there and skip_existing else ""
    left = f", {len(report.skipped)} left out" if report.skipped else ""
    count = "1 picture" if len(report.written) == 1 else f"{len(report.written)} pictures"
    size = sum(path.stat().st_size for path in report.written) / 1e6
    manners.say(f"wrote {count} ({size:,.1f} MB) to {report.output} in {took}{there}{left}")
