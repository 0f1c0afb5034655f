"""What the documents say is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import phasegan

ROOT = Path(__file__).parent.parent


def test_the_code_in_the_file_format_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phasegan.prepare("builtin", samples=3, test=1)
    text = (ROOT / "docs" / "file-format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})


def test_links_in_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_every_command_of_the_readme_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    from phasegan.cli import COMMANDS

    assert set(re.findall(r"`phasegan (\w+)", text)) >= set(COMMANDS)
