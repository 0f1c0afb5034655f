"""Phases of other programs: the page lists what the script runs, and it comes out as it says."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import foreign_phases  # noqa: E402

PAGE = ROOT / "docs" / "phases.md"


@pytest.mark.parametrize("kind", foreign_phases.KINDS, ids=lambda kind: kind.source)
def test_every_kind_comes_out_as_the_page_says(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    foreign_phases.make(kind)
    estimate, said = foreign_phases.run(kind)
    assert foreign_phases.verdict(kind, estimate, said) == kind.verdict, said
    assert "warning" not in said.replace("marked missing: not trusted", "").replace(
        f"warning: {kind.source}", ""
    )
    true = foreign_phases.picture(kind)
    true = true[::-1] if kind.upside_down else true
    assert np.corrcoef(estimate[0].ravel(), true.ravel())[0, 1] > (
        0.99 if kind.verdict == foreign_phases.ESTIMATED else 1 - 1e-6
    )
    assert foreign_phases.as_given(kind).ndim == 3


def test_twelve_kinds_and_more_certify():
    verdicts = [kind.verdict for kind in foreign_phases.KINDS]
    assert verdicts.count(foreign_phases.CERTIFIED) == 20
    assert len({kind.command for kind in foreign_phases.KINDS}) == len(verdicts) == 22


def test_the_page_is_that_of_the_script():
    def parts(text):
        code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        plain = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
        return [ast.dump(ast.parse(block)) for block in code], plain.strip()

    text = PAGE.read_text(encoding="utf-8")
    assert parts(text[text.index("### 1. ") :]) == parts(foreign_phases.markdown())
    listed = re.findall(r"^    (phasegan reconstruct .*) -o out$", text, re.MULTILINE)
    assert listed == [kind.command for kind in foreign_phases.KINDS]


def test_every_option_of_arrays_is_on_the_page():
    from phasegan.config.options.networks import OF_ARRAYS, ReconstructCommand
    from phasegan.config.options.schema import options_of

    text = PAGE.read_text(encoding="utf-8")
    options = options_of(ReconstructCommand).values()
    for flag in (o.flag for o in options if o.cli.group == OF_ARRAYS):
        assert f"`{flag}`" in text, flag
