"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

import phasegan
from phasegan.cli import main

settings.register_profile("phasegan", derandomize=True, deadline=None)
settings.load_profile("phasegan")
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared file of 6 + 3 crops at 32×32, unpadded; read only."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.h5"
    phasegan.prepare("builtin", path, size=32, samples=6, test=3)
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the preset paper on `tiny`; read only."""
    path = tmp_path_factory.mktemp("run") / "run"
    phasegan.train(
        tiny, path, preset="paper", epochs=1, samples=3, base_channels=2, blocks=1, device="cpu"
    )
    return path


@pytest.fixture
def pictures(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A folder of twelve grey pictures of 40×48 pixels, in two subfolders."""
    folder = tmp_path / "pictures"
    for i in range(12):
        sub = folder / ("a" if i % 2 else "b")
        sub.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(sub / f"{i:02d}.png")
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def wide_profile() -> bytes:
    """An ICC profile of RGB that is not sRGB: red and blue stand in one another's place."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 1], profile[blue : blue + 1] = b"b", b"r"
    return bytes(profile)


@pytest.fixture
def run_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run a command in this process, in an empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        status = main([str(a) for a in arguments])
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


def _take_interrupts() -> None:
    """Undo what shells do to jobs in the background: SIGINT is ignored, in their children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start_cli(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, cwd: Path = tmp_path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "phasegan", *map(str, arguments)],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            preexec_fn=_take_interrupts if os.name == "posix" else None,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs."""
    name = os.environ.get("PHASEGAN_TEST_DATA")
    if not name or not Path(name).is_dir():
        pytest.skip("PHASEGAN_TEST_DATA names no folder of photographs")
    return Path(name)
