"""HTML pages of one file: a base template with style and script, shared by report and gallery.

Templates extend `page.html.jinja` and show tables by `table.html.jinja`.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from phasegan.tables import SortKey, Table, TableRow

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BREAKS = re.compile(r"([,_/])(?=\S)")


@dataclass(frozen=True)
class Fact:
    """A name and its value, such as "epochs" and "200".

    Parameters
    ----------
    name, value : str
        Any text.
    """

    name: str
    value: str


@dataclass(frozen=True)
class PageTable:
    """A table on a page, as `table.html.jinja` takes it.

    Parameters
    ----------
    table : Table
        Rows and footnotes.
    identifier : str
        Different for each table of the page.
    """

    table: Table
    identifier: str

    @property
    def marks(self) -> list[int]:
        """The number of each column's footnote, counted from 1; 0 for none."""
        order = [text for _, text in self.table.footnotes]
        return [
            order.index(column.explanation) + 1 if column.explanation else 0
            for column in self.table.columns
        ]

    @property
    def lines(self) -> Iterator[tuple[TableRow, list[str], str]]:
        """Each row with its cells and, as JSON, its sort keys."""
        keys = map(_json, self.table.sort_keys())
        return zip(self.table.rows, self.table.cells(), keys, strict=True)


def _json(keys: list[SortKey]) -> str:
    """Return sort keys as JSON; a number that is not finite counts as blank."""
    finite = [None if isinstance(k, float) and not math.isfinite(k) else k for k in keys]
    return json.dumps(finite, separators=(",", ":"))


def page_tables(tables: Iterable[Table]) -> list[PageTable]:
    """Give each table of a page an identifier that HTML takes and no other has.

    Parameters
    ----------
    tables : iterable of Table
        In the order of the page.

    Returns
    -------
    list of PageTable
        Identifiers begin with `table-`.
    """
    named: dict[str, PageTable] = {}
    for table in tables:
        stem = name = "table-" + (re.sub(r"[^\w-]+", "-", table.identifier).strip("-") or "1")
        count = 1
        while name in named:
            count += 1
            name = f"{stem}-{count}"
        named[name] = PageTable(table, name)
    return list(named.values())


def render_page(
    package: str,
    name: str,
    *,
    style: str = "",
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **context: Any,
) -> str:
    """Render a page with style and script inside, and a security policy that allows no other.

    Parameters
    ----------
    package : str
        Where `<name>.html.jinja`, `<name>.css` and `<name>.js` are.
    name : str
        Of the template; style and script stand behind those of all pages.
    style : str
        Rules at the end of the style.
    filters : mapping of callable, optional
        Further filters of the template.
    **context
        Variables of the template: `page` with `title`, `subtitle` and `footer`, and others.
        Texts are escaped.

    Returns
    -------
    str
        HTML, of a file to be written in UTF-8.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    def read(file: str) -> str:
        own = files(package).joinpath(file)
        source = own if own.is_file() else files("phasegan.plotting").joinpath(file)
        return source.read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: legible(value) if type(value) is str else value,
    )
    environment.filters |= {"breakable": _breakable, **(filters or {})}
    style = read("page.css") + read(f"{name}.css") + style
    script = read("page.js") + read(f"{name}.js")
    return environment.get_template(f"{name}.html.jinja").render(
        style=Markup(style),
        script=Markup(script),
        style_hash=_digest(style),
        script_hash=_digest(script),
        **context,
    )


def legible(text: str) -> str:
    """Replace the characters that HTML in UTF-8 cannot hold.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        With U+FFFD for control characters and lone surrogates.
    """
    return _UNWRITABLE.sub("\ufffd", text)


def data_address(data: bytes, kind: str) -> str:
    """Return an image as an address that holds it.

    Parameters
    ----------
    data : bytes
        A file of that kind.
    kind : str
        `png` or `webp`.

    Returns
    -------
    str
        `data:image/…;base64,…`.
    """
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def _breakable(text: str) -> Any:
    """Let a long name break after commas, underscores and slashes."""
    from markupsafe import Markup, escape

    return Markup(_BREAKS.sub(r"\1<wbr>", str(escape(legible(text)))))


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
