"""The commands as a user meets them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

import phasegan

COMMANDS = ("prepare", "train", "reconstruct", "evaluate", "bench", "inspect")


def test_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "phasegan", "--help"], capture_output=True, text=True, check=True
    )
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from phasegan.cli import main; main(['--help']);"
        "print([m for m in ('torch', 'numpy', 'h5py', 'pydantic', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


WITHOUT = {
    "inspect": {"--device", "--threads", "--seed"},
    "prepare": {"--device"},
    "reconstruct": {"--seed"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_common_options_that_do_something(run_cli, command):
    outcome = run_cli(command, "--help")
    assert outcome.status == 0
    common = {"--device", "--threads", "--seed", "--quiet", "--verbose", "--config"}
    assert {option for option in common if option in outcome.out} == common - WITHOUT.get(
        command, set()
    )


def test_version(run_cli):
    assert run_cli("--version").out == f"phasegan, version {phasegan.__version__}\n"


def test_no_arguments_show_help(run_cli):
    outcome = run_cli()
    assert outcome.status == 0
    assert "Commands:" in outcome.out


def test_prepare_without_arguments_twice(run_cli, tmp_path):
    first, second = run_cli("prepare"), run_cli("prepare")
    assert first.status == second.status == 0
    assert "wrote builtin.h5: 200 train + 50 test samples" in first.out
    assert "builtin.h5 is there already" in second.out


def test_train_without_arguments_twice(run_cli, monkeypatch):
    monkeypatch.setattr("phasegan.config.resolve._sections.DEFAULT_EPOCHS", 1)
    monkeypatch.setattr("phasegan.config.resolve.phases.PHYSICS_VARIANTS", SMALLEST_PHYSICS)
    run_cli("prepare", "--size", 32, "--samples", 4, "--test", 2)
    first, second = run_cli("train"), run_cli("train")
    assert first.status == second.status == 0
    assert "runs/builtin-physics-small" in first.out
    assert "is finished already" in second.out


SMALLEST = {
    "full": {"base_channels": 64, "discriminator_channels": 64},
    "small": {"base_channels": 2, "blocks": 1, "discriminator_channels": 2},
}
SMALLEST_PHYSICS = {
    "full": {"widths": (64, 64), "discriminator_channels": 64},
    "small": {"widths": (4, 4), "discriminator_channels": 2},
}


def test_bench_without_arguments_twice(run_cli, monkeypatch, tmp_path):
    monkeypatch.setattr("phasegan.config.resolve.phases.VARIANTS", SMALLEST)
    monkeypatch.setattr("phasegan.config.resolve.phases.PHYSICS_VARIANTS", SMALLEST_PHYSICS)
    monkeypatch.setattr("phasegan.benchmark.plan.PUBLISHED", str(tmp_path / "c.toml"))
    (tmp_path / "c.toml").write_text("name='c'\n[[pairs]]\nsamples=2\nepochs=1\n")
    run_cli("prepare", "--size", 32, "--samples", 4, "--test", 2)
    first, second = run_cli("bench"), run_cli("bench")
    assert first.status == second.status == 0
    assert "6 rows were there already" in second.out
    for label in ("paper-small  ", "physics-small  "):
        rows = [line for line in first.out.splitlines() if line.startswith(label)]
        assert len(rows) == 1
        assert rows[0] in second.out.splitlines()
    assert (tmp_path / "work" / "bench" / "builtin" / "results.json").is_file()


def test_evaluate_prints_a_table_and_writes_json(run_cli, tiny, tiny_run):
    outcome = run_cli(
        "evaluate",
        tiny,
        "--method",
        "zero",
        "--run",
        tiny_run,
        "--json",
        "out.json",
        "--device",
        "cpu",
    )
    assert outcome.status == 0
    names = [line.split()[0] for line in outcome.out.splitlines()[:3]]
    assert names == ["method", "zero", "paper-2ch-1b"]
    with open("out.json", encoding="utf-8") as stream:
        rows = json.load(stream)["rows"]
    assert [row["method"] for row in rows] == ["zero", "paper-2ch-1b"]
    assert f"{rows[0]['mse']:,.0f}" in outcome.out


def test_builtin_scores_say_that_they_are_a_smoke_test(run_cli, tiny):
    assert "smoke test" in run_cli("evaluate", tiny).out


def test_reconstruct_writes_pictures_and_refuses_to_overwrite(run_cli, tiny, tmp_path):
    first = run_cli("reconstruct", tiny, "--method", "mean-magnitude", "-o", "out")
    assert first.status == 0
    assert (tmp_path / "work" / "out" / "contact-sheet.png").is_file()
    again = run_cli("reconstruct", tiny, "--method", "zero", "-o", "out")
    assert again.status == 2
    assert "out is there already" in again.err
    assert run_cli("reconstruct", tiny, "--method", "zero", "-o", "out", "--overwrite").status == 0


def test_inspect_says_what_files_and_runs_are(run_cli, tiny, tiny_run):
    prepared = run_cli("inspect", tiny, "--verify")
    assert prepared.status == 0
    assert "6 training and 3 test images" in prepared.out
    assert "does not determine the image" in prepared.out
    assert "every checksum matches" in prepared.out
    run = run_cli("inspect", tiny_run, "--verify")
    assert "a run of paper-2ch-1b, finished (step 3 of 3)" in run.out
    for path, kind in ((tiny, "prepared file"), (tiny_run, "run")):
        facts = json.loads(run_cli("inspect", path, "--json").out)
        assert facts["kind"] == kind


def test_inspect_verify_exits_2_on_damage(run_cli, tiny, tiny_run, tmp_path):
    import shutil

    import h5py

    shutil.copy(tiny, tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5", "r+") as f:
        f["test/images"][0, 0, 0] ^= 1
    outcome = run_cli("inspect", tmp_path / "t.h5", "--verify")
    assert outcome.status == 2
    assert "test/images" in outcome.err
    shutil.copytree(tiny_run, tmp_path / "r")
    (tmp_path / "r" / "generator_ba.safetensors").unlink()
    outcome = run_cli("inspect", tmp_path / "r", "--verify")
    assert outcome.status == 2
    assert "generator_ba.safetensors" in outcome.err


def test_skipped_pictures_are_named_and_the_status_is_0(run_cli, pictures):
    (pictures / "broken.png").write_bytes(b"nonsense")
    outcome = run_cli("prepare", pictures, "--size", 16)
    assert outcome.status == 0
    assert "skipped broken.png: not a picture" in outcome.err
    assert "skipped 1 pictures" in outcome.out


def test_quiet_prints_nothing_but_results(run_cli, pictures, tiny):
    outcome = run_cli("prepare", pictures, "--size", 16, "-q")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    table = run_cli("evaluate", tiny, "--method", "zero", "-q")
    assert len(table.out.splitlines()) == 2


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_narrow_terminal_never_cuts_a_number(width, capsys, monkeypatch):
    from phasegan.tables import Column, Table, TableRow, print_table

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    columns = (
        Column("method", align="left"),
        Column("average MSE"),
        Column("± s.e.", optional=2),
        Column("training"),
        Column("estimated", optional=1),
    )
    cells = ["published (quoted)", "18,575", "1,234", "14 min 43 s", "16 min 05 s"]
    print_table(Table("Scores", columns, (TableRow(tuple(cells)),) * 2))
    out = capsys.readouterr().out
    assert "…" not in out
    kept = cells if width > 60 else [cells[0], cells[1], cells[3]]
    assert all(out.count(cell) == 2 for cell in kept)


def test_output_off_a_terminal_has_no_escapes(run_cli, tiny):
    outcome = run_cli("evaluate", tiny)
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_command_that_python_calls_leaves_the_handlers_of_signals_as_they_were(run_cli):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    assert run_cli("--version").status == 0
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_train_saves_and_resumes(tiny, tmp_path, start_cli, number, status):
    run = tmp_path / "run"
    sizes = ["--preset", "paper", "--base-channels", 2, "--blocks", 1]
    options = ["train", tiny, "-o", run, "--epochs", 400, *sizes]
    process = start_cli(*options)
    deadline = time.monotonic() + 300
    while not list((run / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == status
    assert "continue with --resume" in err
    assert "Traceback" not in err
    facts = json.loads((run / "status.json").read_text())
    assert facts["state"] == "interrupted"
    assert 0 < facts["step"] < 2400


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_prepare_is_continued(tmp_path, start_cli, number, status):
    folder = tmp_path / "work"
    folder.mkdir()
    arguments = ("prepare", "--samples", 9000, "--test", 1, "--size", 32)
    process = start_cli(*arguments, cwd=folder)
    journal = folder / ".builtin.h5.journal"
    deadline = time.monotonic() + 300
    while not _lines(journal) > 100 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == status
    assert err.count("\n") <= 2
    assert "Traceback" not in err
    assert "--resume" in err
    assert sorted(p.name for p in folder.iterdir()) == [".builtin.h5.journal", ".builtin.h5.part"]
    other = start_cli(*arguments, "--resume", "--seed", 1, cwd=folder)
    _, err = other.communicate(timeout=300)
    assert other.returncode == 2
    assert "an interrupted preparation is in the way" in err
    again = start_cli(*arguments, "--resume", cwd=folder)
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert "continued after" in out
    whole = start_cli(*arguments, "-o", "whole.h5", cwd=folder)
    whole.communicate(timeout=300)
    assert (folder / "builtin.h5").read_bytes() == (folder / "whole.h5").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["builtin.h5", "whole.h5"]


def _lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_shell_completion_is_offered():
    import os
    from pathlib import Path

    done = subprocess.run(
        [Path(sys.executable).with_name("phasegan")],
        env={**os.environ, "_PHASEGAN_COMPLETE": "bash_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "complete -o nosort" in done.stdout
