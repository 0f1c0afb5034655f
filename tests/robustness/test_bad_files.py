"""Arrays, archives, weights, recipes, run folders and films that cannot be used."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys

import corpus_files as corpus
import numpy as np
import pytest
from PIL import Image

from phasegan.benchmark.results import measured_rows
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.io.atomic import read_json
from phasegan.models.weights import load_generator

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX's names and files"),
]

LINE = re.compile(r"(?:warning: [^\n]*\n)*phasegan: error: [^\n]+\n")
PHASES = corpus.bad_phases()


@pytest.mark.parametrize("name", PHASES)
def test_phases(run_cli, tmp_path, untouched, name):
    (tmp_path / name).write_bytes(PHASES[name])
    check = untouched(tmp_path)
    source = f"{tmp_path / name}::phase" if name.endswith(".h5") else tmp_path / name
    outcome = run_cli("reconstruct", source, "--method", "zero", "-o", "out")
    assert outcome.status == 2, outcome
    assert LINE.fullmatch(outcome.err), outcome.err
    assert name in outcome.err
    check()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5", ".toml", ".safetensors", ".pth",
                                    ".mp4", ".png"])  # fmt: skip
def test_pipes_of_every_name_are_not_waited_for(run_cli, generator, tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    pipe = tmp_path / f"pipe{suffix}"
    commands = [["reconstruct", pipe, "-o", "x"], ["translate", generator, pipe, "-o", "x.png"],
                ["translate", pipe, pipe, "-o", "x.png"], ["prepare", pipe], ["inspect", pipe],
                ["train", pipe], ["evaluate", pipe, "--method", "zero"],
                ["bench", "--case", pipe], ["datasets", "fetch", pipe]]  # fmt: skip
    for arguments in commands:
        outcome = run_cli(*arguments)
        assert outcome.status == 2, (arguments, outcome)
        assert LINE.fullmatch(outcome.err), outcome.err


@pytest.mark.parametrize("name", corpus.bad_archives())
def test_archives(run_cli, tmp_path, untouched, name):
    kind = name.rsplit(".", 1)[1]
    place = tmp_path / "place"
    place.mkdir()
    (place / f"pair.{kind}").write_bytes(corpus.bad_archives()[name])
    recipe = place / "pair.toml"
    recipe.write_text(
        f'name = "pair"\n[download]\nurl = "http://localhost:9/pair.{kind}"\narchive = "{kind}"\n'
        '[layout]\nA = "set/A"\nB = "set/B"\n',
        encoding="utf-8",
    )
    check = untouched(tmp_path)
    outcome = run_cli("datasets", "fetch", recipe, "-o", place / "pair")
    assert outcome.status == 2, outcome
    assert LINE.fullmatch(outcome.err), outcome.err
    check(place / f"pair.{kind}.sha256")  # of an archive without a known checksum
    assert not (place / "pair").exists()
    assert not os.path.lexists(corpus.OUTSIDE)


WEIGHTS = [*corpus.bad_weights(None, b"x" * 99)]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(run_cli, generator, tmp_path, untouched, name):
    trap = tmp_path / "sprung"
    (tmp_path / name).write_bytes(corpus.bad_weights(trap, generator.read_bytes())[name])
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    check = untouched(tmp_path)
    outcome = run_cli("translate", tmp_path / name, tmp_path / "a.png", "-o", "b.png")
    assert outcome.status == 2, outcome
    assert LINE.fullmatch(outcome.err), outcome.err
    assert name in outcome.err
    assert not trap.exists()
    check()
    if "bomb" in name or "object" in name:
        assert "could run code" in outcome.err


def test_the_trap_would_have_sprung(tmp_path):
    import pickle

    pickle.loads(corpus.bad_weights(tmp_path / "sprung", b"x" * 99)["pickle.pth"])
    assert (tmp_path / "sprung").is_dir()


def test_a_header_is_checked_like_the_tensors(generator):
    whole = generator.read_bytes()
    assert whole.count(b"reflect") == 1
    generator.write_bytes(whole.replace(b"reflect", b"reflecT"))
    with pytest.raises(InputError, match="header does not match its checksum"):
        load_generator(generator)


@pytest.mark.parametrize("name", corpus.BAD_RECIPES)
def test_recipes(run_cli, tmp_path, untouched, name):
    (tmp_path / name).write_bytes(corpus.BAD_RECIPES[name])
    check = untouched(tmp_path)
    for arguments in (["prepare"], ["datasets", "fetch"], ["bench", "--case"]):
        outcome = run_cli(*arguments, tmp_path / name)
        assert outcome.status == 2, (arguments, outcome)
        assert LINE.fullmatch(outcome.err), outcome.err
        assert len(outcome.err) < 1500
    check()


RUN_FILES = [(name, i) for name, all_ in corpus.BAD_RUN_FILES.items() for i in range(len(all_))]


@pytest.mark.parametrize(("name", "number"), RUN_FILES)
def test_files_of_a_run(run_cli, tiny, tiny_run, tmp_path, untouched, name, number):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / name).write_bytes(corpus.BAD_RUN_FILES[name][number])
    check = untouched(tmp_path)
    for arguments in (
        ["evaluate", tiny, "--run", run],
        ["reconstruct", tiny, "--run", run, "-o", "x"],
        ["inspect", run],
        ["train", tiny, "-o", run, "--resume", "--epochs", 1, "--samples", 3, "--preset", "paper"],
    ):
        outcome = run_cli(*arguments)
        if name == "status.json" and arguments[0] in ("train", "inspect") and not outcome.status:
            continue  # it is written again, or not looked at
        assert outcome.status == 2, (arguments, outcome)
        assert LINE.fullmatch(outcome.err), outcome.err
        check()


def test_damaged_checkpoints_are_not_trained_on(run_cli, tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (newest,) = list((run / "checkpoints").iterdir())[-1:]
    whole = newest.read_bytes()
    for damage in (b"", b"hello", whole[:-9], whole[:500], b"PK" + whole, bytes(len(whole))):
        for path in (run / "checkpoints").iterdir():
            path.write_bytes(damage)
        outcome = run_cli("train", tiny, "-o", run, "--resume", "--preset", "paper", "--epochs", 2,
                          "--samples", 3, "--base-channels", 2, "--blocks", 1, "-q")  # fmt: skip
        assert outcome.status == 2, outcome
        assert LINE.fullmatch(outcome.err), outcome.err


@pytest.mark.parametrize("data", corpus.BAD_LOSSES, ids=range(len(corpus.BAD_LOSSES)))
def test_lines_of_a_record_that_are_none_are_left_out(tmp_path, data):
    from phasegan.plotting.training import training_figure

    good = b'{"step": 3, "epoch": 1, "cycle_b": 0.5}\n'
    (tmp_path / "losses.jsonl").write_bytes(good + data + b"\n" + good.replace(b"3", b"4"))
    records = RunFolder(tmp_path).read_losses()
    assert [record["step"] for record in records] == [3, 4]
    training_figure(records, title="x")


@pytest.fixture(scope="module")
def film() -> bytes:
    """A film of a second."""
    av = pytest.importorskip("av")
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for i in range(5):
            pixels = np.full((48, 64, 3), 50 * i, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    return stream.getvalue()


@pytest.mark.parametrize("name", corpus.bad_films(b"x" * 99))
def test_films(run_cli, generator, film, tmp_path, untouched, name):
    (tmp_path / name).write_bytes(corpus.bad_films(film)[name])
    check = untouched(tmp_path)
    outcome = run_cli("translate", generator, tmp_path / name, "-o", "out.mp4")
    assert outcome.status == 2, outcome
    assert LINE.fullmatch(outcome.err), outcome.err
    check()


def test_a_film_of_too_many_pixels(run_cli, generator, film, tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(film)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)
    outcome = run_cli("translate", generator, tmp_path / "a.mp4", "-o", "out.mp4")
    assert outcome.status == 2
    assert "a.mp4: frame 1: larger than the limit of 3071 pixels" in outcome.err


@pytest.mark.parametrize("error", ["9" * 400, "null", '"x"', "[1]", "1e999", "NaN"])
def test_results_whose_errors_are_no_numbers(tmp_path, error):
    (tmp_path / "results.json").write_text(
        '{"format": 2, "data": {"digest": "0"}, "sources": {"test": ["a"]}, "rows": [{"method": '
        '"zero", "samples": null, "epochs": null, "seed": 0, "status": "ok", "per_image": '
        f'{{"mse": [{error}]}}}}]}}',
        encoding="utf-8",
    )
    document = read_json(tmp_path / "results.json")
    with pytest.raises(InputError, match=r"results: damaged \(row 1, zero: .*measure it again"):
        measured_rows(document, "results")
