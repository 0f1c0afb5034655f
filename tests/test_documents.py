"""What the documents say is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import phasegan
from phasegan.data.prepare.domains import prepare_domains

ROOT = Path(__file__).parent.parent


def test_the_code_in_the_file_format_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phasegan.prepare("builtin", samples=3, test=1)
    rng = np.random.default_rng(0)
    for name in ("trainA", "trainB"):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "flowers" / name / "1.png")
    prepare_domains("flowers", load=32)
    text = (ROOT / "docs" / "file-format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    found: dict[str, Any] = {}
    exec("\n".join(blocks), found)
    assert found["picture"].shape == (3, 32, 32)
    assert found["name"] == "1.png"


def test_links_in_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_the_defaults_in_the_training_page_are_those_of_the_preset(tiny):
    import torch

    from phasegan.config.resolve.phases import resolve_phases

    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("# The preset `paper`")
    with phasegan.open(tiny) as file:
        config = resolve_phases(file.facts, torch.device("cpu")).model_dump()
    sections = ("losses", "optimiser", "augmentation")
    known = config | {k: v for section in sections for k, v in config[section].items()}
    known["adversarial_ab"], known["ema_decay"] = known["adversarial"], known["average"]
    options = re.findall(r"^\| `--([a-z-]+)` \| ([\d.]+) \|", text[0], re.MULTILINE)
    weights = re.findall(r"^\| `(\w+)` \| .* \| ([\d.]+) \|$", text[0], re.MULTILINE)
    assert (len(options), len(weights)) == (9, 4)
    for name, value in options + weights:
        assert float(value) == known[name.replace("-", "_")], name
    assert f"every {known['adversarial_every']} steps" in text[0]


def test_every_command_of_the_readme_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    from phasegan.cli import COMMANDS

    assert set(re.findall(r"`phasegan (\w+)", text)) >= set(COMMANDS)


def test_every_key_of_the_results_is_documented(tiny, tmp_path):
    import json

    case = tmp_path / "c.toml"
    case.write_text(
        "name='c'\npreset='paper'\nmethods=['mean-image']\nsplits=['test','train']\n"
        "[[pairs]]\nsamples=2\nepochs=1\n"
    )
    sizes = {"base_channels": 2, "blocks": 1, "device": "cpu", "output": tmp_path / "b"}
    phasegan.bench(case=case, data=tiny, **sizes)
    phasegan.bench(case=case, data=tiny, baseline=tmp_path / "b", **sizes)
    document = json.loads((tmp_path / "b" / "results.json").read_text())
    text = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`(\w+)`", text[text.index("### `results.json`") :]))
    known |= {f"{name}_stderr" for name in known}
    keys = set(document) | set(document["data"]) | set(document["leaks"])
    for row in document["rows"]:
        keys |= set(row) | set(row["cost"]) | set(row["per_image"]) | set(row["estimate"] or {})
    assert keys - known == set()


def test_every_case_is_documented_where_users_look():
    cases = {path.stem for path in (ROOT / "benchmarks" / "cases").glob("*.toml")}
    for page in ("docs/bench.md", "benchmarks/README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert {name for name in cases if name in text} == cases, page


def test_what_is_said_of_estimates_is_what_the_rows_hold():
    def held(name):
        rows = json.loads((ROOT / f"benchmarks/results/{name}/results.json").read_text())["rows"]
        timed = [r for r in rows if r["status"] == "ok" and r.get("estimate") and r["seconds"]]
        timed = [r for r in timed if r.get("split", "test") == "test"]
        inside = sum(r["estimate"]["low"] <= r["seconds"] <= r["estimate"]["high"] for r in timed)
        off = [100 * (r["estimate"]["seconds"] / r["seconds"] - 1) for r in timed]
        return f"{inside} of {len(timed)}", min(off), max(off)

    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    bench = " ".join((ROOT / "docs" / "bench.md").read_text(encoding="utf-8").split())
    alone, low, high = held("estimates")
    assert f"It held {alone} where hardly anything else ran" in readme
    assert f"(between {-low:.0f} % too short and {high:.0f} % too long)" in readme
    assert f"{held('scaling')[0]} in the rows of `scaling`" in readme
    assert f"{held('published')[0]} in the table above" in readme
    assert f"of `scaling` it was {held('scaling')[0]}" in bench
    assert f"in the first minutes, {held('published')[0]}" in bench


def test_the_demo_claims_nothing_that_it_does_not_measure():
    words = re.findall(r'@echo "(.*)"', (ROOT / "Makefile").read_text(encoding="utf-8"))
    said = " ".join(word for word in words if not word.startswith("make "))
    assert not re.findall(r"\b(paper|physics|CycleGAN|mush|score)\b", said)
