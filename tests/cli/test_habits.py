"""Options of pytorch-CycleGAN-and-pix2pix on our command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phasegan.cli.train import command as train_command
from phasegan.cli.translate import command as translate_command
from phasegan.config.options.foreign import FOREIGN
from phasegan.config.options.habits import HABITS, translate_words
from phasegan.errors import InputError
from tests.training.pairs import make_pair

BASE = [
    "dataroot",
    "name",
    "gpu_ids",
    "checkpoints_dir",
    "model",
    "input_nc",
    "output_nc",
    "ngf",
    "ndf",
    "netD",
    "netG",
    "n_layers_D",
    "norm",
    "init_type",
    "init_gain",
    "no_dropout",
    "dataset_mode",
    "direction",
    "serial_batches",
    "num_threads",
    "batch_size",
    "load_size",
    "crop_size",
    "max_dataset_size",
    "preprocess",
    "no_flip",
    "display_winsize",
    "epoch",
    "load_iter",
    "verbose",
    "suffix",
    "use_wandb",
    "wandb_project_name",
]
TRAIN = [
    "display_freq",
    "display_ncols",
    "display_id",
    "display_server",
    "display_env",
    "display_port",
    "update_html_freq",
    "print_freq",
    "no_html",
    "save_latest_freq",
    "save_epoch_freq",
    "save_by_iter",
    "continue_train",
    "epoch_count",
    "phase",
    "n_epochs",
    "n_epochs_decay",
    "beta1",
    "lr",
    "gan_mode",
    "pool_size",
    "lr_policy",
    "lr_decay_iters",
    "lambda_A",
    "lambda_B",
    "lambda_identity",
    "lambda_L1",
    "niter",
    "niter_decay",
]
TEST = ["results_dir", "aspect_ratio", "phase", "eval", "num_test", "model_suffix"]
COMMANDS = {"train": train_command, "translate": translate_command}


def own(command):
    return frozenset(
        flag for p in COMMANDS[command].params for flag in (*p.opts, *p.secondary_opts)
    )


def words(command, *typed, notes=None):
    note = (lambda text: None) if notes is None else notes.append
    return translate_words(command, [str(word) for word in typed], own(command), note)


@pytest.mark.parametrize(
    ("command", "name"),
    [("train", n) for n in [*BASE, *TRAIN]]
    + [("translate", n) for n in [*BASE, *TEST] if n != "max_dataset_size"],
)
def test_every_option_is_ours_or_has_a_counterpart_or_a_line(command, name):
    flags = own(command)
    habit = HABITS[command].get(name)
    if habit is None:
        assert (
            {f"--{name}", f"--{name.replace('_', '-')}"} & flags
            or name in FOREIGN
            or name
            in (
                "niter",
                "niter_decay",
            )
        )
        return
    spelled = [f"--{name}"] if habit.switch else [f"--{name}", "quaint"]
    extra = [] if name == "name" else ["--name", "x"]
    notes = []
    if callable(habit.same) or (habit.switch and "" in habit.same):
        if name in ("n_epochs", "n_epochs_decay"):
            with pytest.raises(InputError, match="whole numbers"):
                words(command, *spelled, *extra)
            return
        result = words(command, *spelled, *extra)
        assert all(not w.startswith("--") or w in flags for w in result)
        return
    for value, ours in habit.same.items():
        if not habit.switch:
            assert words(command, f"--{name}={value}") == ours
        assert all(not w.startswith("--") or w in flags for w in ours)
    if habit.ignored:
        assert words(command, *spelled, notes=notes) == []
        assert "has no effect: " in notes[0]
    elif f"--{name}" in flags:
        assert words(command, *spelled) == spelled  # ours, for click to check
    else:
        with pytest.raises(InputError, match=r"has no counterpart here: \w"):
            words(command, *spelled)


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("--dataroot ./d --name x --model cycle_gan", "-o runs/x ./d"),
        ("--dataroot d --name x --checkpoints_dir c --suffix s", "-o c/x_s d"),
        ("d --continue_train --name=x", "d --resume -o runs/x"),
        ("d --n_epochs 50 --n_epochs_decay 50", "d --epochs 100"),
        ("d --niter=100", "d --epochs 200"),
        ("d --gpu_ids -1 --lr_policy linear", "d --device cpu"),
        ("d --gpu-ids 0 --preprocess crop --nThreads 2", "d --device cuda --fit none --workers 2"),
        ("d --max_dataset_size 9 --no_dropout --lr 1e-4", "d --samples 9 --lr 1e-4"),
    ],
)
def test_train(typed, ours):
    assert words("train", *typed.split()) == ours.split()


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        (
            "--dataroot d/testA --name x --model test --no_dropout --results_dir r",
            "checkpoints/x d/testA -o r/x",
        ),
        (
            "run in -o out --direction BtoA --eval",
            "run in -o out --direction b2a --batch-norm running",
        ),
        (
            "run in -o out --direction b2a --model_suffix _A",
            "run in -o out --direction b2a --direction a2b",
        ),
        ("run in -- --name", "run in -- --name"),
    ],
)
def test_translate(typed, ours):
    assert words("translate", *typed.split()) == ours.split()


def test_options_without_a_counterpart_are_one_line(run_cli, tmp_path):
    for command, typed, message in (
        ("train", ["--model", "pix2pix"], "only cycle_gan is trained"),
        ("train", ["--n_epochs", "50"], "give --epochs 150"),
        ("train", ["--direction", "BtoA"], "exchange A and B by --domain-a"),
        ("train", ["--checkpoints_dir", "c"], "needs --name"),
        ("translate", ["--num_test", "5"], "all pictures of INPUT"),
        ("test", ["--dataroot", "d"], "phasegan translate RUN INPUT -o OUT"),
    ):
        done = run_cli(command, *typed)
        assert done.status == 2
        assert message in done.err
        assert done.err.strip().count("\n") == 0


def test_the_usual_command_trains_and_translates(run_cli, tmp_path):
    pair = make_pair(tmp_path / "stripes2checks")
    small = ["--crop_size", 24, "--ngf", 2, "--ndf", 2, "--n_epochs", 1, "--n_epochs_decay", 1]
    done = run_cli("train", "--dataroot", pair, "--name", "x", "--model", "cycle_gan", *small)
    assert done.status == 0, done.err
    assert "× 2 epochs" in done.out
    done = run_cli(
        "translate", "--dataroot", pair / "testA", "--name", "x", "--checkpoints_dir", "runs",
        "--direction", "AtoB", "--results_dir", "results", "--print_freq", 5,
    )  # fmt: skip
    assert done.status == 2  # --print_freq is of train.py
    done = run_cli(
        "translate", "--dataroot", pair / "testA", "--name", "x", "--checkpoints_dir", "runs",
        "--direction", "AtoB", "--results_dir", "results", "--load_size", 286,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "--load_size 286 has no effect" in done.err
    assert "wrote 2 pictures" in done.out
    assert "to results/x in" in done.out


def test_the_page_lists_every_option():
    page = (Path(__file__).parents[2] / "docs" / "from-pytorch-CycleGAN-and-pix2pix.md").read_text()
    listed = set(re.findall(r"`--(\w+)", page))
    habits = {name for table in HABITS.values() for name in table}
    missing = {*BASE, *TRAIN, *TEST, *habits} - listed
    assert not missing
