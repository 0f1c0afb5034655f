"""`phasegan.evaluate`: its rows and its JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

import phasegan
from phasegan.errors import InputError


def keys(document):
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys(value)


def test_rows_come_in_order_methods_before_runs(tiny, tiny_run):
    result = phasegan.evaluate(tiny, ["mean-image", "zero"], [tiny_run], device="cpu")
    assert [row.method for row in result.rows] == ["mean-image", "zero", "paper-2ch-1b"]
    assert result.rows[2].run == str(tiny_run)


def test_numbers_are_those_of_the_definition(tiny):
    with phasegan.open(tiny) as file:
        images = file.test.images().astype(float)
        mean = file.train.images().mean(axis=0)
    zero, flat = phasegan.evaluate(tiny, ["zero", "mean-image"]).rows
    assert zero.values["mse"] == pytest.approx(np.mean(images**2))
    assert flat.values["mse"] == pytest.approx(np.mean((images - mean) ** 2))
    per_image = zero.per_image["mse"]
    np.testing.assert_allclose(per_image, np.mean(images**2, axis=(1, 2)))


def test_json_is_strict_and_has_no_second_rows(tiny, tiny_run):
    document = phasegan.evaluate(tiny, [], [tiny_run], device="cpu").as_json()
    text = json.dumps(document, allow_nan=False)
    names = list(keys(json.loads(text)))
    assert names.count("rows") == 1
    assert not {"images", "results", "methods"} & set(names)
    row = document["rows"][0]
    assert isinstance(row["mse"], float)
    assert isinstance(row["mse_stderr"], float)
    assert len(row["per_image"]["mse"]) == len(document["sources"]["test"]) == 3


def test_a_perfect_method_has_null_psnr(tmp_path):
    from PIL import Image

    (tmp_path / "p").mkdir()
    for name in "ab":
        Image.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "p" / f"{name}.bmp")
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "p" / "c.png")
    phasegan.prepare(tmp_path / "p", tmp_path / "p.h5", size=16, test=1)
    row = phasegan.evaluate(tmp_path / "p.h5", ["mean-image"]).as_json()["rows"][0]
    assert row["mse"] == 0
    assert row["psnr"] is None
    assert row["mse_stderr"] is None
    assert row["exact"] == 1


def test_an_empty_test_split_says_what_to_do(tmp_path):
    phasegan.prepare("builtin", tmp_path / "n.h5", size=32, samples=2, test=0)
    with pytest.raises(InputError, match="test split is empty; prepare with --test"):
        phasegan.evaluate(tmp_path / "n.h5", ["zero"])


def test_unknown_methods_and_foreign_runs_are_refused_before_any_work(tiny, tmp_path):
    with pytest.raises(InputError, match="did you mean zero"):
        phasegan.evaluate(tiny, ["zeroo"])
    with pytest.raises(InputError, match="not a run folder"):
        phasegan.evaluate(tiny, [], [tmp_path])


def test_a_run_for_another_size_is_refused(tiny_run, tmp_path):
    phasegan.prepare("builtin", tmp_path / "o.h5", size=40, samples=2, test=1)
    with pytest.raises(InputError, match=r"\(40, 21\), the run .* takes \(32, 17\)"):
        phasegan.evaluate(tmp_path / "o.h5", [], [tiny_run], device="cpu")
