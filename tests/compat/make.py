"""Make the fixtures of this folder with the package of this checkout.

    python tests/compat/make.py

The files say what folders and files an earlier version leaves, so they are made again
only when a format is changed on purpose. Left out of them is what later commands do
not read: figures, TensorBoard's files, checkpoints of finished runs. Commands are stopped
as in `benchmarks/same_as.py`.
"""

from __future__ import annotations

import runpy
import shutil
import signal
import tempfile
from pathlib import Path

from compat_inputs import (
    BENCH,
    CASE,
    FILES,
    FOLDER,
    PAIR,
    SHARDS,
    TRAININGS,
    write_pair,
    write_pictures,
)

ROOT = Path(__file__).parents[2]
LEFT_OUT = (
    "*.png",
    "*.webp",
    "*.html",
    "*.svg",
    "*.md",
    "*.tex",
    "*.csv",
    "tensorboard",
    "*.lock",
    "*.pid",
)


def make(work: Path) -> None:
    """Make everything in an empty folder."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "same_as.py"))
    stop, checkout = script["Stop"], script["Checkout"]("this one", ROOT)

    def run(arguments: tuple[str, ...], *when: object) -> None:
        checkout.run(arguments, work, stop(*when) if when else None)

    write_pictures(work / "pictures")
    write_pair(work / "pair")
    (work / "tiny.toml").write_text(CASE)
    run((*FOLDER, "-o", "plain.h5"))
    run((*PAIR, "-o", "pair.h5"))
    for name, arguments in TRAININGS.items():
        run((*arguments, "-o", f"finished-{name}"))
        half = (*arguments, "-o", f"half-{name}")
        run(half, r"named .*epoch-0001\.png$", 1, 1, signal.SIGINT)
        shutil.rmtree(work / f"finished-{name}" / "checkpoints")
    run((*FOLDER, "-o", "stopped.h5"), r"written .*journal$", 3)
    run((*PAIR, "-o", "stopped-pair.h5"), r"written .*journal$", 6)
    run((*SHARDS, "--shard", "0", "-o", "joined.h5"))
    run((*BENCH, "-o", "bench"), r"named .*runs/paper.*epoch-0001\.png$", 2, 0, signal.SIGINT)
    options = ("--direction", "a2b", "--device", "cpu", "--threads", "1")
    run(("export", "finished-translation", *options, "-o", "exported.onnx"))
    run(("export", "finished-translation", *options[2:], "-o", "exported"))


def main() -> None:
    """Replace the fixtures."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        make(work)
        for folder in (work / "pictures", work / "pair"):
            shutil.rmtree(folder)
        (work / "tiny.toml").unlink()
        for checkpoints in work.rglob("checkpoints"):
            for older in sorted(checkpoints.iterdir())[:-1]:
                older.unlink()
        for status in work.glob("bench/runs/*/status.json"):
            if '"finished"' in status.read_text():
                shutil.rmtree(status.parent / "checkpoints")
        shutil.rmtree(FILES, ignore_errors=True)
        shutil.copytree(work, FILES, ignore=shutil.ignore_patterns(*LEFT_OUT))


if __name__ == "__main__":
    main()
