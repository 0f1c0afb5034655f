"""`phasegan atlas`."""

from __future__ import annotations

from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.benchmark import AtlasCommand


@option_command("atlas", AtlasCommand)
@click.argument("data", metavar="[FILE.h5]", required=False)
def command(
    common: CommonOptions,
    data: str | None,
    output: str | None,
    images: int,
    **sweeps: tuple[Any, ...],
) -> None:
    """Map where the phase determines the image.

    Sweeps oversampling × phase noise or bits × method over the test images of a
    prepared file (builtin.h5 by default), and draws the map: where
    reconstruction is exact, where it degrades, where a prior is needed. The
    same command goes on where an interrupted one was.
    """
    from phasegan.benchmark.atlas import atlas

    if bool(sweeps["noise"]) != bool(sweeps["bits"]):
        grid = {k: v for k, v in sweeps.items() if v} | {
            k: () for k in ("noise", "bits") if not sweeps[k]
        }
    else:
        grid = {k: v for k, v in sweeps.items() if v}
    result = atlas(
        data,
        output,
        images=images,
        seed=common.seed or 0,
        device=common.device,
        progress=common.progress,
        **grid,
    )
    wrong = sum(cell.certified_wrong for cell in result.cells)
    if wrong:
        common.progress.warn(f"{wrong} certificates are wrong; please report this")
    again = f", {result.reused} of them kept from before" if result.reused else ""
    common.say(f"measured {len(result.cells)} cells{again}: {result.path}/atlas.csv")
    common.say(f"look at {result.path}/atlas.png")
