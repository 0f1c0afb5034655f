"""The report page: structure, escaping, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from PIL import Image

from phasegan.benchmark.report.contents import (
    Figure,
    ImagePair,
    MethodGallery,
    Page,
)
from phasegan.benchmark.report.render import render
from phasegan.plotting.page import Fact
from phasegan.plotting.style import INK
from phasegan.tables import Column, Table, TableRow

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&--\x00\ud800"
VOID = {"meta", "link", "input", "br", "wbr", "hr", "img"}


class Document(HTMLParser):
    """Elements with attributes and texts; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str, of_class: str = "") -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not of_class or of_class in attributes.get("class", "").split())
        ]

    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag not in ("script", "style"))


def png(seed: int, size: int = 16) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def drawing(label: str = "samples") -> str:
    figure = Drawing(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4], color="#2f7fd1")
    axes.set_xlabel(label, color=INK)
    axes.patch.set_visible(False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True)
    return stream.getvalue()


def page(text: str = "physics", **changes: object) -> Page:
    columns = (
        Column("method", align="left"),
        Column("MSE", format="{:,.0f}".format, explanation=f"mean of squares {text}"),
        Column("± s.e.", explanation=f"mean of squares {text}"),
        Column("training", format="{:.0f} s".format, explanation="time"),
    )
    rows = (
        TableRow((f"{text},a", 1234.0, 5.0, 2.0)),
        TableRow((text, None, float("nan"), 9.0), "estimated"),
        TableRow((text, None, None, None), "failed", "", f"why {text}"),
        TableRow((text, 18575.0, None, None), "quoted", f"badge {text}"),
    )
    tables = tuple(
        Table(f"table {text}", columns, rows, identifier, (f"note {text}",), f"caption {text}")
        for identifier in ("main", f"id {text}", "main")
    )
    reference = png(0)
    specimens = tuple(
        ImagePair(label, reference, png(i), f"source {text}", f"MSE {text}")
        for i, label in enumerate(("best", "median", "worst"), start=1)
    )
    contents: dict[str, object] = {
        "title": f"title {text}",
        "subtitle": f"subtitle {text}",
        "summary": (f"summary {text}",),
        "warnings": (f"warning {text}",),
        "tables": tables,
        "figures": (
            Figure(f"one {text}", drawing(), f"caption {text}", (f"{text}.svg",)),
            Figure("two", drawing()),
        ),
        "galleries": (
            MethodGallery(f"gallery {text}", f"about {text}", specimens),
            MethodGallery("other", "", specimens[:1]),
        ),
        "machine": (Fact(f"name {text}", f"value {text}"),),
        "commands": (f"phasegan bench --data '{text}'", "phasegan inspect x"),
        "notes": (f"last {text}",),
        "footer": f"footer {text}",
    }
    return Page(**{**contents, **changes})  # type: ignore[arg-type]


def test_tags_nest_and_identifiers_are_unique():
    document = Document(render(page()))
    identifiers = [a["id"] for _, a in document.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, identifiers[0]) in identifiers
        link = attributes.get("href", "")
        if link.startswith("#"):
            assert link[1:] in identifiers, (tag, link)


def test_every_text_is_there():
    text = Document(render(page("αβ"))).text()
    for start in (
        *("title", "subtitle", "summary", "warning", "table", "caption", "mean of squares"),
        *("note", "why", "badge", "gallery", "about", "MSE", "name", "value", "last", "footer"),
    ):
        assert f"{start} αβ" in text
    assert "estimate, not run" in text
    assert "phasegan bench --data 'αβ'" in text
    assert "source αβ" in text


def test_hostile_texts_stay_texts():
    html = render(page(HOSTILE))
    html.encode("utf-8")
    document = Document(html)
    assert len(document.all("script")) == 1
    assert len(document.all("style")) == 1
    assert document.all("img") == []
    assert not any(name.startswith("on") for _, a in document.elements for name in a)
    assert "<script>alert(1)</script>" in document.text()
    assert "\x00" not in html
    assert all(
        json.loads(body["data-keys"])[0].startswith(HOSTILE) for body in document.all("tbody")
    )


def test_hostile_drawings_lose_what_is_not_drawing():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'viewBox="0 0 1 1" onload="alert(1)"><script>alert(1)</script>'
        '<a xlink:href="javascript:alert(1)"><path d="M0 0"/></a>'
        '<image xlink:href="https://example.org/x.png"/><rect fill="url(https://example.org/)"/>'
        '<use href="https://example.org/x.svg#a"/><style>* { fill: red }</style>'
        "<foreignObject><p>hello</p></foreignObject></svg>"
    )
    document = Document(render(Page("t", figures=(Figure(HOSTILE, svg),))))
    assert len(document.all("script")) == 1
    assert len(document.all("style")) == 1
    assert "example.org" not in json.dumps(document.elements)
    assert "javascript:" not in json.dumps(document.elements)
    assert not any("onload" in attributes for _, attributes in document.elements)
    with pytest.raises(ValueError, match="not SVG"):
        render(Page("t", figures=(Figure("x", "<p>"),)))
    with pytest.raises(ValueError, match="not SVG"):
        render(Page("t", figures=(Figure("x", "<p/>"),)))


def test_nothing_comes_from_outside():
    html = render(page())
    document = Document(html)
    for _, attributes in document.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"$|#|data:", attributes.get(name, "")), attributes
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import|@font-face", html)
    assert "http" not in re.sub(r"http-equiv", "", html)


def test_policy_allows_the_style_and_the_script_that_are_inside():
    html = render(page())
    policy = Document(html).all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in attributes for _, attributes in Document(html).elements)


def test_pictures_are_stored_once():
    document = Document(render(page()))
    pool = [a for a in document.all("image") if a.get("id", "").startswith("picture-")]
    assert len(pool) == 4
    stored = {base64.b64decode(a["href"].partition(",")[2]) for a in pool}
    assert stored == {png(i) for i in range(4)}
    assert len(document.all("input")) == 4
    assert [a["max"] for a in document.all("input")] == ["16"] * 4
    assert len([a for a in document.all("use") if a["href"].startswith("#picture-")]) == 8


@pytest.mark.parametrize(
    ("size", "shown"), [(16, 256), (48, 240), (128, 256), (200, 200), (300, 256)]
)
def test_pictures_are_enlarged_by_whole_factors(size, shown):
    specimen = ImagePair("best", png(0, size), png(1, size))
    html = render(Page("t", galleries=(MethodGallery("g", "", (specimen,)),)))
    assert f".w{shown} {{ --shown: {shown}px; }}" in html


def test_drawings_are_apart_and_follow_the_ink():
    html = render(page())
    document = Document(html)
    assert INK not in html.partition("</style>")[2]
    assert "currentColor" in html
    assert "#2f7fd1" in html
    drawings = [a for a in document.all("svg") if "stroke-linejoin" in a]
    assert [a["aria-label"] for a in drawings] == ["one physics", "two"]
    assert [(a["role"], a["width"], a["height"]) for a in drawings] == [("img", "288", "192")] * 2
    used = {a["href"][1:] for a in document.all("use")}
    assert any(name.startswith("drawing-1-") for name in used)
    assert any(name.startswith("drawing-2-") for name in used)


def test_columns_with_one_explanation_share_a_footnote():
    html = render(page())
    notes = re.findall(r'id="(table-main-note-\d)"', html)
    assert notes == ["table-main-note-1", "table-main-note-2"]
    assert html.count('href="#table-main-note-1"') == 2
    assert "<b>MSE, ± s.e.</b>" in html


def test_lines_carry_what_they_sort_by_and_how_they_came():
    bodies = Document(render(page())).all("tbody")[:4]
    assert [body["class"] for body in bodies] == ["ok", "estimated", "failed", "quoted"]
    assert [json.loads(body["data-keys"]) for body in bodies][:2] == [
        ["physics,a", 1234.0, 5.0, 2.0],
        ["physics", None, None, 9.0],
    ]


def test_long_names_may_break():
    html = render(page("encodings cascade,mean,white"))
    assert "encodings cascade,<wbr>mean,<wbr>white,<wbr>a" in html


def test_an_empty_page_is_a_page():
    document = Document(render(Page("only a title")))
    assert document.all("table") == []
    assert "only a title" in document.text()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="2 columns, but a row of 1 values"):
        Table("t", (Column("a"), Column("b")), (TableRow((1.0,)),), "t")
    for reference, estimate in ((b"GIF89a", png(0)), (png(0), png(0, 8)), (b"\x89PNG", png(0))):
        gallery = MethodGallery("g", "", (ImagePair("best", reference, estimate),))
        with pytest.raises(ValueError, match=r"not PNG|beside a reconstruction"):
            render(Page("t", galleries=(gallery,)))
