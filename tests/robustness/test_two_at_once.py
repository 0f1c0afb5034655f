"""Two processes on one output: the second is told who writes, and is free once that one dies."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

LONG = 120.0
SMALL = ("--base-channels", 2, "--blocks", 1, "--device", "cpu", "--threads", 1)
COMMANDS = {
    "prepare": ("prepare", "PICTURES", "--size", 32, "-o", "OUT/set.h5", "--resume"),
    "domains": ("prepare", "PAIR", "--load", 32, "-o", "OUT/pair.h5"),
    "train": ("train", "FILE", "--preset", "paper", *SMALL, "-o", "OUT/run", "--resume"),
    "bench": (
        *("bench", "--data", "FILE", "--preset", "paper", "--samples", 3, "--epochs", 1),
        *("--method", "zero", *SMALL, "-o", "OUT/bench"),
    ),
    "reconstruct": (
        *("reconstruct", "FILE", "--method", "pocs", "--iterations", 2000, "--device", "cpu"),
        *("-o", "OUT/estimates.h5"),
    ),
    "translate": (
        *("translate", "GENERATOR", "PICTURES", "--device", "cpu", "-o", "OUT/translated"),
    ),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two hundred pictures, which are two domains too, and the weights of a generator."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(5)
    for part in ("trainA", "trainB"):
        (folder / "pair" / part).mkdir(parents=True)
        for i in range(100):
            pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pair" / part / f"{part[-1]}{i:02d}.png")
    save_weights(ResNetGenerator(3, 3, 8, 1), folder / "generator.safetensors")
    return folder


def wait_for_lock(process, folder: Path) -> None:
    """Stop a process while it holds a lock somewhere in a folder."""
    deadline = time.monotonic() + LONG
    while not any(path.stat().st_size for path in folder.rglob(".*lock.pid")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)  # it may still be inside of a system call


def state(folder: Path) -> dict[str, tuple[int, int]]:
    found = {str(path): path.stat() for path in sorted(folder.rglob("*"))}
    return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_the_second_is_told_who_writes_until_that_one_dies(
    command, sources, tiny, tmp_path, start_cli, run_cli
):
    out = tmp_path / "out"
    out.mkdir()
    places = {
        "PICTURES": sources / "pair" / "trainA",
        "PAIR": sources / "pair",
        "GENERATOR": sources / "generator.safetensors",
        "FILE": tiny,
        "OUT": out,
    }
    words = []
    for word in COMMANDS[command]:
        name, _, rest = str(word).partition("/")
        words.append(os.path.join(places[name], rest) if rest else places.get(name, word))
    first = start_cli(*words)
    wait_for_lock(first, out)
    before = state(out)
    second = run_cli(*words)
    assert second.status == 2, second
    assert second.err.count("\n") == 1
    assert f"is being written by process {first.pid}; wait for it" in second.err
    assert state(out) == before
    first.kill()
    first.wait(LONG)
    again = run_cli(*words, *(["--skip-existing"] if command == "translate" else []))
    assert again.status == 0, again
    assert list(out.rglob(".*")) == []


def test_a_finished_output_is_not_written_again_by_who_waited(sources, tmp_path, monkeypatch):
    """What appeared between the first look and the lock is not replaced."""
    import phasegan
    from phasegan.errors import InputError
    from phasegan.translation import api

    target, opened = tmp_path / "a.png", api.open_translator

    def slow(*arguments):
        target.write_bytes(b"of another process")
        return opened(*arguments)

    monkeypatch.setattr(api, "open_translator", slow)
    with pytest.raises(InputError, match="is there already"):
        phasegan.translate(
            sources / "generator.safetensors", sources / "pair/trainA/A00.png", target, device="cpu"
        )
    assert target.read_bytes() == b"of another process"
