"""`phasegan atlas`."""

from __future__ import annotations

import math
from typing import Any

import click

from phasegan.cli.common import Manners, common_options


@click.command("atlas")
@click.argument("data", metavar="[FILE.h5]", required=False)
@click.option("-o", "--output", type=click.Path(), help="A folder.  [default: atlas/<name>]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="Repeat for more.  [default: mean-magnitude, pocs-accelerated, cg, map, unless --run "
    "is given]",
)
@click.option("--run", "runs", multiple=True, type=click.Path(), help="A run; repeat for more.")
@click.option(
    "--oversample",
    "oversampling",
    multiple=True,
    type=click.FloatRange(1, 4),
    help="M/N; repeat.  [default: 1, 1.125, 1.25, 1.375, 1.5, 1.75, 2, 2.5]",
)
@click.option(
    "--phase-noise",
    "noise",
    multiple=True,
    type=click.FloatRange(0, math.pi),
    help="σ in radians; repeat.  [default: 0, 0.001, 0.01, 0.03, 0.1, 0.3, 1]",
)
@click.option(
    "--phase-bits",
    "bits",
    multiple=True,
    type=click.IntRange(1, 16),
    help="Repeat.  [default: 16, 12, 10, 8, 6, 4, unless --phase-noise is given]",
)
@click.option(
    "--images", type=click.IntRange(1), default=12, show_default=True, help="Test images."
)
@common_options(heavy=True)
def command(
    manners: Manners,
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
        seed=manners.seed or 0,
        device=manners.device,
        progress=manners.progress,
        **given,
    )
    wrong = sum(cell.certified_wrong for cell in found.cells)
    if wrong:
        manners.progress.warn(f"{wrong} certificates are wrong; please report this")
    again = f", {found.reused} of them kept from before" if found.reused else ""
    manners.say(f"measured {len(found.cells)} cells{again}: {found.path}/atlas.csv")
    manners.say(f"look at {found.path}/atlas.png")
