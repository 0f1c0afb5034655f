"""Domains are called after their folders in figures and tables."""

from __future__ import annotations

import shutil

import pytest

import phasegan
from phasegan.data.domain_folders import open_domains
from phasegan.evaluation.inspection import inspect
from phasegan.evaluation.tables import translation_table
from phasegan.evaluation.translation import TranslationRow, TranslationScores
from phasegan.plotting.translations import Translations
from tests.training.pairs import make_pair
from tests.training.several import SECOND


@pytest.fixture
def folders(tmp_path):
    pair = make_pair(tmp_path / "pair")
    return [
        shutil.copytree(pair / f"train{x}", tmp_path / n)
        for x, n in (("A", "$oats"), ("B", "<rye>"))
    ]


def test_names_are_those_of_the_folders_where_they_tell_the_domains_apart(folders, tmp_path):
    a, b = folders
    assert open_domains(None, a, b).domain_names == ("$oats", "<rye>")
    assert open_domains(None, a, a).domain_names == ("A", "B")
    assert open_domains(tmp_path / "pair").domain_names == ("A", "B")
    own = [tmp_path / "pair" / name for name in ("trainA", "trainB")]
    assert open_domains(None, *own).domain_names == ("A", "B")
    long = a.rename(tmp_path / ("long " * 20))
    assert len(open_domains(None, long, b).domain_names[0]) == 32


def test_figures_and_prepared_files_have_them(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    titles = []
    columns = Translations.columns.fget
    monkeypatch.setattr(
        Translations,
        "columns",
        property(lambda self: titles.extend(columns(self)) or columns(self)),
    )
    a, b = folders
    path = phasegan.prepare_domains(domain_a=a, domain_b=b, output=tmp_path / "f.h5", load=30).path
    assert open_domains(path).domain_names == ("$oats", "<rye>")
    assert any("domain B (<rye>)" in line for line in inspect(path, verify=True).lines)
    options = {"size": 24, "base_channels": 2, "discriminator_channels": 2, "device": "cpu"}
    phasegan.train(path, tmp_path / "run", epochs=1, **options)
    assert {"$oats", "→ <rye>", "→ $oats again"} <= set(titles)
    page = (tmp_path / "run" / "gallery.html").read_text()
    assert "$oats → &lt;rye&gt;" in page
    assert "5 of A ($oats), 3 of B (&lt;rye&gt;)" in page
    # another name of a folder is no other run
    moved = a.rename(tmp_path / "barley")
    again = phasegan.train(
        domain_a=moved, domain_b=b, output=tmp_path / "run2", epochs=1, **options
    )
    back = moved.rename(a)
    assert not phasegan.train(
        domain_a=back, domain_b=b, output=again.path, epochs=1, **options
    ).trained


def test_files_of_folders_a_and_b_keep_their_attributes(tmp_path):
    pair = make_pair(tmp_path / "pair")
    path = phasegan.prepare_domains(pair, tmp_path / "f.h5", load=30).path
    assert b"domain_names" not in path.read_bytes()


def test_tables_have_them():
    rows = [TranslationRow("real", way, "real", {"swd": 1.0}) for way in ("ab", "ba")]
    scores = TranslationScores(rows, (2, 3), 64, False, None, [], ("oats", "rye"))
    table = translation_table(scores)
    assert [row[1] for row in table.cells()] == ["oats → rye", "rye → oats"]
    assert table.notes[0].startswith("2 test pictures of A (oats) and 3 of B (rye)")
    assert scores.as_json()["rows"][0]["way"] == "ab"
    plain = translation_table(TranslationScores(rows, (2, 3), 64, False, None))
    assert [row[1] for row in plain.cells()] == ["A → B", "B → A"]
