"""`phasegan prepare`."""

from __future__ import annotations

import math
from typing import Any

import click

from phasegan.cli.common import Manners, common_options
from phasegan.errors import InputError
from phasegan.progress import format_duration

_PHASES = [
    "size",
    "channels",
    "oversample",
    "samples",
    "test",
    "phase_dtype",
    "phase_noise",
    "phase_bits",
    "images",
    "add",
    "shards",
    "shard",
    "scheduler",
]
_PAIRS = ["domain_a", "domain_b", "load", "alpha"]
"""Options that belong to one kind of file alone."""


@click.command("prepare")
@click.argument("source", required=False)
@click.option(
    "-o", "--output", type=click.Path(), help="The HDF5 file.  [default: <name of SOURCE>.h5]"
)
@click.option(
    "--size", type=click.IntRange(2, 8192), help="N, pixels along a side.  [default: 128]"
)
@click.option(
    "--channels",
    type=click.Choice(["gray", "rgb"]),
    help="gray is rec. 601 luma, as Pillow's L.  [default: gray]",
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "stretch", "short-side", "none"]),
    help="Phases: crop, the centred square; pad, whole on black; stretch, distorted.  "
    "[default: crop]  Domains: stretch, both sides to --load; short-side; none.  "
    "[default: stretch]",
)
@click.option(
    "--oversample",
    type=click.FloatRange(1, 4),
    help="M/N, zero-padding before the transform; N·M/N must be an integer.  [default: 1]",
)
@click.option("--samples", type=click.IntRange(1), help="Training samples.  [default: all]")
@click.option(
    "--test",
    type=click.IntRange(0),
    help="Test samples.  [default: all of test/, or a tenth of an unsplit folder]",
)
@click.option(
    "--phase-dtype",
    type=click.Choice(["uint16", "float16", "float32"]),
    help="How phases are kept; uint16 is 2πk/65536.  [default: uint16]",
)
@click.option(
    "--phase-noise",
    type=click.FloatRange(0, math.pi),
    metavar="SIGMA",
    help="Gaussian noise on the phases, rad, 0 to π, seeded by --seed.  [default: 0]",
)
@click.option(
    "--phase-bits",
    type=click.IntRange(1, 16),
    metavar="B",
    help="Round phases to 2πk/2^B, 1 to 16, after the noise.  [default: not rounded]",
)
@click.option(
    "--with-images/--without-images",
    "images",
    default=None,
    help="Keep the images beside the phases, or phases alone.  [default: with]",
)
@click.option(
    "--domain-a", type=click.Path(), metavar="DIR", help="Pictures of domain A, without SOURCE."
)
@click.option(
    "--domain-b", type=click.Path(), metavar="DIR", help="Pictures of domain B, without SOURCE."
)
@click.option(
    "--load",
    type=click.IntRange(8, 16384),
    help="Domains: pixels that training pictures are brought to.  [default: 286]",
)
@click.option(
    "--alpha",
    type=click.Choice(["drop", "keep"]),
    help="Domains: what becomes of alpha.  [default: drop]",
)
@click.option(
    "--add",
    is_flag=True,
    default=None,
    help="Add to OUTPUT the pictures that it does not hold yet.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 9999),
    metavar="K",
    help="Write K files, and OUTPUT as one small file through which they are read as one.",
)
@click.option(
    "--shard",
    type=click.IntRange(0),
    metavar="I",
    help="Make only this one of them, 0 to K−1: for the jobs of an array.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="tcp://…: have the workers of a dask cluster make the shards.",
)
@click.option("--workers", type=click.IntRange(1), help="Decoding processes.  [default: --threads]")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted preparation, and never throw one away.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that holds something else.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@common_options(heavy=False)
def command(
    manners: Manners, source: str | None, output: str | None, workers: int | None, **options: Any
) -> None:
    """Turn images into phase-only spectra, or two domains of pictures into one file.

    SOURCE is a folder of pictures (its train/ and test/ are kept as the split),
    or the name or path of a recipe; without it, `builtin`: crops of the
    photographs inside scikit-image.

    Where SOURCE holds trainA and trainB, or with --domain-a and --domain-b, the
    file holds the pictures of both domains, ready for `phasegan train FILE`.
    """
    from phasegan.data.domain_folders import is_pair_folder

    options["workers"] = workers or manners.threads
    options["progress"] = manners.progress
    if is_pair_folder(source) or options["domain_a"] or options["domain_b"]:
        _refuse(
            options,
            _PHASES,
            "phase spectra, and these are two domains of pictures; for the phases of one of them, "
            "name its folder",
        )
        _domains(manners, source, output, options)
    else:
        _refuse(
            options,
            _PAIRS,
            "two domains of pictures: a folder with trainA and trainB, or --domain-a DIR "
            "--domain-b DIR",
        )
        _phases(manners, source, output, options)


def _refuse(options: dict[str, Any], names: list[str], owner: str) -> None:
    """Take options away that belong to another kind of file; complain where one is given."""
    for name in names:
        if options.pop(name) is not None:
            shown = "with-images/--without-images" if name == "images" else name.replace("_", "-")
            raise InputError(f"--{shown} belongs to {owner}")


def _domains(
    manners: Manners, source: str | None, output: str | None, options: dict[str, Any]
) -> None:
    from phasegan.data.prepare.pairs.api import prepare_domains

    report = prepare_domains(source, output, **options)
    if report.resumed:
        manners.say(f"continued after {report.resumed} pictures that were done already")
    groups = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    sizes = "" if report.fit == "none" else f" {report.load}"
    said = f"{groups} pictures, {report.fit}{sizes}"
    if report.kinds is not None:
        said += f"; A {report.kinds[0].describe()}; B {report.kinds[1].describe()}"
    if options["dry_run"]:
        manners.say(f"would write {report.path}: {said}")
    elif not report.written:
        manners.say(f"{report.path} is there already: {said}")
    else:
        manners.say(f"wrote {report.path}: {said}, in {format_duration(report.seconds)}")
        manners.say(f"train on it: phasegan train {report.path}")
    _warn_of_shared(manners, report.shared)


def _warn_of_shared(manners: Manners, shared: int) -> None:
    if shared:
        manners.progress.warn(
            f"{shared} test samples are files that also stand in the training split; "
            "scores on them mean less"
        )


def _phases(
    manners: Manners, source: str | None, output: str | None, options: dict[str, Any]
) -> None:
    from phasegan.data.prepare.api import prepare

    dry_run = options["dry_run"]
    options["add"] = bool(options["add"])
    report = prepare(source, output, seed=manners.seed, **options)
    if report.resumed:
        manners.say(f"continued after {report.resumed} pictures that were done already")
    counts = f"{report.train} train + {report.test} test samples, {report.layout.describe()}"
    there, total = report.shards or (0, 0)
    if dry_run:
        size_mb = (report.train + report.test) * report.layout.sample_bytes / 1e6
        cut = f" in {total} shards" if total else ""
        manners.say(f"would write {report.path}: {counts}, about {size_mb:,.1f} MB{cut}")
    elif options["add"] and not report.written:
        manners.say(f"{report.path} holds all of these pictures already: {counts}")
    elif not report.written:
        manners.say(f"{report.path} is there already: {counts}")
    else:
        manners.say(f"wrote {report.path}: {counts}, in {format_duration(report.seconds)}")
    if report.added is not None:
        train, test = report.added
        manners.say(f"added {train} train + {test} test samples; {report.known} were there already")
    if there < total and not dry_run:
        manners.say(
            f"{there} of {total} shards are there; the job that makes the last one joins them"
        )
    elif total and not dry_run:
        manners.say(f"joined from {total} shards, which belong beside it")
    if report.skipped:
        manners.say(f"skipped {len(report.skipped)} pictures, each named above with its reason")
    if report.ignored:
        manners.say(f"ignored {report.ignored} files that are not pictures by their name")
    _warn_of_shared(manners, report.shared)
    layout = report.layout
    if layout.bits == 16 and layout.phase_dtype != "float32" and not layout.degraded:
        manners.progress.warn(
            f"16-bit pictures are finer than {layout.phase_dtype} phases can carry; "
            "--phase-dtype float32 keeps them exactly"
        )
