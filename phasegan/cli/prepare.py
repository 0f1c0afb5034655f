"""`phasegan prepare`."""

from __future__ import annotations

import math

import click

from phasegan.cli.common import Manners, common_options
from phasegan.progress import format_duration


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
    type=click.Choice(["crop", "pad", "stretch"]),
    help="Centred square, whole picture on black, or distorted.  [default: crop]",
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
@click.option("--workers", type=click.IntRange(1), help="Decoding threads.  [default: --threads]")
@click.option("--overwrite", is_flag=True, help="Replace a file that holds something else.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@common_options(heavy=False)
def command(
    manners: Manners,
    source: str | None,
    output: str | None,
    size: int | None,
    channels: str | None,
    fit: str | None,
    oversample: float | None,
    samples: int | None,
    test: int | None,
    phase_dtype: str | None,
    phase_noise: float | None,
    phase_bits: int | None,
    images: bool | None,
    workers: int | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Turn images into phase-only spectra in an HDF5 file.

    SOURCE is a folder of pictures (its train/ and test/ are kept as the split),
    or the name or path of a recipe; without it, `builtin`: crops of the
    photographs inside scikit-image.
    """
    from phasegan.store.prepare import prepare

    report = prepare(
        source,
        output,
        size=size,
        channels=channels,
        fit=fit,
        oversample=oversample,
        samples=samples,
        test=test,
        seed=manners.seed,
        phase_dtype=phase_dtype,
        phase_noise=phase_noise,
        phase_bits=phase_bits,
        images=images,
        workers=workers or manners.threads,
        overwrite=overwrite,
        dry_run=dry_run,
        progress=manners.progress,
    )
    counts = f"{report.train} train + {report.test} test samples, {report.layout.describe()}"
    if dry_run:
        size_mb = (report.train + report.test) * report.layout.sample_bytes / 1e6
        manners.say(f"would write {report.path}: {counts}, about {size_mb:,.1f} MB")
    elif not report.written:
        manners.say(f"{report.path} is there already: {counts}")
    else:
        manners.say(f"wrote {report.path}: {counts}, in {format_duration(report.seconds)}")
    if report.skipped:
        manners.say(f"skipped {len(report.skipped)} pictures, each named above with its reason")
    if report.ignored:
        manners.say(f"ignored {report.ignored} files that are not pictures by their name")
    if report.shared:
        manners.progress.warn(
            f"{report.shared} test samples are files that also stand in the training split; "
            "scores on them mean less"
        )
    layout = report.layout
    if layout.bits == 16 and layout.phase_dtype != "float32" and not layout.degraded:
        manners.progress.warn(
            f"16-bit pictures are finer than {layout.phase_dtype} phases can carry; "
            "--phase-dtype float32 keeps them exactly"
        )
