"""Words of pytorch-CycleGAN-and-pix2pix on our command line: the same meaning, or one line.

Options with the same name and value are aliases (`Cli.aliases`), or in `FOREIGN`. Here are the
others: those that several of ours replace, that change the arguments, or that there are none of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from phasegan.errors import InputError

Words = list[str]


class Habit(NamedTuple):
    """An option of pytorch-CycleGAN-and-pix2pix.

    Attributes
    ----------
    same : mapping of list of str, or callable
        Our words for values that mean the same; a callable makes them of any value.
    instead : str
        What to do for other values, in a line.
    ignored : bool
        Whether other values are passed over, with that line, rather than refused.
    switch : bool
        Whether it takes no value; its `same` is under "".
    """

    same: Mapping[str, Words] | Callable[[str], Words]
    instead: str = ""
    ignored: bool = False
    switch: bool = False


def _flag(name: str) -> Callable[[str], Words]:
    return lambda value: [name, value]


def _passed_over(why: str, switch: bool = False) -> Habit:
    return Habit({}, why, ignored=True, switch=switch)


_KEPT: Callable[[str], Words] = lambda value: []  # noqa: E731
_WEB = "progress goes to the terminal, losses.jsonl, TensorBoard and gallery.html"
_SAVED = "checkpoints are written after each epoch and every ten minutes"
_SIZES = "pictures keep their size; resize them before where the network wants another scale"
_UNALIGNED = "pairs are not trained on; two domains are folders trainA and trainB"
_CHANNELS = _passed_over("channels are those of the pictures")

_COMMON: dict[str, Habit] = {
    "dataroot": Habit(_KEPT),
    "name": Habit(_KEPT),
    "checkpoints_dir": Habit(_KEPT),
    "suffix": Habit(_KEPT),
    "gpu_ids": Habit(
        {"-1": ["--device", "cpu"], "0": ["--device", "cuda"]},
        "choose GPUs by CUDA_VISIBLE_DEVICES; several train with torchrun, see docs/scaling.md",
    ),
    "input_nc": _CHANNELS,
    "output_nc": _CHANNELS,
    "no_dropout": Habit({"": []}, switch=True),
    "load_iter": Habit({"0": []}, "the newest checkpoint is taken; give a .pth file as RUN"),
    "epoch": Habit({"latest": []}, "the newest weights are taken; give a .pth file as RUN"),
    "display_winsize": _passed_over(_WEB),
    "use_wandb": _passed_over(_WEB, switch=True),
    "wandb_project_name": _passed_over(_WEB),
}
_TRAIN: dict[str, Habit] = {
    **_COMMON,
    "model": Habit({"cycle_gan": []}, "only cycle_gan is trained here, --preset translation"),
    "netD": Habit({"basic": []}, "discriminators are the 70×70 PatchGAN, basic"),
    "n_layers_D": Habit({"3": []}, "discriminators are the 70×70 PatchGAN, of 3 layers"),
    "init_type": Habit({"normal": []}, "weights begin normal, with σ = 0.02"),
    "init_gain": Habit({"0.02": []}, "weights begin normal, with σ = 0.02"),
    "dataset_mode": Habit({"unaligned": []}, _UNALIGNED),
    "direction": Habit(
        {"AtoB": []}, "both ways are trained; exchange A and B by --domain-a and --domain-b"
    ),
    "serial_batches": Habit(
        {}, instead="each epoch has an order of its own, by --seed", switch=True
    ),
    "num_threads": Habit(_flag("--workers")),
    "max_dataset_size": Habit(_flag("--samples")),
    "preprocess": Habit(
        {"resize_and_crop": [], "crop": ["--fit", "none"]},
        "give --fit short-side, which brings the short side to --load; squares are cropped",
    ),
    "continue_train": Habit({"": ["--resume"]}, switch=True),
    "epoch_count": _passed_over("--resume knows how many epochs are done"),
    "phase": Habit({"train": []}, "training pictures are in trainA and trainB"),
    "n_epochs": Habit(_KEPT),
    "n_epochs_decay": Habit(_KEPT),
    "beta1": Habit({"0.5": []}, "Adam has β₁ = 0.5 here, as published"),
    "lr_policy": Habit({"linear": []}, "the rate is constant, then falls linearly"),
    "lr_decay_iters": _passed_over("the rate falls linearly in the second half"),
    "lambda_L1": Habit({}, instead="it is pix2pix's, which is not trained here"),
    "display_freq": _passed_over(_WEB),
    "display_ncols": _passed_over(_WEB),
    "display_id": _passed_over(_WEB),
    "display_server": _passed_over(_WEB),
    "display_env": _passed_over(_WEB),
    "display_port": _passed_over(_WEB),
    "update_html_freq": _passed_over(_WEB),
    "print_freq": _passed_over(_WEB),
    "no_html": _passed_over(_WEB, switch=True),
    "save_latest_freq": _passed_over(_SAVED),
    "save_epoch_freq": _passed_over(_SAVED),
    "save_by_iter": _passed_over(_SAVED, switch=True),
}
_TEST: dict[str, Habit] = {
    **_COMMON,
    "model": Habit(
        {"test": [], "cycle_gan": []}, "RUN holds a CycleGAN's generator, or one of its layout"
    ),
    "direction": Habit({"AtoB": ["--direction", "a2b"], "BtoA": ["--direction", "b2a"]}),
    "model_suffix": Habit(
        {"": [], "_A": ["--direction", "a2b"], "_B": ["--direction", "b2a"]},
        "give the .pth file as RUN",
    ),
    "eval": Habit({"": ["--batch-norm", "running"]}, switch=True),
    "results_dir": Habit(_KEPT),
    "num_test": Habit({}, instead="all pictures of INPUT are translated; give a folder of fewer"),
    "aspect_ratio": Habit({"1.0": [], "1": []}, "pictures keep their shape"),
    "phase": Habit({"test": []}, "INPUT is the folder of pictures itself"),
    "preprocess": Habit({"none": []}, _SIZES, ignored=True),
    "load_size": _passed_over(_SIZES),
    "crop_size": _passed_over(_SIZES),
    "no_flip": Habit({"": []}, switch=True),
    "serial_batches": Habit({"": []}, switch=True),
    "num_threads": _passed_over("pictures are read beside the network's work"),
    "dataset_mode": Habit({"single": [], "unaligned": []}, _UNALIGNED),
    **{
        name: _passed_over("files of weights tell their network")
        for name in ("ngf", "ndf", "netG", "netD", "n_layers_D", "norm", "init_type", "init_gain")
    },
}
HABITS: dict[str, dict[str, Habit]] = {"train": _TRAIN, "translate": _TEST}
"""By our commands: those of train.py and of test.py."""
_FORMER = {
    "niter": "n_epochs", "niter_decay": "n_epochs_decay", "nThreads": "num_threads",
    "which_direction": "direction", "which_epoch": "epoch", "resize_or_crop": "preprocess",
    "how_many": "num_test", "ntest": "num_test", "which_model_netD": "netD",
}  # fmt: skip
"""Earlier names there."""


def translate_words(
    command: str, words: Sequence[str], known: frozenset[str], note: Callable[[str], object]
) -> Words:
    """Replace options of pytorch-CycleGAN-and-pix2pix by ours.

    Parameters
    ----------
    command : str
        Ours.
    words : sequence of str
        What stands behind it on the command line.
    known : frozenset of str
        Our own spellings, which stay; but for values that only the other program has.
    note : callable
        Receives a line for each option that is passed over.

    Returns
    -------
    list of str
        Words that `command` parses; the same where nothing is to be replaced.

    Raises
    ------
    InputError
        If an option has no counterpart, naming what to do instead.
    """
    habits = HABITS.get(command, {})
    left, gathered = list(words), dict[str, str]()
    result: Words = []
    while left:
        word = left.pop(0)
        if word == "--":
            result += [word, *left]
            break
        spelled, joined, value = word.partition("=")
        name = spelled[2:].replace("-", "_") if spelled.startswith("--") else ""
        name = _FORMER.get(name, name)
        habit = habits.get(name)
        following = value if joined else next(iter(left), "")
        if habit is None or (spelled in known and not _is_theirs(habit, following)):
            result.append(word)
            continue
        if not habit.switch and not joined:
            if not left:
                raise InputError(f"{spelled} needs a value")
            value = left.pop(0)
        shown = spelled if habit.switch else f"{spelled} {value}"
        if callable(habit.same):
            ours = habit.same(value)
            if not ours:
                gathered[name] = value
        elif value in habit.same:
            ours = habit.same[value]
        elif habit.ignored:
            note(f"{shown} has no effect: {habit.instead}")
            ours = []
        else:
            choices = " or ".join(v for v in habit.same if v)
            text = habit.instead or f"choose {choices}"
            raise InputError(f"{shown} has no counterpart here: {text}")
        result += ours
    return result + (_train(gathered) if command == "train" else _test(gathered))


def _is_theirs(habit: Habit, value: str) -> bool:
    """Return whether a value of an option that is ours too is one of the other program."""
    return not callable(habit.same) and value in habit.same


def _experiment(gathered: Mapping[str, str], folder: str) -> str | None:
    """Return the run folder that a name stands for."""
    name = gathered.get("name")
    if name is None:
        for other in ("checkpoints_dir", "suffix", "results_dir"):
            if other in gathered:
                raise InputError(f"--{other} needs --name; or give the folder itself")
        return None
    suffix = f"_{gathered['suffix']}" if gathered.get("suffix") else ""
    return str(PurePath(gathered.get("checkpoints_dir", folder)) / f"{name}{suffix}")


def _train(gathered: Mapping[str, str]) -> Words:
    words: Words = []
    if (run := _experiment(gathered, "runs")) is not None:
        words += ["-o", run]
    if {"n_epochs", "n_epochs_decay"} & gathered.keys():
        texts = [gathered.get(name, "100") for name in ("n_epochs", "n_epochs_decay")]
        if not all(text.isascii() and text.isdigit() for text in texts):
            raise InputError(f"--n_epochs {texts[0]} --n_epochs_decay {texts[1]}: whole numbers")
        constant, falling = map(int, texts)
        if (constant + falling) // 2 != falling:
            raise InputError(
                f"--n_epochs {constant} --n_epochs_decay {falling} has no counterpart here: the "
                f"rate falls in the second half, give --epochs {constant + falling}"
            )
        words += ["--epochs", str(constant + falling)]
    return words + ([gathered["dataroot"]] if "dataroot" in gathered else [])


def _test(gathered: Mapping[str, str]) -> Words:
    run = _experiment(gathered, "checkpoints")
    words = [] if run is None else [run]
    if "dataroot" in gathered:
        words.append(gathered["dataroot"])
    if "results_dir" in gathered:
        words += ["-o", str(PurePath(gathered["results_dir"]) / gathered["name"])]
    return words
