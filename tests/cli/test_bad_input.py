"""Bad input on the command line: one line, status 2, nothing lost."""

from __future__ import annotations

import re
import sys

import pytest
import torch

ON_A_DEVICE = ("train", "reconstruct", "evaluate", "bench")


def test_json_is_never_written_over_something_else(run_cli, tiny, tmp_path):
    before = tiny.read_bytes()
    for path, message in (
        (tiny, "is not JSON"),
        (tmp_path, "not a file"),
        (tmp_path / "no" / "x.json", "there is no folder"),
    ):
        outcome = run_cli("evaluate", tiny, "--method", "zero", "--json", path)
        assert outcome.status == 2
        assert message in outcome.err
        assert outcome.out == ""
    assert tiny.read_bytes() == before


BAD = [
    (["prepare", "nowhere"], "nowhere: no such folder"),
    (["prepare", "--size", "1"], "--size"),
    (["prepare", "--oversample", "4.3"], "range 1<=x<=4"),
    (["prepare", "--size", "192x"], "192x128"),
    (["prepare", "--size", "192x1"], "at least 2"),
    (["prepare", "--channels", "hsv"], "hsv"),
    (["prepare", "--siez", "3"], "--siez"),
    (["train", "missing.h5"], "no such file"),
    (["train", "{tiny}", "--samples", "7"], "1 to 6 training samples"),
    (["train", "{tiny}", "--precision", "fp16", "--device", "cpu"], "fp16 needs a GPU"),
    (["train", "{text}"], "not an HDF5 file"),
    (["evaluate", "{tiny}", "--method", "magic"], "no such method"),
    (["evaluate", "{tiny}", "--run", "nowhere"], "no such run folder"),
    (["evaluate"], "give a prepared file, or a folder with two domains"),
    (["reconstruct", "{text}", "--method", "zero", "-o", "x"], "not an HDF5 file"),
    (["reconstruct", "{notes}", "--method", "zero", "-o", "x"], "no usable picture"),
    (["reconstruct", "nowhere", "--method", "zero", "-o", "x"], "no such file"),
    (["bench", "--samples", "3", "--data", "{tiny}"], "pair in order"),
    (["bench", "--case", "nope.toml"], "no such file"),
    (["bench", "--data", "missing.h5"], "no such file"),
    (["inspect", "nowhere"], "no such file or folder"),
    (["inspect", "{text}"], "not an HDF5 file"),
    (["dance"], "No such command 'dance'"),
    (["reconstruct", "{tiny}", "-o", "rec.png"], "PNG pictures and a contact sheet are written"),
    (["reconstruct", "{tiny}", "-o", "rec.H5"], "or one ending in .h5"),
    (["train", "{tiny}", "-o", "est.npy"], "weights, checkpoints and pictures of a run"),
    (["bench", "--data", "{tiny}", "-o", "rec.png"], "rows, tables, figures and a report"),
    (["atlas", "{tiny}", "-o", "est.npy"], "a map, its cells and figures"),
    (["prepare", "-o", "set.png"], "an HDF5 file is written there"),
    (["datasets", "fetch", "maps", "-o", "maps.zip"], "folders of pictures are written there"),
    (["evaluate", "{tiny}", "--json", "scores.png"], "JSON is written there"),
    (["evaluate", "{tiny}", "--json", "a.png", "--sheet", "./a.png"], "two outputs"),
    (["prepare", "\udce9"], "\\udce9: a name that is not UTF-8"),
    (["reconstruct", "{tiny}", "-o", "\udce9"], "\\udce9: a name that is not UTF-8"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else None
)
def test_bad_input_is_one_line_and_status_2(run_cli, tiny, tmp_path, arguments, message):
    text = tmp_path / "text.h5"
    text.write_text("hello")
    notes = tmp_path / "notes.png"
    notes.write_text("not a picture")
    filled = [a.format(tiny=tiny, text=text, notes=notes) for a in arguments]
    outcome = run_cli(*filled)
    assert outcome.status == 2
    assert re.fullmatch(r"(skipped.*\n|warning:.*\n)?phasegan: error: [^\n]+\n", outcome.err)
    assert message in outcome.err
    assert outcome.out == ""
    assert not [p for p in (tmp_path / "work").rglob("*") if p.is_file()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ON_A_DEVICE)
def test_a_gpu_that_is_not_there(run_cli, tiny, command):
    needs = {"reconstruct": [tiny, "-o", "x"], "evaluate": [tiny]}
    outcome = run_cli(command, *needs.get(command, []), "--device", "cuda")
    assert outcome.status == 2
    assert "finds no CUDA GPU" in outcome.err


def test_names_cannot_forge_lines_or_colours(run_cli, pictures):
    (pictures / "x\n\x1b[31mphasegan: error: fake.png").write_bytes(b"nonsense")
    outcome = run_cli("prepare", pictures, "--size", 16)
    assert outcome.status == 0
    assert "\x1b" not in outcome.err
    assert not any(line.startswith("phasegan: error") for line in outcome.err.splitlines())


def test_a_name_that_is_too_long_is_bad_input(run_cli, tiny):
    outcome = run_cli("inspect", "x" * 300)
    assert outcome.status == 2
    assert "File name too long" in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
def test_a_fifo_is_refused_and_not_waited_for(run_cli, tmp_path):
    import os

    os.mkfifo(tmp_path / "f.png")
    outcome = run_cli("reconstruct", tmp_path / "f.png", "--method", "zero", "-o", "x")
    assert outcome.status == 2
    assert "neither a regular file" in outcome.err


def test_options_that_would_be_ignored_are_refused(run_cli, tiny, tiny_run):
    prepared = run_cli("reconstruct", tiny, "--method", "zero", "--size", 16, "-o", "x")
    assert prepared.status == 2
    assert "--size" in prepared.err
    run = run_cli("reconstruct", tiny, "--run", tiny_run, "--statistics", tiny, "-o", "x")
    assert run.status == 2
    assert "--statistics" in run.err


def test_unexpected_errors_are_one_line_unless_verbose(run_cli, tiny, monkeypatch):
    def broken(*_, **__):
        raise KeyError("surprise")

    monkeypatch.setattr("phasegan.evaluation.evaluate.gather_statistics", broken)
    outcome = run_cli("evaluate", tiny)
    assert outcome.status == 1
    assert "unexpected KeyError" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in run_cli("evaluate", tiny, "-v").err


def test_a_full_disk_is_one_line(run_cli, pictures, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "x.h5")

    monkeypatch.setattr("phasegan.data.prepare.partial.PartialFile.write", full)
    outcome = run_cli("prepare", pictures, "--size", 16)
    assert outcome.status == 1
    assert "pictures.h5: " in outcome.err
    assert "with --resume" in outcome.err
