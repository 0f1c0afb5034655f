"""A report page as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from markupsafe import Markup, escape

from phasegan.benchmark.report.contents import Figure, Page
from phasegan.plotting.page import data_address, legible, page_tables, render_page
from phasegan.plotting.style import INK

PICTURE_PIXELS = 256
"""A picture is shown at the largest whole enlargement that is not wider than this."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = {"pt": 4 / 3, "in": 96.0, "px": 1.0, "": 1.0}
_DRAWN = frozenset(
    [
        "svg",
        "g",
        "defs",
        "path",
        "use",
        "clipPath",
        "rect",
        "line",
        "circle",
        "ellipse",
        "polyline",
        "polygon",
        "image",
        "text",
        "tspan",
        "linearGradient",
        "radialGradient",
        "stop",
        "pattern",
        "mask",
        "symbol",
        "marker",
    ]
)
_XLINK = "{http://www.w3.org/1999/xlink}href"


def render(page: Page) -> str:
    """Return the page as HTML.

    Style, script and pictures are inside, and a content security policy allows
    no other. Each picture is stored once, however often it is shown; the file
    works from disk, without JavaScript and printed.

    Parameters
    ----------
    page : Page
        What it says. Its texts are escaped, so they may hold anything.

    Returns
    -------
    str
        Of a file to be written in UTF-8.

    Raises
    ------
    ValueError
        Where a picture is not PNG, two pictures of a specimen differ in size or
        a drawing is not SVG.
    """
    pool = _Pool()
    galleries = [
        (gallery, [_comparison(pool, s.reference, s.estimate) for s in gallery.specimens])
        for gallery in page.galleries
    ]
    drawings = [(figure, _drawing(figure, n)) for n, figure in enumerate(page.figures, start=1)]
    widths = sorted({picture.shown for picture in pool.pictures.values()})
    return render_page(
        "phasegan.benchmark.report",
        "report",
        style="".join(f".w{px} {{ --shown: {px}px; }}\n" for px in widths),
        filters={"words": _words},
        page=page,
        tables=page_tables(page.tables),
        drawings=drawings,
        galleries=galleries,
        pictures=list(pool.pictures.values()),
    )


def _words(text: str) -> Markup:
    """Keep the words of a command whole, which browsers break at hyphens."""
    parts = (escape(part) for part in re.split(r"(\s+)", legible(text)))
    return Markup("").join(
        Markup("<span>{}</span>").format(part) if part.strip() else part for part in parts
    )


@dataclass(frozen=True)
class _Picture:
    """A PNG that the page shows, perhaps in several places."""

    identifier: str
    width: int
    height: int
    address: str

    @property
    def shown(self) -> int:
        """Its width on the page, in CSS pixels."""
        if self.width > PICTURE_PIXELS:
            return PICTURE_PIXELS
        return self.width * (PICTURE_PIXELS // self.width)


@dataclass(frozen=True)
class _Pool:
    """The pictures of a page, each once."""

    pictures: dict[bytes, _Picture] = field(default_factory=dict)

    def add(self, png: bytes) -> _Picture:
        if png not in self.pictures:
            width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
            if not png.startswith(_PNG) or width * height == 0:
                raise ValueError("a picture of the report is not PNG")
            name = f"picture-{len(self.pictures) + 1}"
            self.pictures[png] = _Picture(name, width, height, data_address(png, "png"))
        return self.pictures[png]


def _comparison(pool: _Pool, reference: bytes, estimate: bytes) -> tuple[_Picture, _Picture]:
    left, right = pool.add(reference), pool.add(estimate)
    if (left.width, left.height) != (right.width, right.height):
        raise ValueError(
            f"reference of {left.width}×{left.height} pixels beside a reconstruction of "
            f"{right.width}×{right.height}"
        )
    return left, right


def _drawing(figure: Figure, number: int) -> Markup:
    """Return a drawing as an SVG element that fits the page.

    Only shapes and texts remain, with identifiers of their own and styles as
    attributes, so that no rule of one drawing reaches another or the page.
    """
    try:
        root = ElementTree.fromstring(figure.svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"the drawing {figure.title} is not SVG: {error}") from error
    _clean(root, f"drawing-{number}-")
    if root.tag != "svg":
        raise ValueError(f"the drawing {figure.title} is not SVG: its root is {root.tag}")
    for name in ("width", "height"):
        size = re.fullmatch(r"\s*([\d.]+)\s*(pt|in|px|)\s*", root.get(name, ""))
        root.attrib.pop(name, None)
        if size:
            root.set(name, f"{float(size[1]) * _PIXELS[size[2]]:.0f}")
    root.attrib |= {"role": "img", "aria-label": legible(figure.title)}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element, prefix: str) -> None:
    element.tag = element.tag.rpartition("}")[2]
    attributes = dict(element.attrib)
    style = attributes.pop("style", "")
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        attributes[name.strip()] = value.strip()
    element.attrib.clear()
    for name, value in attributes.items():
        kept = _attribute(name, value, prefix)
        if kept is not None:
            element.set(*kept)
    if element.tag not in ("text", "tspan"):
        element.text = None
    for child in list(element):
        if isinstance(child.tag, str) and child.tag.rpartition("}")[2] in _DRAWN:
            _clean(child, prefix)
            if element.tag not in ("text", "tspan"):
                child.tail = None
        else:
            element.remove(child)


def _attribute(name: str, value: str, prefix: str) -> tuple[str, str] | None:
    """Return an attribute as the page takes it, or None for one that it does not."""
    name = "href" if name == _XLINK else name
    if name == "href":
        if value.startswith("#"):
            return name, f"#{prefix}{value[1:]}"
        return (name, value) if value.startswith("data:image/") else None
    if name == "font":
        size = re.search(r"([\d.]+)px", value)
        return ("font-size", size[1]) if size else None
    if name == "id":
        return name, prefix + value
    if not re.fullmatch(r"[a-zA-Z][\w-]*", name) or name.lower().startswith("on"):
        return None
    if "url(" in value:
        local = re.fullmatch(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)", value)
        return (name, f"url(#{prefix}{local[1]})") if local else None
    return name, re.sub(re.escape(INK), "currentColor", value, flags=re.IGNORECASE)
