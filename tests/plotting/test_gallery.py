"""A gallery is one file that holds all it shows and escapes all it says."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phasegan.plotting.animation import animate
from phasegan.plotting.gallery import CRISP, render, write_gallery
from phasegan.plotting.gallery_contents import Gallery, ImageRow, Section
from phasegan.plotting.page import Fact
from phasegan.tables import Column, Table, TableRow

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}\ud800\x00"
FETCHING = {"src", "srcset", "href", "poster", "data", "action", "background"}
VOID = {"meta", "link", "img", "wbr", "source", "input", "br"}


class Document(HTMLParser):
    """Elements in order, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def all(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not kind or kind in (attributes.get("class") or "").split())
        ]


def section(rng, rows, columns=("photo (A)", "→ B", "→ back to A"), side=20, title="A → B"):
    return Section(
        title,
        columns,
        [
            ImageRow(
                f"{i}.png", [rng.integers(0, 256, (side, side + 4, 3), np.uint8) for _ in columns]
            )
            for i in range(rows)
        ],
    )


def scores(text: str) -> Table:
    columns = (Column("", align="left"), Column(text))
    rows = (TableRow((text, text)), TableRow((text, text), "baseline"))
    return Table(text, columns, rows, "scores", (text,))


def full(rng, tmp_path: Path, text: str = "text") -> Gallery:
    stream = io.BytesIO()
    Image.new("RGB", (30, 20)).save(stream, "PNG")
    frames = [(epoch, rng.integers(0, 256, (2, 3, 16, 16), np.uint8)) for epoch in (1, 2)]
    animate(frames, frames[0][1], tmp_path / "a.webp")
    grey = rng.integers(0, 256, (12, 8), np.uint8)
    return Gallery(
        text,
        [
            Section(text, [text, text], [ImageRow(text, [grey, None], text)], text),
            section(rng, 3),
        ],
        text,
        [Fact(text, text)],
        scores(text),
        f"{text}\n\n{text}",
        text,
        stream.getvalue(),
        (tmp_path / "a.webp").read_bytes(),
        text,
    )


def shown(attributes) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition("base64,")[2])))


def test_nothing_is_fetched(rng, tmp_path):
    text = render(full(rng, tmp_path))
    document = Document(text)
    addresses = [
        str(value)
        for _, attributes in document.elements
        for name, value in attributes.items()
        if name in FETCHING
    ]
    assert len(addresses) > 12
    assert all(address.startswith(("data:", "#")) for address in addresses)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    policy = document.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_hostile_texts_stay_texts(rng, tmp_path):
    tame, hostile = full(rng, tmp_path), full(rng, tmp_path, HOSTILE)
    write_gallery(tmp_path / "g.html", hostile)
    found = Document((tmp_path / "g.html").read_text(encoding="utf-8"))
    expected = Document(render(tame))
    tags = [[tag for tag, _ in document.elements if tag != "wbr"] for document in (found, expected)]
    assert tags[0] == tags[1]
    assert not any(name.startswith("on") for _, given in found.elements for name in given)
    kept = HOSTILE.replace("\ud800", "\ufffd").replace("\x00", "\ufffd")
    assert "".join(found.texts).count(kept) == "".join(expected.texts).count("text")
    assert {given["alt"] for given in found.all("img")} >= {f"{kept}: {kept}"}


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_there_is_a_strip_a_row_and_a_tile_a_column(rng, rows):
    document = Document(render(Gallery("g", [section(rng, rows), section(rng, 2)])))
    assert len(document.all("article", "strip")) == rows + 2
    assert len(document.all("figure", "tile")) == len(document.all("img")) == 3 * (rows + 2)
    assert len(document.all("button", "open")) == 3 * (rows + 2)
    assert [a["alt"] for a in document.all("img")][:1] == ["0.png: photo (A)"]
    assert ("No pictures." in document.texts) == (rows == 0)


def test_what_is_missing_keeps_its_place(rng):
    tile = rng.integers(0, 256, (8, 8), np.uint8)
    one = Section("s", ["a", "b", "c"], [ImageRow("r", [None, tile, None])])
    document = Document(render(Gallery("g", [one])))
    assert len(document.all("figure", "tile")) == 3
    assert [a["aria-label"] for a in document.all("div", "missing")] == ["r: a, none", "r: c, none"]
    assert [a["alt"] for a in document.all("img")] == ["r: b"]


@pytest.mark.parametrize("shape", [(CRISP, CRISP, 3), (5, CRISP), (7, 9, 1)])
def test_small_pictures_are_kept_exactly_and_enlarged_in_squares(rng, shape):
    tile = rng.integers(0, 256, shape, np.uint8)
    document = Document(render(Gallery("g", [Section("s", ["c"], [ImageRow("r", [tile])])])))
    (picture,) = document.all("img", "crisp")
    assert (picture["width"], picture["height"]) == (str(shape[1]), str(shape[0]))
    expected = tile if shape[2:] == (3,) else np.repeat(tile.reshape(*shape[:2], 1), 3, 2)
    np.testing.assert_array_equal(np.asarray(shown(picture).convert("RGB")), expected)


def test_large_pictures_are_kept_nearly_and_enlarged_smoothly():
    ramp = np.add.outer(np.arange(CRISP + 40), np.arange(200)).astype(np.uint8) // 2
    document = Document(render(Gallery("g", [Section("s", ["c"], [ImageRow("r", [ramp])])])))
    assert document.all("img", "crisp") == []
    kept = np.asarray(shown(document.all("img")[0]).convert("L"), int)
    assert kept.shape == ramp.shape
    assert np.abs(kept - ramp).mean() < 2


def test_the_still_of_the_animation_is_its_last_frame(rng, tmp_path):
    gallery = full(rng, tmp_path)
    (source,) = Document(render(gallery)).all("source")
    assert source["media"] == "print, (prefers-reduced-motion: reduce)"
    still = shown({"src": source["srcset"]}).convert("RGB")
    animation = Image.open(io.BytesIO(gallery.animation))
    animation.seek(1)
    difference = np.asarray(still, int) - np.asarray(animation.convert("RGB"), int)
    assert np.abs(difference).mean() < 8
    animation.seek(0)
    other = np.asarray(still, int) - np.asarray(animation.convert("RGB"), int)
    assert np.abs(other).mean() > np.abs(difference).mean()


def test_what_is_absent_has_no_heading_and_no_link(rng):
    document = Document(render(Gallery("g", [section(rng, 1)])))
    links = [a["href"] for a in document.all("a")]
    assert links == ["#contents", "#section-1"]
    assert document.all("table") == document.all("source") == document.all("dl") == []


def test_every_link_leads_somewhere(rng, tmp_path):
    document = Document(render(full(rng, tmp_path)))
    names = {given["id"] for _, given in document.elements if "id" in given}
    targets = [given["href"][1:] for given in document.all("a")]
    assert len(targets) == 7
    assert set(targets) <= names


def test_rows_that_do_not_fit_their_columns_are_refused(rng):
    tile = rng.integers(0, 256, (8, 8), np.uint8)
    with pytest.raises(ValueError, match="2 columns"):
        Section("s", ["a", "b"], [ImageRow("r", [tile])])


def test_pictures_of_another_format_are_refused(rng, tmp_path):
    png = full(rng, tmp_path).training
    with pytest.raises(ValueError, match="not a PNG"):
        render(Gallery("g", [], training=b"GIF89a"))
    with pytest.raises(ValueError, match="not WebP"):
        render(Gallery("g", [], animation=png))
