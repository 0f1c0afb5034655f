"""What `import phasegan` gives: names, parameters, attributes of what is returned."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints

import pytest

import phasegan
from phasegan.errors import InputError
from tests.interface.snapshots import accepted, places, renamed

CALLABLE = sorted(name for name in phasegan.__all__ if callable(getattr(phasegan, name)))
REPORTS = (
    *("prepare", "prepare_domains", "train paper", "train physics", "train translation"),
    *(
        "train one-way",
        "evaluate",
        "score_translations",
        "reconstruct",
        "bench",
        "atlas",
        "translate",
        "export",
    ),
)


def test_names(snapshots):
    snapshots.hold("python/names", sorted(phasegan.__all__))
    assert all(hasattr(phasegan, name) for name in phasegan.__all__)


@pytest.mark.parametrize("name", CALLABLE)
def test_parameters(name, snapshots):
    function = getattr(phasegan, name)
    snapshots.hold(f"python/{name}", accepted(function))
    before, now = (
        snapshots.kept(f"python/places of {name}", lambda: places(function)),
        places(function),
    )
    present = renamed(function)
    assert [n if n in now else present.get(n) for n in before] == now[: len(before)]


def test_options_of_a_training_are_taken_by_name(snapshots, made):
    """None stands for the default; the folder that is in the way ends it before any work."""
    for name in snapshots.kept("python/options of train", _options_of_train):
        with pytest.raises(InputError, match="a folder with other things in it"):
            _train(made, name)
    with pytest.raises(TypeError, match="no_such_option"):
        _train(made, "no_such_option")


def _options_of_train():
    hint = get_type_hints(phasegan.train)["options"]
    return sorted(get_type_hints(get_args(hint)[0]))


def _train(made, name):
    phasegan.train(
        made.folder / "tiny.h5", made.folder / "pair", dry_run=True, device="cpu", **{name: None}
    )


@pytest.mark.parametrize("name", REPORTS)
def test_attributes_of_reports(name, snapshots, made):
    snapshots.hold_attributes(f"attributes/{name}", made.reports[name])


def test_attributes_of_prepared_files(snapshots, made):
    with phasegan.open(made.folder / "tiny.h5") as file:
        snapshots.hold_attributes("attributes/open", file, 2)
        with pytest.raises(InputError, match="choose train or test"):
            file.split("validation")
        batch = next(file.train.batches(2))
        snapshots.hold("attributes/batches", {k: str(v.dtype) for k, v in batch.items()})
        fields = ["phase", "codes", "images", "undefined", "index", "source", "source_sha256"]
        loaded = file.test.load(fields)
        snapshots.hold("attributes/load", {k: type(v).__name__ for k, v in loaded.items()})
        read = {n: str(getattr(file.train, n)([0]).dtype) for n in ("phase", "images", "undefined")}
        snapshots.hold("attributes/read", read)
        assert isinstance(file.train.sources([0])[0], str)


def test_attributes_of_datasets(snapshots, made):
    dataset = phasegan.PhaseDataset(made.folder / "tiny.h5")
    batches = phasegan.PhaseBatches(made.folder / "tiny.h5", 2)
    batches.set_epoch(1)
    for value, item in ((dataset, dataset[0]), (batches, next(iter(batches)))):
        name = type(value).__name__
        snapshots.hold_attributes(f"attributes/{name}", value, 1)
        snapshots.hold(
            f"attributes/item of {name}", {key: str(inner.dtype) for key, inner in item.items()}
        )


def test_errors_are_caught_by_the_names_in_the_documents():
    from phasegan.progress import TerminalProgress

    assert issubclass(InputError, Exception)
    assert "verbosity" in inspect.signature(TerminalProgress).parameters
