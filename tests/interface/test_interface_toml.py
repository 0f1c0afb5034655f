"""Recipes and cases: every key that the documents name, in the files of `keys/`.

These files are the snapshot. They stay as they are; keys may get new names beside the old.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import h5py
import pytest

import phasegan
from phasegan.errors import InputError
from tests.interface.snapshots import draw

KEYS = Path(__file__).parent / "keys"
ROOT = Path(__file__).parents[2]
CASES = sorted([*KEYS.glob("case-*.toml"), *ROOT.glob("benchmarks/cases/*.toml")])
RECIPES = sorted(p for p in ROOT.glob("datasets/*.toml") if p.stem != "template")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_cases_are_taken(path):
    """The case is read first: what is missing is the prepared file."""
    with pytest.raises(InputError, match=r"^none\.h5: no such file"):
        phasegan.bench(case=path, data="none.h5", device="cpu")


@pytest.mark.parametrize("name", ["case-physics", "case-paper"])
def test_keys_of_cases_decide_what_is_trained(name, made, tmp_path):
    """What the case says stands in results.json; no training fits in the budget."""
    values = tomllib.loads((KEYS / f"{name}.toml").read_text(encoding="utf-8"))
    (tmp_path / "wrong.toml").write_text(
        (KEYS / f"{name}.toml").read_text(encoding="utf-8").replace("[train]", "[train]\nno_key=1")
    )
    with pytest.raises(InputError, match="no_key"):
        phasegan.bench(case=tmp_path / "wrong.toml", data="none.h5", device="cpu")
    report = phasegan.bench(
        case=KEYS / f"{name}.toml", data=made.folder / "tiny.h5", output=tmp_path / "bench",
        budget=1e-6, device="cpu",
    )  # fmt: skip
    case = json.loads((tmp_path / "bench" / "results.json").read_text(encoding="utf-8"))["case"]
    assert {row.seed for row in report.rows if row.epochs and row.status == "estimated"} == {3}
    for key in ("name", "title", "seeds", "metrics", "splits", "methods", "train", "quoted"):
        assert case[key] == values[key], key


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_that_come_with_it_are_taken(path, tmp_path):
    if "download" in tomllib.loads(path.read_text(encoding="utf-8")):
        with pytest.raises(InputError, match="not an address"):
            phasegan.fetch(str(path), tmp_path / "out", url="none")
    else:
        assert not phasegan.prepare(path, tmp_path / "a.h5", dry_run=True).written


def test_keys_of_a_recipe_reach_the_file(tmp_path):
    draw(tmp_path, {"pictures": 5}, (12, 14))
    shutil.copy(KEYS / "recipe.toml", tmp_path)
    phasegan.prepare(tmp_path / "recipe.toml", tmp_path / "a.h5", workers=1)
    values = tomllib.loads((KEYS / "recipe.toml").read_text(encoding="utf-8"))
    with h5py.File(tmp_path / "a.h5") as file:
        kept = json.loads(file.attrs["recipe"])
    for section in ("preprocessing", "split"):
        assert kept[section] == values[section]
    for key in ("format", "name", "title", "licence", "url"):
        assert kept[key] == values[key]
    assert kept["source"]["kind"] == "folder"


@pytest.mark.parametrize("name", ["pair-split", "pair-halves"])
def test_keys_of_a_pair_reach_its_folder(name, tmp_path, monkeypatch, snapshots):
    counts = {"trainA": 3, "trainB": 4, "testA": 1, "testB": 2}
    draw(tmp_path / "flowers", counts, (12, 14))
    (tmp_path / "flowers" / "LICENSE").write_text("mine")
    shutil.make_archive(str(tmp_path / "flowers"), "zip", tmp_path, "flowers")
    monkeypatch.chdir(tmp_path)
    folder = phasegan.fetch(str(KEYS / f"{name}.toml"), "out", keep_archive=True)
    found = {n: len(list((folder / n).glob("*.png"))) for n in counts}
    split = {"trainA": 2, "trainB": 2, "testA": 1, "testB": 2}
    assert found == (split if name == "pair-halves" else counts)
    assert (folder / "LICENSE").exists() == (name == "pair-halves")
    document = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    snapshots.hold("documents/fetched: dataset.json", sorted(document))
    assert document["name"] == name
