"""The commands that are tried, tiny, and the data that they are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import phasegan

PICTURES = 300
"""Pictures that are prepared."""
SIDE = 64
_SMALL = ("--batch-size", "2", "--pool-size", "2", "--discriminator-channels", "2")
_PRESETS: dict[str, tuple[str, ...]] = {
    "physics": ("--widths", "4,4", "--encodings", "mean,white", "--precision", "32"),
    "paper": ("--base-channels", "2", "--blocks", "1"),
    "translation": (
        *("--size", "24", "--generator", "resnet", "--base-channels", "2", "--blocks", "0"),
        *("--ema-decay", "0.9", "--augment", "colour,shift,cutout"),
    ),
}
_CASE = """name = "tiny"
presets = ["physics", "paper"]
variant = "small"
methods = ["zero", "mean-magnitude"]
pairs = [{samples = 4, epochs = 2}]
"""


@dataclass(frozen=True)
class Command:
    """One command, which can be run again until it has finished."""

    name: str
    output: str
    """Its name in whatever folder."""
    arguments: tuple[str, ...]
    """Without the output."""
    finished: Callable[[Path], bool]
    """Tells from the output whether hardly anything is left to do."""
    foresees: bool = False
    """Whether it refuses to begin what does not fit on the disk."""

    def line(self, output: Path) -> list[str]:
        """Return the arguments of phasegan that begin or continue an output."""
        return [*self.arguments, "-o", str(output)]


def _run_finished(output: Path) -> bool:
    try:
        return bool(json.loads((output / "status.json").read_text())["state"] == "finished")
    except (OSError, ValueError):
        return False


def make_commands(folder: Path, epochs: int = 20) -> dict[str, Command]:
    """Write the data that the commands read; return the commands by name.

    Parameters
    ----------
    folder : pathlib.Path
        A new one, which nothing else is written to afterwards.
    epochs : int
        Of the trainings.
    """
    _write_pictures(folder / "pictures", PICTURES, SIDE)
    for domain, count in (("trainA", 5), ("trainB", 3), ("testA", 2), ("testB", 2)):
        _write_pictures(folder / "pair" / domain, count, 30, colours=3)
    for domain, count in (("trainA", PICTURES // 2), ("trainB", PICTURES // 2), ("testA", 20)):
        _write_pictures(folder / "domains" / domain, count, SIDE, colours=3)
    crops = {"size": 32, "samples": 6, "test": 3}
    phasegan.prepare("builtin", folder / "paper.h5", **crops)
    noisy = {"oversample": 1.5, "phase_noise": 0.2, "phase_bits": 8}
    phasegan.prepare("builtin", folder / "physics.h5", **crops, **noisy)
    (folder / "tiny.toml").write_text(_CASE)

    alone = ("--threads", "1", "-q")
    made = [
        Command(
            "prepare",
            "set.h5",
            ("prepare", str(folder / "pictures"), "--size", str(SIDE), "--resume", *alone),
            lambda output: output.exists(),
            foresees=True,
        ),
        Command(
            "prepare domains",
            "domains.h5",
            ("prepare", str(folder / "domains"), "--load", str(SIDE), "--resume", *alone),
            lambda output: output.exists(),
            foresees=True,
        ),
    ]
    alone = ("--device", "cpu", *alone)
    data = {"physics": "physics.h5", "paper": "paper.h5", "translation": "pair"}
    for preset, options in _PRESETS.items():
        source, length = str(folder / data[preset]), ("--epochs", str(epochs))
        arguments = ("train", source, "--preset", preset, *length, *options, *_SMALL, "--resume")
        made.append(Command(f"train {preset}", "run", (*arguments, *alone), _run_finished))
    case = ("bench", "--case", str(folder / "tiny.toml"), "--data", str(folder / "paper.h5"))
    sizes = ("--base-channels", "2", "--blocks", "1", "--widths", "4,4", "--precision", "32")
    made.append(
        Command(
            "bench",
            "results",
            (*case, *sizes, *alone),
            lambda output: (output / "report.html").exists(),
        )
    )
    return {command.name: command for command in made}


def choose(commands: dict[str, Command], names: str | None) -> list[Command]:
    """Return the commands whose names begin with one of `a,b,…`; all for None."""
    wanted: Sequence[str] = ("",) if names is None else names.split(",")
    return [c for c in commands.values() if c.name.startswith(tuple(wanted))]


def _write_pictures(folder: Path, count: int, side: int, colours: int = 1) -> None:
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side + 6, colours), dtype=np.uint8)
        image = Image.fromarray(pixels[..., 0] if colours == 1 else pixels)
        image.save(folder / f"{number:03d}.png")
