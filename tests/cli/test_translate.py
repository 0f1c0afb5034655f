"""`phasegan translate`."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights


@pytest.fixture
def generator(tmp_path):
    save_weights(ResNetGenerator(3, 3, 4, 1), tmp_path / "g.safetensors")
    return tmp_path / "g.safetensors"


@pytest.fixture
def picture(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (30, 41, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_picture(run_cli, generator, picture, tmp_path):
    target = tmp_path / "b.png"
    done = run_cli("translate", generator, picture, "-o", target)
    assert done.status == 0, done.err
    assert "wrote 1 picture" in done.out
    assert str(target) in done.out
    assert Image.open(target).size == (41, 30)
    again = run_cli("translate", generator, picture, "-o", target)
    assert again.status == 2
    assert "--overwrite" in again.err
    assert run_cli("translate", generator, picture, "-o", target, "--overwrite").status == 0


def test_a_folder_goes_on(run_cli, generator, picture, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    picture.rename(folder / "a.png")
    first = run_cli("translate", generator, folder, "-o", "out")
    assert first.status == 0, first.err
    then = run_cli("translate", generator, folder, "-o", "out", "--skip-existing")
    assert "wrote 0 pictures" in then.out
    assert "1 were there" in then.out


def test_a_film_reports_its_flicker(run_cli, generator, tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.height = video.width = 32
        for i in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90 + i, np.uint8), "rgb24")
            container.mux(video.encode(frame.reformat(format="yuv420p")))
        container.mux(video.encode())
    done = run_cli("translate", generator, tmp_path / "a.mp4", "-o", "b.mp4", "--steady", "0.5")
    assert done.status == 0, done.err
    assert "4 frames, 32×32" in done.out
    assert "change between frames, at rest" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--memory", "lots"], "memory"),
        (["--range", "3", "1"], "the second must be greater"),
        (["--steady", "0.5"], "--steady is for films"),
        (["--direction", "a2b"], "leave --direction out"),
        (["--padding", "zero"], "padding"),
    ],
)
def test_bad_options_are_one_line(run_cli, generator, picture, options, message):
    done = run_cli("translate", generator, picture, "-o", "b.png", *options)
    assert done.status == 2
    assert message in done.err
    assert done.err.strip().count("\n") == 0


def test_missing_files_are_named(run_cli, generator, picture, tmp_path):
    for arguments, name in (
        ((generator, tmp_path / "nothing.png"), "nothing.png"),
        ((tmp_path / "no-run", picture), "no-run"),
    ):
        done = run_cli("translate", *arguments, "-o", "b.png")
        assert done.status == 2
        assert name in done.err
