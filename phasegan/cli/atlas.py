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
        given = {k: v for k, v in sweeps.items() if v} | {
            k: () for k in ("noise", "bits") if not sweeps[k]
        }
    else:
        given = {k: v for k, v in sweeps.items() if v}
    found = atlas(
        data,
        output,
        images=images,
        seed=common.seed or 0,
        device=common.device,
        progress=common.progress,
        **given,
    )
    wrong = sum(cell.certified_wrong for cell in found.cells)
    if wrong:
        common.progress.warn(f"{wrong} certificates are wrong; please report this")
    again = f", {found.reused} of them kept from before" if found.reused else ""
    common.say(f"measured {len(found.cells)} cells{again}: {found.path}/atlas.csv")
    common.say(f"look at {found.path}/atlas.png")
