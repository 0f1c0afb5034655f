"""Recipes: valid, invalid, and what they decide."""

from __future__ import annotations

import pytest

import phasegan
from phasegan.data.recipes import load_recipe
from phasegan.errors import InputError


def test_a_recipes_checksum_is_checked(pictures, tmp_path):
    recipe = tmp_path / "mine.toml"
    text = 'name="mine"\n[source]\nkind="folder"\npath="pictures"\n{}\n[preprocessing]\nsize=16\n'
    recipe.write_text(text.format(""))
    phasegan.prepare(recipe, tmp_path / "m.h5")
    with phasegan.open(tmp_path / "m.h5") as file:
        checksum = file.attributes["source_checksum"]
    recipe.write_text(text.format(f'checksum = "{checksum}"'))
    phasegan.prepare(recipe, tmp_path / "m2.h5")
    recipe.write_text(text.format('checksum = "sha256:00"'))
    with pytest.raises(InputError, match="not the same set"):
        phasegan.prepare(recipe, tmp_path / "m3.h5")
    assert not (tmp_path / "m3.h5").exists()


def test_shipped_recipes_are_valid():
    assert load_recipe("builtin").name == "builtin"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name = 'x'\n[source]\nkind='folder'\npath='.'\n[split]\nsamplse=3",
            "did you mean samples",
        ),
        ("nmae = 'x'", "unknown key nmae; did you mean name"),
        ("name = 'x'", "source is missing"),
        ("format = 2\nname='x'", "recipe format 2"),
        ("name = 'x'\n[source]\nkind='folder'\npath='.'\n[preprocessing]\nsize=1", "at least 2"),
        ("not toml at all", "not readable as TOML"),
        ("a = " + "[" * 5000, "not readable as TOML"),
        ("name='x'\n[source]\nkind='folder'\npath='.'\n[split]\nsamples='3'", "samples = '3'"),
        ("name='x'\n[source]\nkind='folder'\npath='.'\n[split]\ntest=true", "test = True"),
    ],
)
def test_bad_recipes_name_the_problem(tmp_path, text, message):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        phasegan.prepare(path, tmp_path / "x.h5")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["no-such-thing", "nowhere/at/all"])
def test_an_unknown_source_names_the_recipes(source, tmp_path):
    with pytest.raises(InputError, match="builtin"):
        phasegan.prepare(source, tmp_path / "x.h5")
