"""Pictures that are none: one line and exit 2 alone, a counted skip in a folder, never more."""

from __future__ import annotations

import os
import re
import sys

import corpus
import numpy as np
import pytest
from PIL import Image

from phasegan.data import domain_folders
from phasegan.data.domain_folders import FolderImages
from phasegan.data.folder_source import ImageFolder
from phasegan.data.images import tiff
from phasegan.data.images.decoding import quiet_decoders, read_full_depth
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.errors import InputError

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX's names and files"),
]

BAD = corpus.bad_pictures()
LINE = re.compile(r"(?:warning: [^\n]*\n|skipped [^\n]*\n)*phasegan: error: [^\n]+\n")


def test_the_reader_says_why_in_one_line(tmp_path):
    for name, data in BAD.items():
        (tmp_path / name).write_bytes(data)
        with quiet_decoders(), pytest.raises(UnreadableImageError) as caught:
            read_full_depth(tmp_path / name)
        assert re.fullmatch(r"[^\n]{4,300}", str(caught.value)), name


@pytest.mark.parametrize("name", [name for name in BAD if "bomb" in name])
def test_bombs_are_refused_for_what_they_claim(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    reason = "limit of|at most|promises"
    with quiet_decoders(), pytest.raises(UnreadableImageError, match=reason):
        read_full_depth(tmp_path / name)


@pytest.mark.parametrize("command", ["reconstruct", "translate"])
def test_one_picture_is_one_line_and_status_2(run_cli, generator, tmp_path, untouched, command):
    for name, data in BAD.items():
        (tmp_path / name).write_bytes(data)
    check = untouched(tmp_path)
    words, output = ["translate", generator], "out.png"
    if command == "reconstruct":
        words, output = ["reconstruct", "--method", "zero"], "out"
    for name in BAD:
        outcome = run_cli(*words, tmp_path / name, "-o", output)
        assert outcome.status == 2, (name, outcome)
        assert LINE.fullmatch(outcome.err), (name, outcome.err)
    check()


@pytest.fixture
def folder(tmp_path, rng):
    """A folder of everything bad, and five good pictures."""
    root = tmp_path / "all"
    root.mkdir()
    for name, data in BAD.items():
        (root / name).write_bytes(data)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(root / f"good-{i}.png")
    corpus.odd_things(root)
    return root


def test_a_folder_is_prepared_from_what_is_good(run_cli, folder, tmp_path, untouched):
    check = untouched(folder)
    outcome = run_cli("prepare", folder, "--size", 32, "--workers", 1, "-o", tmp_path / "set.h5")
    assert outcome.status == 0, outcome.err
    check()
    bad = [name for name in BAD if not name.endswith(".npy")]  # no pictures for prepare
    for name in bad:
        assert f"skipped {name}: " in outcome.err
    assert f"skipped {len(bad)} pictures" in outcome.out
    assert "Traceback" not in outcome.err
    import phasegan

    with phasegan.open(tmp_path / "set.h5") as file:
        names = {name.split("#")[0] for part in (file.train, file.test) for name in part.sources()}
    assert names == {f"good-{i}.png" for i in range(5)}


def test_a_folder_is_translated_as_far_as_it_is_good(
    run_cli, generator, folder, tmp_path, untouched
):
    check = untouched(folder)
    outcome = run_cli("translate", generator, folder, "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    check()
    assert {p.name for p in (tmp_path / "out").rglob("*.png")} == {
        f"good-{i}.png" for i in range(5)
    }
    for name in (*BAD, "pipe.png", "socket.png", "to-itself.png", "endless.png"):
        assert name in outcome.err
    assert "Traceback" not in outcome.err


def test_a_training_names_the_first_bad_picture(folder):
    part = domain_folders.ImageSubset(FolderImages(folder))
    with quiet_decoders(), pytest.raises(InputError, match=r"all/[\w.-]+: ."):
        for row in range(len(part)):
            part.read(row)


def test_a_wrong_suffix_does_not_matter(run_cli, tmp_path):
    for name, data in corpus.mislabelled().items():
        (tmp_path / name).write_bytes(data)
        assert read_full_depth(tmp_path / name).pixels.shape == (32, 32, 3)
        outcome = run_cli(
            "reconstruct", tmp_path / name, "--size", 32, "-o", f"of-{name.replace('.', '-')}"
        )
        assert outcome.status == 0, outcome.err


def test_names_of_all_kinds_go_through(run_cli, generator, tmp_path):
    root = tmp_path / "names"
    root.mkdir()
    count = 0
    for i, name in enumerate(corpus.odd_names()):
        data = corpus.picture("PNG", 32 + i)
        try:
            with open(os.path.join(os.fsencode(root), name), "wb") as stream:
                stream.write(data)
            count += 1
        except OSError:  # a file system that takes no such name
            continue
    done = run_cli("prepare", root, "--size", 32, "--workers", 1, "-o", "names.h5")
    assert done.status == 0, done.err
    assert "\x1b" not in done.out + done.err
    import phasegan

    with phasegan.open("names.h5") as file:
        assert len(file.train) + len(file.test) == count
    done = run_cli("translate", generator, root, "-o", "names-out")
    assert done.status == 0, done.err
    assert "\x1b" not in done.out + done.err
    assert sum(p.is_file() for p in (tmp_path / "work" / "names-out").rglob("*")) == count


def test_folders_may_be_deep_and_go_round(run_cli, tmp_path):
    root = tmp_path / "deep"
    place = root.joinpath(*["d"] * 300)
    place.mkdir(parents=True)
    for i in range(3):
        (place / f"{i}.png").write_bytes(corpus.picture("PNG"))
    (place / "round").symlink_to(root, target_is_directory=True)
    (root / "again.png").symlink_to(place / "0.png")
    assert len(FolderImages(root).names) == 4
    outcome = run_cli("prepare", root, "--size", 32, "--workers", 1, "-o", "deep.h5")
    assert outcome.status == 0, outcome.err


def test_pictures_that_vanish_or_change_are_skipped_or_named(tmp_path):
    names = ("gone", "pipe", "shrunk", "folder", "other")
    for name in names:
        (tmp_path / f"{name}.png").write_bytes(corpus.picture("PNG"))
    listed = FolderImages(tmp_path)
    for name in names:
        (tmp_path / f"{name}.png").unlink()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "shrunk.png").write_bytes(corpus.picture("PNG")[:100])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "other.png").write_bytes(corpus.picture("JPEG", 40))
    for row, name in enumerate(listed.names):
        if name == "other.png":
            assert listed.read(row).pixels.shape == (40, 40, 3)
        else:
            with pytest.raises(UnreadableImageError):
                listed.read(row)
            if name != "shrunk.png":
                with pytest.raises(UnreadableImageError):
                    listed.source_sha256(row)


def test_pictures_that_vanish_from_a_prepared_folder_are_skipped(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(corpus.picture("PNG"))
    source = ImageFolder(tmp_path)
    (tmp_path / "0.png").unlink()
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises((UnreadableImageError, OSError)):
        source.loader().load(source.job(0))


def test_a_strip_that_unpacks_to_more_than_a_picture_may_have(tmp_path, monkeypatch):
    import tifffile

    values = np.zeros((600, 600), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, compression="zlib", rowsperstrip=600)
    assert read_full_depth(tmp_path / "a.tif").pixels.shape == (600, 600, 1)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        for tag in ("ImageWidth", "ImageLength"):
            place = file.pages.first.tags[tag].valueoffset
            data[place : place + 2] = (8).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(bytes(data))
    monkeypatch.setattr(tiff, "MAX_IMAGE_BYTES", 1_000_000)
    with quiet_decoders(), pytest.raises(UnreadableImageError, match="a strip is larger"):
        read_full_depth(tmp_path / "a.tif")
