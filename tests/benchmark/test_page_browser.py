"""The report page in a real browser: sorting, sliders, widths, dark, print, no network."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.benchmark.report.contents import ImagePair, MethodGallery, Page
from phasegan.benchmark.report.render import render
from phasegan.plotting.page import Fact
from phasegan.tables import Column, Table, TableRow

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.chromium import PATIENCE_S, assert_nothing_fetched, open_chromium

CONTRASTS = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = parts(getComputedStyle(element).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const texts = document.createTreeWalker(document.querySelector(".page"), NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
  const [x, y] = [parts(getComputedStyle(element).color), behind(element)].map(light);
  found.push([(Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05), element.className,
              texts.currentNode.data]);
}
return found.sort((a, b) => a[0] - b[0]);
"""
PLACES = """
return [...document.querySelectorAll(".picture")].slice(0, 2).map((picture) => {
  const { left, right, top, width } = picture.getBoundingClientRect();
  return { left, right, top, width, clip: getComputedStyle(picture).clipPath };
});
"""


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def page() -> Page:
    many = 11
    errors = (900.0, 18031.0, 1234.5, None, 441.0, None)
    seconds = (0.85, 12.0, None, 200.0, 7500.0, None)
    times = ("850 ms", "12 s", "–", "3 min 20 s", "2 h 05 min", "")
    names = ("physics, encodings cascade,mean,white", "zero", "shrinkage", "late", "map", "blank")
    statuses = ("ok", "baseline", "skipped", "estimated", "quoted", "failed")
    columns = (
        Column("method", align="left"),
        Column("average MSE", format="{:,.0f}".format, explanation="mean of the squared error"),
        Column("training", format=lambda pair: pair[1], sort_key=lambda pair: pair[0]),
        *(Column(f"column {i}", format="{:,.0f}".format) for i in range(many)),
    )
    rows = tuple(
        TableRow(
            (name, error, None if time == "–" else (second, time), *[17999.0] * many),
            status,
            detail="the loss was not finite in epoch 3: lower the rate" * (status == "failed"),
        )
        for name, error, time, second, status in zip(
            names, errors, times, seconds, statuses, strict=True
        )
    )
    ramp = np.add.outer(np.arange(32), np.arange(32)) * 4
    noise = np.random.default_rng(0).integers(0, 256, (32, 32))
    specimens = tuple(
        ImagePair(label, png(ramp), png(noise), "test/1.jpg", "MSE 441 · SSIM 0.71")
        for label in ("best", "median", "worst")
    )
    return Page(
        "What each part is worth",
        "scenes.h5",
        ("The best is map.",),
        ("A smoke test.",),
        (Table("Results", columns, rows, "main", ("quoted: as published.",), "Lower is better."),),
        (),
        (MethodGallery("physics", "seed 0", specimens),),
        (Fact("processor", "AMD EPYC"),),
        ("phasegan bench --case published.toml --data scenes.h5 --seed 0 --seed 1 --device cpu",),
        ("A note.",),
        "phasegan",
    )


class Browser:
    """A Chromium that shows the report."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver, self.address = driver, address

    def command(self, name: str, **parameters: Any) -> None:
        self.driver.execute_cdp_cmd(name, parameters)

    def show(
        self, width: int = 1280, *, theme: str = "light", media: str = "", script: bool = True
    ) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)
        self.command("Emulation.setScriptExecutionDisabled", value=not script)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.driver.get(self.address)
        if script:
            self.wait(lambda: self.all("thead button") and self.all(".scroll.fits, [tabindex]"))

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def column(self, index: int) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll('table tbody')]"
            f".map((body) => body.rows[0].cells[{index}].textContent)"
        )

    def sorted(self) -> list[str | None]:
        return [cell.get_attribute("aria-sort") for cell in self.all("thead th")[:3]]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    path: Path = folder / "report.html"
    path.write_text(render(page()), encoding="utf-8")
    with open_chromium(folder) as driver:
        yield Browser(driver, path.as_uri())


def test_it_works_from_disk_without_network_or_complaints(chromium):
    for log in ("browser", "performance"):
        chromium.driver.get_log(log)
    chromium.show()
    chromium.one("thead button").click()
    chromium.one(".compare input").send_keys(Keys.ARROW_RIGHT)
    chromium.one(".copy").click()
    chromium.wait(lambda: chromium.one(".copy").text in ("copied", "selected"))
    assert chromium.driver.title == "What each part is worth"
    assert_nothing_fetched(chromium.driver, chromium.address)


def test_the_report_of_a_bench_opens_without_complaints(chromium, tiny, tmp_path):
    options = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}
    report = phasegan.bench(2, 1, data=tiny, output=tmp_path / "b", **options)
    chromium.driver.get_log("browser")
    chromium.driver.get((report.path / "report.html").as_uri())
    chromium.wait(lambda: chromium.all("thead button"))
    measured = {row.method for row in report.rows if row.measured}
    assert len(chromium.all(".compare")) == 3 * len(measured)
    assert len(chromium.all("figure svg, .figure svg")) >= 2
    assert chromium.run("return document.documentElement.scrollWidth") <= 1280
    entries = chromium.driver.get_log("browser")
    assert [entry for entry in entries if entry["level"] in ("SEVERE", "WARNING")] == []


def test_headings_sort_by_number_and_leave_blanks_last(chromium):
    chromium.show()
    before = chromium.column(0)
    assert chromium.sorted() == [None, None, None]
    heading = chromium.all("thead button")[1]
    heading.click()
    assert chromium.column(1) == ["441", "900", "1,234", "18,031", "–", "–"]
    assert chromium.sorted() == [None, "ascending", None]
    heading.click()
    assert chromium.column(1) == ["18,031", "1,234", "900", "441", "–", "–"]
    assert chromium.sorted() == [None, "descending", None]
    heading.click()
    assert chromium.column(0) == before
    assert chromium.sorted() == [None, None, None]
    assert "not finite" in chromium.all("tbody")[-1].text


def test_headings_sort_by_keyboard(chromium):
    chromium.show()
    times = chromium.all("thead button")[2]
    times.send_keys(Keys.ENTER)
    ascending = ["850 ms", "12 s", "3 min 20 s", "2 h 05 min"]
    assert chromium.column(2)[:4] == ascending
    assert chromium.sorted() == [None, None, "ascending"]
    times.send_keys(Keys.SPACE)
    assert chromium.column(2)[:4] == ascending[::-1]
    chromium.all("thead button")[0].send_keys(Keys.SPACE)
    assert chromium.sorted() == ["ascending", None, None]
    assert chromium.column(0)[0].startswith("blank")


def test_the_divider_moves_by_keyboard_and_by_hand(chromium):
    chromium.show()
    box, slider = chromium.one(".compare"), chromium.one(".compare input")
    chromium.run("document.querySelector('.compare').scrollIntoView({ block: 'center' })")

    def split() -> float:
        clip = chromium.run(PLACES)[1]["clip"]
        return float(re.search(r"([\d.]+)%\)$", clip)[1])

    def pixels() -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(box.screenshot_as_png)).convert("L"), int)

    reference, estimate = chromium.run(PLACES)
    assert (reference["left"], reference["width"]) == (estimate["left"], 256)
    assert reference["clip"] == "none"
    assert split() == 50
    slider.send_keys(Keys.ARROW_RIGHT * 8)
    assert split() == 75
    assert slider.get_attribute("aria-valuetext") == "75 % reference"
    right = pixels()
    ActionChains(chromium.driver, duration=50).move_to_element_with_offset(
        slider, 64, 0
    ).click_and_hold().move_by_offset(-64, 0).move_by_offset(-64, 0).release().perform()
    chromium.wait(lambda: split() != 75)
    assert split() == pytest.approx(25, abs=4)
    changed = np.abs(pixels() - right)[:256] > 0
    assert changed[:, 80:180].mean() > 0.8
    assert changed[:, :48].mean() == changed[:, 212:256].mean() == 0
    slider.send_keys(Keys.END)
    assert split() == 100


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_is_never_wider_than_the_window(chromium, width):
    chromium.show(width)
    wide, window = chromium.run(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert wide <= window == width
    inner, outer = chromium.run(
        "const e = document.querySelector('.scroll'); return [e.scrollWidth, e.clientWidth]"
    )
    if width == 360:
        assert inner > outer
        chromium.run("document.querySelector('.scroll').scrollLeft = 300")
        name, box = chromium.one("tbody th").rect, chromium.one(".scroll").rect
        assert name["x"] == pytest.approx(box["x"], abs=1)
        assert chromium.one(".detail p").rect["width"] <= box["width"]
        assert chromium.one(".scroll").get_attribute("tabindex") == "0"


@pytest.mark.parametrize(("theme", "darkest", "lightest"), [("light", 200, 255), ("dark", 0, 60)])
def test_texts_stand_out(chromium, theme, darkest, lightest):
    chromium.show(theme=theme)
    ground = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert all(darkest <= int(v) <= lightest for v in re.findall(r"\d+", ground))
    worst = chromium.run(CONTRASTS)
    assert len(worst) > 50
    assert worst[0][0] >= 4.5, worst[:3]


def side_by_side(browser: Browser) -> bool:
    reference, estimate = browser.run(PLACES)
    return (
        reference["top"] == estimate["top"]
        and reference["right"] <= estimate["left"]
        and reference["clip"] == estimate["clip"] == "none"
        and not browser.one(".compare input").is_displayed()
    )


def test_print_shows_the_pictures_side_by_side_on_white(chromium):
    chromium.show(700, theme="dark", media="print")
    assert side_by_side(chromium)
    ground = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert not chromium.one("nav").is_displayed()
    assert chromium.run(CONTRASTS)[0][0] >= 4.5


def test_without_javascript_everything_is_there(chromium):
    try:
        for _ in range(10):  # now and then Chromium runs the scripts all the same
            chromium.show(script=False)
            chromium.command("Emulation.setScriptExecutionDisabled", value=False)
            if "js" not in chromium.run("return document.documentElement.className"):
                break
        assert side_by_side(chromium)
        assert chromium.all("thead button") == []
        assert "not finite" in chromium.one("tbody.failed").text
    finally:
        chromium.command("Emulation.setScriptExecutionDisabled", value=False)
