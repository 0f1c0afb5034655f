"""Commands that are killed, or may not write, leave nothing half-written and go on."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from pathlib import Path

import disk_full
import kills
import pytest
from survival.attempts import Attempt, Ended, run
from survival.commands import make_commands
from survival.outputs import Broken, all_whole, whole
from survival.rows import read_rows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

FEW_EPOCHS = "3"


@pytest.mark.slow
def test_twenty_kills_and_nothing_is_lost(tmp_path):
    rows = tmp_path / "kills.json"
    words = ("--only", "prepare,train physics,bench", "--at-once", "1", "--epochs", FEW_EPOCHS)
    status = kills.main(["--kills", "20", "--seed", "1", "--json", str(rows), *words])
    found = read_rows(rows)
    assert [row["outcomes"] for row in found] == [{kills.SURVIVED: row["cases"]} for row in found]
    assert (sum(row["cases"] for row in found), status) == (20, 0)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return make_commands(tmp_path_factory.mktemp("commands") / "data", epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "train translation", "bench"])
def test_files_that_may_not_grow_are_one_line_and_the_command_goes_on(name, commands, tmp_path):
    command, output = commands[name], tmp_path / "out" / "output"
    output = output.with_name(command.output)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (disk_full.PAGE, disk_full.PAGE))

    ended = Attempt(command.line(output), tmp_path / "work", prepare=limit).ended()
    disk_full.check_failure(ended.status, ended.said, output, tmp_path / "tmp")
    run(command.line(output), tmp_path / "work")
    all_whole(output)
    assert command.finished(output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("pictures", ("reconstruct", "DATA/paper.h5", "--method", "zero")),
        ("estimates.h5", ("reconstruct", "DATA/paper.h5", "--method", "zero")),
        ("picture.jpg", ("translate", "RUN", "DATA/large.png")),
        ("picture.tif", ("translate", "RUN", "DATA/large.png")),
        ("picture.npy", ("translate", "RUN", "DATA/large.png")),
        ("film.mp4", ("translate", "RUN", "DATA/film.mp4")),
    ],
)
def test_results_that_may_not_grow_are_one_line(output, words, sources, tmp_path):
    if output.startswith("film"):
        pytest.importorskip("av")
    data, generator = sources
    line = [w.replace("DATA", str(data)).replace("RUN", str(generator)) for w in words]
    path = tmp_path / "out" / output

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    line += ["-o", str(path), "--device", "cpu", "--threads", "1", "-q"]
    ended = Attempt(line, tmp_path / "work", prepare=limit).ended()
    disk_full.check_failure(ended.status, ended.said, path)
    assert not path.exists()


@pytest.fixture(scope="module")
def sources(commands, tmp_path_factory):
    """A folder with a prepared file, a picture and a film, and a generator's weights."""
    import numpy as np
    from PIL import Image

    from phasegan.models.resnet import ResNetGenerator
    from phasegan.models.weights import save_weights

    folder = tmp_path_factory.mktemp("sources")
    noise = np.random.default_rng(3).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise[0]).save(folder / "large.png")
    save_weights(ResNetGenerator(3, 3, 2, 0), folder / "generator.safetensors")
    prepared = Path(commands["bench"].arguments[commands["bench"].arguments.index("--data") + 1])
    (folder / "paper.h5").write_bytes(prepared.read_bytes())
    _write_film(folder / "film.mp4", noise)
    return folder, folder / "generator.safetensors"


def _write_film(path, frames):
    try:
        import av
    except ImportError:
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


# --- what the benchmarks take for a failure ------------------------------------------


class Lossy(kills.Trial):
    """A trial of a command that loses something."""

    harm = staticmethod(lambda output: None)

    def _refer(self):
        self._seconds, self._reference = 0.01, {"out/set.h5": b"whole"}

    def _attempt(self, folder, output, number, moment):
        output.parent.mkdir(parents=True, exist_ok=True)
        (folder / "work").mkdir(exist_ok=True)
        type(self).harm(output)
        return Ended(-int(number), "", 0.01, True)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("set.h5", "half a file"), ("other.txt", "touched something else")],
)
def test_a_loss_is_counted(name, outcome, tmp_path, commands, monkeypatch):
    monkeypatch.setattr(
        Lossy, "harm", staticmethod(lambda output: output.with_name(name).write_text("half"))
    )
    trial = Lossy(commands["prepare"], 2, tmp_path / "trial", "0").run()
    assert trial.outcomes == Counter({outcome: 2})
    assert len(trial.failures) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (1, "Traceback (most recent call last):\nOSError: the disk is full"),
        (1, "phasegan: error: a file: the disk is full; make room"),
        (1, "phasegan: error: PATH: broken"),
        (2, "phasegan: error: PATH: the disk is full; make room"),
        (1, ""),
    ],
)
def test_an_unclear_end_is_told_from_a_clear_one(status, said, tmp_path):
    path = tmp_path / "run"
    disk_full.check_failure(1, f"phasegan: error: {path}: the disk is full; make room\n", path)
    with pytest.raises(Broken):
        disk_full.check_failure(status, said.replace("PATH", str(path)), path)


@pytest.mark.parametrize("name", ["a.json", "a.safetensors", "a.png", "a.npy", "a.svg", "a.html"])
def test_half_a_file_is_not_whole(name, tmp_path):
    (tmp_path / name).write_text('{"half": ')
    with pytest.raises(Broken, match=name):
        whole(tmp_path / name)
