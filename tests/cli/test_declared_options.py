"""Options: one declaration, from the command line, a file and Python; help, aliases, old names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import click
import numpy as np
import pytest

import phasegan
from phasegan.cli.options import DeclaredOption
from phasegan.config.options.commands import COMMANDS
from phasegan.config.options.file import options_file, read_options
from phasegan.config.options.reference import reference
from phasegan.config.options.schema import options_of
from phasegan.config.options.train import TrainCommand
from phasegan.errors import InputError
from tests.interface.test_interface_commands import COMMANDS as CLICK_COMMANDS

HEAVY = ("torch", "numpy", "h5py", "scipy", "matplotlib", "PIL", "rich")
FUNCTIONS = {
    "prepare": phasegan.prepare,
    "train": phasegan.train,
    "translate": phasegan.translate,
    "evaluate": phasegan.evaluate,
    "export": phasegan.export,
    "datasets fetch": phasegan.fetch,
    "bench": phasegan.bench,
    "atlas": phasegan.atlas,
}
ON_THE_COMMAND_LINE = {"quiet", "verbose", "threads", "json_path"}


def test_help_of_every_command_imports_nothing_heavy():
    code = (
        "import sys, phasegan\n"
        "from phasegan.cli import main\n"
        "for command in sys.argv[1:]:\n"
        "    assert main([*command.split(), '--help']) == 0\n"
        "    assert main([*command.split(), '--help-all']) == 0\n"
        f"print([m for m in {HEAVY} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_is_that_of_the_declarations(name):
    options = {n: o for n, o in options_of(COMMANDS[name]).items() if not o.cli.python}
    declared = [p for p in CLICK_COMMANDS[name].params if isinstance(p, DeclaredOption)]
    assert [p.name for p in declared] == list(options)
    for option in options.values():
        assert option.cli.help.endswith("."), option.name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_the_options_of_their_command(name):
    import inspect

    taken = set(inspect.signature(FUNCTIONS[name]).parameters)
    options = set(options_of(COMMANDS[name])) - ON_THE_COMMAND_LINE
    elsewhere = {
        "prepare": {"domain_a", "domain_b", "load", "alpha"},
        "evaluate": {"domain_a", "domain_b", "size", "features", "seed"},
    }
    assert options - taken == elsewhere.get(name, set())


def test_the_docstring_of_train_lists_its_options():
    text = phasegan.train.__doc__
    for option in options_of(TrainCommand).values():
        assert f"        {option.name} : " in text or option.name in ON_THE_COMMAND_LINE | {
            "output", "images", "domain_a", "domain_b", "init_from", "resume", "dry_run", "device"
        }  # fmt: skip
    assert "        clip_norm : float, ≥ 0, default 1\n            physics: Largest norm" in text


def test_short_help_shows_the_options_that_matter_and_long_help_all(run_cli):
    short, every = (run_cli("train", flag).out for flag in ("--help", "--help-all"))
    assert 10 <= short.count("\n  -") <= 20
    for option in options_of(TrainCommand).values():
        assert option.cli.python or f" {option.flag}" in every
        assert (f"  {option.flag} " in short or f", {option.flag} " in short) == (
            option.cli.common
        ), option.name
    assert "--lr" in every
    assert "--lr " not in short
    for text in (short, every):
        assert "\x1b" not in text
        assert not set("─│╭╮") & set(text)
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_file_of_all_options_is_taken_as_it_is_and_with_every_line_set(name, tmp_path, run_cli):
    text = options_file(COMMANDS[name], name)
    assert tomllib.loads(text) == {}
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    set_lines = [line for line in lines if not line.startswith("#") and not line.endswith(" =")]
    path = tmp_path / "all.toml"
    path.write_text("\n".join(line for line in set_lines if not line.startswith("=")))
    values = read_options(COMMANDS[name], path)
    assert len(values) == len(tomllib.loads(path.read_text()))
    for key, value in values.items():
        option = options_of(COMMANDS[name])[key]
        if option.value is not None and option.type is not bool:
            assert value == option.value


def test_config_writes_a_file_and_never_over_another(run_cli, tmp_path):
    assert run_cli("config", "-o", "run.toml").status == 0
    written = (tmp_path / "work" / "run.toml").read_text()
    assert written == run_cli("config", "train").out == options_file(TrainCommand, "train")
    assert run_cli("config", "datasets", "fetch").out.startswith("# Options of `phasegan datasets")
    for arguments, message in (
        (("-o", "run.toml"), "run.toml is there already"),
        (("-o", "run.h5"), "TOML is written there"),
        (("trian",), "no such command"),
    ):
        outcome = run_cli("config", *arguments)
        assert outcome.status == 2
        assert message in outcome.err


def test_the_page_of_options_is_the_generated_one():
    page = Path(__file__).parents[2] / "docs" / "options.md"
    assert page.read_text(encoding="utf-8") == reference()


def parsed(name, *words):
    """Return what a function of a command would be given."""
    command = CLICK_COMMANDS[name]
    with command.make_context(name, [str(w) for w in words]) as context:
        return {k: v for k, v in context.params.items() if v is not None}


@pytest.fixture
def options_toml(tmp_path):
    def write(text):
        (tmp_path / "run.toml").write_text(text, encoding="utf-8")
        return tmp_path / "run.toml"

    return write


def test_a_file_gives_options_and_the_command_line_overrides_it(options_toml):
    path = options_toml(
        "epochs = 3\nclip-norm = 0.5\nwidths = [4, 8]\nencodings = ['mean']\nno_flip = true\n"
        "augment = ['colour']\nrange_a = [0, 4095]\nlr = 1e-4\nbatched = false\n"
        "output = 'out'\nresume = true\naverage = 0.9\n"
    )
    values = parsed("train", "--config", path, "--epochs", 5)
    expected = {
        "epochs": 5, "clip_norm": 0.5, "widths": (4, 8), "encodings": "mean", "flip": True,
        "augment": ("colour",), "range_a": (0.0, 4095.0), "learning_rate": 1e-4, "batched": False,
        "output": "out", "resume": True, "ema_decay": 0.9,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected


def test_a_file_gives_lists_and_times_to_a_bench(options_toml):
    path = options_toml(
        "samples = [5, 50]\nepochs = [1, 2]\nbudget = '1h30m'\nseeds = [0, 1]\nagainst = 'before'\n"
    )
    values = parsed("bench", "--config", path)
    assert values["samples"] == (5, 50)
    assert values["budget"] == 5400.0
    assert values["seeds"] == (0, 1)
    assert values["baseline"] == "before"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown key epoch; did you mean epochs?"),
        ("epochs = 0", "epochs = 0: must be at least 1"),
        ("epochs = 1.5", "epochs = 1.5: "),
        ("fit = 'crop'", "fit = 'crop': choose one of stretch, short-side, none"),
        ("lr = 1e-3\nlearning_rate = 1e-3", "give one of them"),
        ("gan_mode = 'wgangp'", "gan_mode = wgangp: choose of lsgan, vanilla"),
        ("fused = true", "unknown key fused"),
        ("no_flip = 1", "no_flip = 1: must be true or false"),
        ("no-augmentation = 'yes'", "no-augmentation = 'yes': must be true or false"),
        ("resume = 1", "resume = 1: must be true or false"),
        ("epochs", "not readable as TOML"),
    ],
)
def test_bad_files_of_options_are_one_line(run_cli, options_toml, text, message):
    outcome = run_cli("train", "--config", options_toml(text))
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert "no such file" in run_cli("train", "--config", "none.toml").err


def test_two_files_of_options_are_refused(run_cli, options_toml):
    path = options_toml("epochs = 1")
    outcome = run_cli("train", "--config", path, "--config", path)
    assert (outcome.status, outcome.out) == (2, "")
    assert "--config is given twice" in outcome.err


def test_earlier_names_in_a_file_are_taken_with_a_line(run_cli, options_toml):
    outcome = run_cli("train", "none.h5", "--config", options_toml("average = 0.9"))
    assert "average is now ema_decay; the old name goes with the next version" in outcome.err
    outcome = run_cli("train", "none.h5", "--config", options_toml("ema_decay = 0.9"))
    assert "is now" not in outcome.err


def test_the_file_of_all_options_has_no_default_that_is_one_preset_s():
    lines = options_file(TrainCommand, "train").splitlines()
    assert "# batch_size =" in lines
    assert "# learning_rate =" in lines
    assert "# clip_norm = 1.0" in lines


ALIASES = {
    ("--lr", "1e-3"): {"learning_rate": 1e-3},
    ("--batch_size", "4"): {"batch_size": 4},
    ("--lambda_A", "5"): {"cycle_a": 5.0},
    ("--lambda-B", "6"): {"cycle_b": 6.0},
    ("--lambda_identity", "0"): {"identity": 0.0},
    ("--ngf", "8"): {"base_channels": 8},
    ("--ndf", "9"): {"discriminator_channels": 9},
    ("--load_size", "286"): {"load": 286},
    ("--crop_size", "256"): {"size": 256},
    ("--pool_size", "0"): {"pool_size": 0},
    ("--no_flip",): {"flip": False},
    ("--gan_mode", "vanilla"): {"gan_loss": "logistic"},
    ("--gan-mode", "lsgan"): {"gan_loss": "least-squares"},
    ("--netG", "resnet_6blocks"): {"generator": "resnet", "blocks": 6},
}


@pytest.mark.parametrize("words", ALIASES, ids=" ".join)
def test_options_of_other_cyclegans_mean_the_same(run_cli, monkeypatch, words):
    seen = {}

    def train(*_, **options):
        seen.update(options)
        raise InputError("enough")

    monkeypatch.setattr("phasegan.training.api.train", train)
    outcome = run_cli("train", *words)
    assert outcome.err == "phasegan: error: enough\n"
    assert {name: seen[name] for name in ALIASES[words]} == ALIASES[words]


def test_an_alias_beside_its_option_is_refused(run_cli):
    outcome = run_cli("train", "--gan_mode", "lsgan", "--gan-loss", "hinge")
    assert outcome.status == 2
    assert "--gan_mode stands for --gan-loss; give one of them" in outcome.err


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("train", "--start-from", "--init-from"),
        ("train", "--average", "--ema-decay"),
        ("bench", "--against", "--baseline"),
    ],
)
def test_earlier_spellings_are_taken_with_a_line(run_cli, command, old, new):
    for words in ((old, "0.5"), (f"{old}=0.5",)):
        first, *rest = run_cli(command, *words, "--epochs", "0").err.splitlines()
        assert first == f"phasegan: {old} is now {new}; the old name goes with the next version"
        assert len(rest) == 1
    assert old not in run_cli(command, "--help").out
    assert "is now" not in run_cli(command, new, "0.5", "--epochs", "0").err


def test_earlier_keywords_are_taken_with_a_warning(tmp_path):
    for function, old, new in (
        (phasegan.train, "start_from", "init_from"),
        (phasegan.train, "average", "ema_decay"),
        (phasegan.bench, "against", "baseline"),
    ):
        assert function.__renamed__[old] == new
        with (
            pytest.warns(FutureWarning, match=f"{old}=…\\) is now {new}; the old name") as caught,
            pytest.raises(InputError),
        ):
            function(data=tmp_path / "none.h5", device="cpu", **{old: None})
        assert caught[0].filename == __file__
        with pytest.raises(TypeError, match="earlier name"):
            function(**{old: None, new: None})
        with warnings.catch_warnings(), pytest.raises(InputError):
            warnings.simplefilter("error")
            function(data=tmp_path / "none.h5", device="cpu", **{new: None})


@pytest.mark.parametrize(
    ("command", "option"),
    [("inspect", "--device"), ("inspect", "--threads"), ("inspect", "--seed"),
     ("export", "--seed"), ("translate", "--seed"), ("reconstruct", "--seed")],
)  # fmt: skip
def test_options_without_effect_are_taken_and_said_to_have_none(run_cli, command, option):
    value = "cpu" if option == "--device" else "3"
    words = {"inspect": ["none"], "export": ["none", "-o", "x"], "translate": ["a", "b", "-o", "c"]}
    outcome = run_cli(command, *words.get(command, ["none", "-o", "x"]), option, value)
    assert outcome.err.splitlines()[0] == f"phasegan: {option} has no effect on {command}"
    assert option not in run_cli(command, "--help-all").out
    facts = {p.name: p for p in CLICK_COMMANDS[command].params if isinstance(p, click.Option)}
    assert facts[option[2:]].hidden


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (phasegan.train, {"clip_norm": -1}, "clip_norm = -1: must be at least 0"),
        (phasegan.train, {"ema_decay": 1}, "ema_decay = 1: must be below 1"),
        (phasegan.train, {"fit": "crop"}, "fit = 'crop': choose one of stretch, short-side, none"),
        (phasegan.translate, {"steady": 2}, "steady = 2: must be at most 1"),
        (phasegan.translate, {"batch_size": np.int64(0)}, "batch_size = 0: must be at least 1"),
        (phasegan.translate, {"depth": "12"}, "depth = '12': choose one of keep, 8, 16"),
        (phasegan.reconstruct, {"dtype": "int8"}, "dtype = 'int8': choose one of float64, float32"),
        (phasegan.prepare, {"oversample": 5}, "oversample = 5: must be at most 4"),
        (phasegan.bench, {"budget": 0}, "budget = 0: must be above 0"),
        (phasegan.atlas, {"images": 0}, "images = 0: must be at least 1"),
        (phasegan.export, {"direction": "ab"}, "direction = 'ab': choose one of a2b, b2a"),
        (phasegan.evaluate, {"device": "tpu"}, "device = 'tpu': choose one of auto, cpu"),
    ],
)
def test_functions_check_ranges_before_any_work(function, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {phasegan.translate: ("a", "b", "c"), phasegan.export: ("a", "b")}
    with pytest.raises(InputError, match=re.escape(message)):
        function(*places.get(function, ("a",)), **options)
    assert not list(tmp_path.iterdir())


def test_the_range_of_an_option_is_that_of_its_configuration():
    from phasegan.config.physics import PhysicsOptimiserConfig

    (source,) = options_of(TrainCommand)["clip_norm"].sources
    assert source.model is PhysicsOptimiserConfig
    assert options_of(TrainCommand)["clip_norm"].default_text == "1"
    assert options_of(TrainCommand)["clip_norm"].bounds[0] == 0
    assert json.dumps(options_of(TrainCommand)["crop"].range_text, ensure_ascii=False) == (
        '"0 < x ≤ 1"'
    )
