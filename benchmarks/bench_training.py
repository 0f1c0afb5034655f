"""Speed of training: phasegan's switches, one by one, against the common CycleGAN recipe.

    python benchmarks/bench_training.py [FILE.h5] [--preset physics] [--rounds 3] [-o DIR]

All modes run in one process by turns, so that a noisy machine is noisy for all of them;
ratios are to the reference of the same round. Printed, and written to DIR/table.md and
DIR/results.json: images per second, operations counted on the very steps, their share of
the machine's peak, idleness, memory. Without a file the photographs inside scikit-image
are cut into crops. `--steady` runs the fastest mode for minutes; `--whole` times a whole
training of `physics`.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from training_speed import report
from training_speed.gauges import hand_count
from training_speed.modes import (
    Mode,
    Reference,
    Runner,
    Steps,
    choose,
    configure,
    list_modes,
    obstacle,
)
from training_speed.recipe import sizes_of, write_pictures
from training_speed.session import LATE, Session
from training_speed.whole import PUBLISHED, read_amount, train_whole

import phasegan
from phasegan.config.run import PaperConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.devices import choose_device, set_threads
from phasegan.errors import InputError, PhaseganError
from phasegan.evaluation.provenance import provenance
from phasegan.io.atomic import write_json, write_text

PICTURES = 200
"""Samples of `paper`, by default: enough for the order to be random."""
INTERRUPTED = "interrupted"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("data", nargs="?", metavar="FILE.h5", help="a prepared file; unpadded for paper")
    add("--preset", choices=("paper", "physics"), default="paper")
    add("--networks", choices=("paper", "full", "small"), default="paper", help="paper = full")
    add("--base-channels", type=int, help="of paper: another width")
    add("--blocks", type=int, help="of paper: another depth")
    add("--size", type=int, help="N, without a file; 256 by default")
    add("--channels", choices=("gray", "rgb"), help="without a file; gray by default")
    add("--samples", type=int, help=f"{PICTURES} for paper, all for physics")
    add("--modes", help="a,b,c; all that this machine has by default")
    add("--batches", help="2,4 by default; 2,4,8,16,32 on a GPU; 16,32,64 there for physics")
    add("--compile", action="store_true", help="torch.compile too: takes minutes first")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, help="a window; 12 by default, 4 on a GPU; one step at least")
    add("--limit", type=float, metavar="MINUTES", help="begin nothing new after so long")
    add("--steady", type=float, metavar="MINUTES", help="then run the fastest mode for so long")
    add(
        "--whole",
        nargs="?",
        const=PUBLISHED,
        metavar="SAMPLESxEPOCHS",
        help=f"then time phasegan.train of physics; {PUBLISHED} by default, which needs a GPU",
    )
    add("--device", default="auto")
    add("--threads", type=int)
    add("-o", "--output", metavar="DIR", help="where results.json and table.md go")
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    options.command = shlex.join(["python", "benchmarks/bench_training.py", *words])
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    for name in ("rounds", "samples", "seconds", "limit", "steady", "size", "blocks"):
        value = getattr(options, name)
        if value is not None and not 0 < value < 1e6:
            raise InputError(f"--{name} {value}: must be positive")
    if options.data is not None and (options.size or options.channels):
        raise InputError("--size and --channels follow the file; leave them out")
    if options.preset == "physics" and (options.base_channels or options.blocks):
        raise InputError("--base-channels and --blocks belong to the preset paper")


def _batches(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise InputError(f"--batches {text}: expected whole numbers with commas between them")
    return tuple(int(part) for part in parts)


class Benchmark:
    """One measurement, from the options to the files.

    Parameters
    ----------
    options : argparse.Namespace
        From `parse`.
    file : PreparedFile
        Phases and images.
    folder : pathlib.Path
        A temporary one, for the reference's pictures and a training.
    """

    def __init__(self, options: argparse.Namespace, file: PreparedFile, folder: Path) -> None:
        self.options, self.file, self.folder = options, file, folder
        self.device = choose_device(options.device)
        gpu, paper = self.device.type == "cuda", options.preset == "paper"
        usual = ("2,4,8,16,32" if paper else "16,32,64") if gpu else ("2,4" if paper else "16")
        batches = _batches(options.batches or usual)
        wanted = choose(list_modes(options.preset, self.device, batches), options.modes)
        rows = [report.Row(mode, obstacle(mode, self.device, options.compile)) for mode in wanted]
        self.amount = read_amount(options.whole, self.device)
        deadline = None if options.limit is None else time.monotonic() + 60 * options.limit
        seconds = options.seconds or (4.0 if gpu else 12.0)
        self.session = Session(
            rows, self._runner, self.device, options.rounds, seconds, batches, deadline
        )
        self.deadline = deadline
        self.config = self._configure(wanted[0])
        self.steady: dict[str, Any] | None = None
        self.whole: dict[str, Any] | None = None
        self.unfinished: str | None = "still measuring"
        self.complete, self.when = False, datetime.datetime.now(datetime.UTC)

    def _configure(self, mode: Mode) -> Any:
        options = self.options
        paper = options.preset == "paper"
        return configure(
            self.file,
            self.device,
            options.preset,
            mode,
            samples=options.samples or (PICTURES if paper else None),
            variant="small" if options.networks == "small" else "full",
            base_channels=options.base_channels,
            blocks=options.blocks,
        )

    def _runner(self, mode: Mode) -> Runner:
        if mode.execution is not None:
            return Steps(self._configure(mode), self.file, self.device, mode.execution)
        if not (self.folder / "trainA").exists():
            write_pictures(self.file, self.folder, self.config.data.samples)
        return Reference(self.config, self.folder, self.device)

    def run(self) -> int:
        """Measure everything; return the exit status."""
        session = self.session
        try:
            session.warm_up()
            session.measure(self.write)
            self._run_steady()
            self._run_whole()
        except KeyboardInterrupt:
            session.stopped = INTERRUPTED
        skipped = [row.mode.name for row in session.rows if row.missing == LATE]
        self.unfinished = f"no time for {', '.join(skipped)}" if skipped else None
        self.complete = session.stopped is None and not skipped
        self.write()
        print(report.table(self.document()))
        if session.stopped == INTERRUPTED:
            return 130
        return 0 if self.whole or any(row.windows for row in session.rows) else 1

    def _run_steady(self) -> None:
        row = report.fastest(self.session.rows)
        if self.options.steady and row is not None:
            self.steady = report.describe_steady(row, self.session.steady(row, self.options.steady))
            self.write()

    def _run_whole(self) -> None:
        if self.amount is None:
            return
        if self.session.late():
            self.whole = {"finished": False, "outcome": f"not begun: {LATE}"}
            return
        self.session.say(f"whole training of physics, {self.options.whole}")
        variant = "small" if self.options.networks == "small" else "full"
        options = {"variant": variant, "device": self.device.type}
        run = self.folder / "run"
        self.whole = train_whole(self.file.path, run, self.amount, self.deadline, **options)
        if not self.whole["finished"] and "failed" not in self.whole:
            late = self.deadline is not None and time.monotonic() >= self.deadline
            self.session.stopped = LATE if late else INTERRUPTED

    # --- what is written ------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return everything that was measured."""
        session, config = self.session, self.config
        over = report.standard(session.rows)
        paper = isinstance(config, PaperConfig)
        return {
            "command": self.options.command,
            "when": self.when.strftime("%Y-%m-%d %H:%M UTC"),
            "machine": provenance(),
            "device": self.device.type,
            "preset": config.preset,
            "networks": config.label,
            "data": {**config.data.model_dump(), "file": self.file.path.name},
            "options": {
                k: v for k, v in vars(self.options).items() if k not in ("output", "command")
            },
            "hand_tflop": hand_count(sizes_of(config)) / 1e12 if paper else None,
            "matrix_tflops": session.matrix,
            "ratio_to": None if over is None else over.mode.name,
            "rows": [
                report.describe_row(row, session.rows, self.device, session.matrix, session.stopped)
                for row in session.rows
            ],
            "steady": self.steady,
            "whole": self.whole,
            "complete": self.complete,
            "stopped": session.stopped,
            "unfinished": self.unfinished,
        }

    def write(self) -> None:
        """Write what there is, if a folder was named."""
        if self.options.output is None:
            return
        document, folder = self.document(), Path(self.options.output)
        write_json(folder / "results.json", document)
        write_text(folder / "table.md", report.table(document))


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(options: argparse.Namespace) -> int:
    """Prepare what is needed and measure; return the exit status."""
    set_threads(options.threads)
    if options.compile:  # the modes share the networks' code, and what is compiled of it
        torch._dynamo.config.recompile_limit = 64
    if options.output is not None:
        try:
            Path(options.output).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"-o {options.output}: {error.strerror}") from None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, torch.random.fork_rng():
        path, size = options.data, options.size or 256
        if path is None:
            path = Path(name) / "builtin.h5"
            count = options.samples or (PICTURES if options.preset == "paper" else 1000)
            channels = options.channels or "gray"
            phasegan.prepare("builtin", path, size=size, samples=count, test=1, channels=channels)
        with PreparedFile(path) as file:
            return Benchmark(options, file, Path(name)).run()


def main(arguments: list[str] | None = None) -> int:
    """Measure; return the exit status: 2 for bad input, 130 when interrupted."""
    try:
        return measure(parse(arguments))
    except PhaseganError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell ignores it
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
