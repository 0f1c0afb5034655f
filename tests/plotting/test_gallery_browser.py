"""The gallery in a real browser: the large view by keyboard, widths, sizes, print, no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from phasegan.plotting.gallery import write_gallery
from phasegan.plotting.gallery_contents import Gallery, ImageRow, Section
from phasegan.tables import Column, Table, TableRow

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.chromium import PATIENCE_S, assert_nothing_fetched, open_chromium

COLUMNS = ("photo (A)", "→ B", "→ back to A", "identity")


def gallery() -> Gallery:
    rng = np.random.default_rng(0)

    def row(i: int, missing: int | None = None) -> ImageRow:
        tiles = [rng.integers(0, 256, (20, 30, 3), np.uint8) for _ in COLUMNS]
        return ImageRow(
            f"{i}.png", [None if j == missing else tile for j, tile in enumerate(tiles)]
        )

    return Gallery(
        "flowers",
        [
            Section("A → B", COLUMNS, [row(0), row(1, missing=1), row(2)]),
            Section(
                "B → A", COLUMNS[:3], [ImageRow(r.name, r.tiles[:3]) for r in map(row, range(6))]
            ),
        ],
        scores=Table(
            "Scores",
            (Column("", align="left"), *(Column(f"score {i}") for i in range(9))),
            (TableRow(("A → B", *["1,234.5"] * 9)),),
            "scores",
        ),
        advice="Look at the pictures.",
    )


class Browser:
    """A Chromium that shows a gallery."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver, self.address = driver, address

    def show(self, width: int = 1280, *, theme: str = "light", media: str = "") -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        command = self.driver.execute_cdp_cmd
        command("Emulation.setEmulatedMedia", {"media": media, "features": features})
        command("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(self.address)
        self.wait(lambda: self.all(".js [aria-haspopup]"))

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def press(self, key: str) -> str:
        """Press a key where the focus is; return what is shown large, row and column."""
        self.driver.switch_to.active_element.send_keys(key)
        return self.large()

    def large(self) -> str:
        if self.one("dialog").get_attribute("open") is None:
            return ""
        seen = [picture.get_attribute("alt") for picture in self.all(".stage .now")]
        visible = self.run(
            "return [...document.querySelectorAll('.stage img')]"
            ".filter((p) => getComputedStyle(p).visibility === 'visible').map((p) => p.alt)"
        )
        assert len(seen) == 1
        assert seen == visible
        return seen[0]

    def focused(self) -> str:
        return self.run("return document.activeElement.querySelector('img')?.alt ?? ''")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "gallery.html"
    write_gallery(path, gallery())
    with open_chromium(folder) as driver:
        yield Browser(driver, path.as_uri())


def test_it_works_from_disk_without_network_or_complaints(chromium):
    for log in ("browser", "performance"):
        chromium.driver.get_log(log)
    chromium.show()
    chromium.all(".open")[0].click()
    assert chromium.press(Keys.ARROW_RIGHT) == "0.png: → B"
    assert_nothing_fetched(chromium.driver, chromium.address)


def test_the_large_view_steps_through_columns_and_rows_by_keyboard(chromium):
    chromium.show()
    first = chromium.all(".open")[0]
    first.send_keys(Keys.ENTER)
    assert chromium.large() == "0.png: photo (A)"
    assert [chromium.press(Keys.ARROW_RIGHT) for _ in range(4)] == [
        f"0.png: {column}" for column in (*COLUMNS[1:], COLUMNS[0])
    ]
    assert chromium.press(Keys.ARROW_LEFT) == "0.png: identity"
    assert chromium.press(Keys.ARROW_UP) == "0.png: identity"
    assert chromium.press(Keys.ARROW_DOWN) == "1.png: identity"
    assert chromium.one(".said").text == "identity · 3 of 3"
    assert chromium.press(Keys.ARROW_LEFT) == "1.png: → back to A"
    assert chromium.press(Keys.ARROW_LEFT) == "1.png: photo (A)"
    assert chromium.press(Keys.ESCAPE) == ""
    chromium.wait(lambda: chromium.focused() == "1.png: photo (A)")


def test_the_column_is_kept_from_row_to_row_where_it_is_there(chromium):
    chromium.show()
    chromium.all(".open")[1].click()
    assert chromium.large() == "0.png: → B"
    assert chromium.press(Keys.ARROW_DOWN) == "1.png: photo (A)"
    assert chromium.press(Keys.ARROW_DOWN) == "2.png: → B"
    assert chromium.press(Keys.ARROW_UP) == "1.png: photo (A)"
    assert chromium.press(Keys.ARROW_UP) == "0.png: → B"
    chromium.one(".close").click()
    chromium.wait(lambda: chromium.focused() == "0.png: → B")


def test_pictures_of_a_row_take_each_others_place(chromium):
    chromium.show()
    chromium.all(".open")[0].click()
    places = chromium.run(
        "return [...document.querySelectorAll('.stage img')].map((p) => "
        "{ const { x, y, width, height } = p.getBoundingClientRect();"
        " return [x, y, width, height]; })"
    )
    assert len(places) == 4
    assert len({tuple(place) for place in places}) == 1
    x, y, width, height = places[0]
    assert x >= 0
    assert y >= 0
    assert x + width <= 1280
    assert 500 < y + height <= 900


def test_arrow_keys_lead_from_tile_to_tile(chromium):
    chromium.show()
    tile = chromium.all(".open")[0]
    tile.send_keys(Keys.ARROW_RIGHT)
    assert chromium.focused() == "0.png: → B"
    assert chromium.large() == ""
    chromium.press(Keys.ARROW_LEFT)
    assert chromium.focused() == "0.png: photo (A)"


def test_the_slider_changes_the_size_of_the_pictures(chromium):
    chromium.show()

    def beside() -> tuple[int, float]:
        strips = [strip.rect for strip in chromium.all("#section-2 .strip")]
        count = sum(strip["y"] == strips[0]["y"] for strip in strips)
        return count, chromium.one("#section-2 .open").rect["width"]

    slider = chromium.one(".size input")
    before = beside()
    slider.send_keys(Keys.HOME)
    small = beside()
    assert small[0] > before[0]
    assert small[1] < before[1]
    slider.send_keys(Keys.END)
    large = beside()
    assert large[0] == 1
    assert large[1] > before[1]
    assert slider.get_attribute("aria-valuetext") == "300 %"


@pytest.mark.parametrize(("width", "columns", "strips"), [(360, 2, 1), (1280, 4, 1), (2560, 4, 3)])
def test_the_page_fits_the_window(chromium, width, columns, strips):
    chromium.show(width)
    wide, window = chromium.run(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert wide <= window == width
    tiles = [tile.rect for tile in chromium.all("#section-1 .strip:first-child .tile")]
    assert sum(tile["y"] == tiles[0]["y"] for tile in tiles) == columns
    found = [strip.rect for strip in chromium.all("#section-1 .strip")]
    assert sum(strip["y"] == found[0]["y"] for strip in found) == strips
    chromium.all(".open")[1].click()
    assert chromium.large() == "0.png: → B"
    buttons = [button.rect for button in chromium.all(".head button")]
    assert all(b["x"] >= 0 and b["x"] + b["width"] <= width for b in buttons)


@pytest.mark.parametrize(("theme", "darkest", "lightest"), [("light", 200, 255), ("dark", 0, 60)])
def test_light_and_dark(chromium, theme, darkest, lightest):
    chromium.show(theme=theme)
    for element in ("body", ".bar"):
        ground = chromium.run(
            f"return getComputedStyle(document.querySelector('{element}')).backgroundColor"
        )
        assert all(darkest <= int(v) <= lightest for v in re.findall(r"\d+", ground))


def test_print_has_all_pictures_on_white_and_no_controls(chromium):
    chromium.show(700, theme="dark", media="print")
    assert not chromium.one(".bar").is_displayed()
    ground = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert all(tile.is_displayed() for tile in chromium.all(".tile img"))
    assert chromium.run("return document.documentElement.scrollWidth") <= 700
