"""`phasegan prepare`."""

from __future__ import annotations

from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.data import PrepareCommand
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
    "limits",
    "add",
    "shards",
    "shard",
    "scheduler",
]
_PAIRS = ["domain_a", "domain_b", "load", "alpha"]
"""Options that belong to one kind of file alone."""


@option_command("prepare", PrepareCommand, heavy=False)
@click.argument("source", required=False)
def command(
    common: CommonOptions,
    source: str | None,
    output: str | None,
    workers: int | None,
    **options: Any,
) -> None:
    """Turn images into phase-only spectra, or two domains of pictures into one file.

    SOURCE is a folder of pictures (its train/ and test/ are kept as the split),
    or the name or path of a recipe; without it, `builtin`: crops of the
    photographs inside scikit-image.

    Where SOURCE holds trainA and trainB, or with --domain-a and --domain-b, the
    file holds the pictures of both domains, ready for `phasegan train FILE`.
    """
    from phasegan.data.domain_folders import is_pair_folder

    options["workers"] = workers or common.threads
    options["progress"] = common.progress
    if is_pair_folder(source) or options["domain_a"] or options["domain_b"]:
        _refuse(
            options,
            _PHASES,
            "phase spectra, and these are two domains of pictures; for the phases of one of them, "
            "name its folder",
        )
        _domains(common, source, output, options)
    else:
        _refuse(
            options,
            _PAIRS,
            "two domains of pictures: a folder with trainA and trainB, or --domain-a DIR "
            "--domain-b DIR",
        )
        _phases(common, source, output, options)


def _refuse(options: dict[str, Any], names: list[str], owner: str) -> None:
    """Take options away that belong to another kind of file; complain where one is given."""
    for name in names:
        if options.pop(name) is not None:
            spelled = {"images": "with-images/--without-images", "limits": "range"}
            shown = spelled.get(name, name.replace("_", "-"))
            raise InputError(f"--{shown} belongs to {owner}")


def _domains(
    common: CommonOptions, source: str | None, output: str | None, options: dict[str, Any]
) -> None:
    from phasegan.data.prepare.domains import prepare_domains

    report = prepare_domains(source, output, **options)
    if report.resumed:
        common.say(f"continued after {report.resumed} pictures that were done already")
    groups = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    sizes = "" if report.fit == "none" else f" {report.load}"
    said = f"{groups} pictures, {report.fit}{sizes}"
    if report.kinds is not None:
        said += f"; A {report.kinds[0].describe()}; B {report.kinds[1].describe()}"
    if options["dry_run"]:
        common.say(f"would write {report.path}: {said}")
    elif not report.written:
        common.say(f"{report.path} is there already: {said}")
    else:
        common.say(f"wrote {report.path}: {said}, in {format_duration(report.seconds)}")
        common.say(f"train on it: phasegan train {report.path}")
    _warn_of_shared(common, report.shared)


def _warn_of_shared(common: CommonOptions, shared: int) -> None:
    if shared:
        common.progress.warn(
            f"{shared} test samples are files that also stand in the training split; "
            "scores on them mean less"
        )


def _phases(
    common: CommonOptions, source: str | None, output: str | None, options: dict[str, Any]
) -> None:
    from phasegan.data.prepare.api import prepare

    dry_run = options["dry_run"]
    options["add"] = bool(options["add"])
    report = prepare(source, output, seed=common.seed, **options)
    if report.resumed:
        common.say(f"continued after {report.resumed} pictures that were done already")
    counts = f"{report.train} train + {report.test} test samples, {report.layout.describe()}"
    there, total = report.shards or (0, 0)
    if dry_run:
        size_mb = (report.train + report.test) * report.layout.sample_bytes / 1e6
        cut = f" in {total} shards" if total else ""
        common.say(f"would write {report.path}: {counts}, about {size_mb:,.1f} MB{cut}")
    elif options["add"] and not report.written:
        common.say(f"{report.path} holds all of these pictures already: {counts}")
    elif not report.written:
        common.say(f"{report.path} is there already: {counts}")
    else:
        common.say(f"wrote {report.path}: {counts}, in {format_duration(report.seconds)}")
    if report.added is not None:
        train, test = report.added
        common.say(f"added {train} train + {test} test samples; {report.known} were there already")
    if there < total and not dry_run:
        common.say(
            f"{there} of {total} shards are there; the job that makes the last one joins them"
        )
    elif total and not dry_run:
        common.say(f"joined from {total} shards, which belong beside it")
    if report.skipped:
        common.say(f"skipped {len(report.skipped)} pictures, each named above with its reason")
    if report.ignored:
        common.say(f"ignored {report.ignored} files that are not pictures by their name")
    _warn_of_shared(common, report.shared)
    layout = report.layout
    if layout.bits == 16 and layout.phase_dtype != "float32" and not layout.degraded:
        common.progress.warn(
            f"16-bit pictures are finer than {layout.phase_dtype} phases can carry; "
            "--phase-dtype float32 keeps them exactly"
        )
