"""A headless Chromium for tests that look at pages."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1", "--hide-scrollbars"),
)


@contextlib.contextmanager
def open_chromium(folder: Path) -> Iterator[Any]:
    """Give a driver whose profile lies in a folder; skip the test where there is none."""
    from selenium import webdriver
    from selenium.common.exceptions import SessionNotCreatedException
    from selenium.webdriver.chrome.service import Service

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    binary = next((path for name in names if (path := shutil.which(name))), None)
    server = shutil.which("chromedriver")
    if binary is None or server is None:
        pytest.skip(f"{'chromium' if binary is None else 'chromedriver'} is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    start = {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]}
    options.add_experimental_option("prefs", start)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("SE_AVOID_STATS", "true")
        try:
            driver = webdriver.Chrome(options=options, service=Service(server))
        except SessionNotCreatedException as error:
            pytest.skip(f"chromium does not start: {str(error.msg).splitlines()[0]}")
        try:
            driver.set_page_load_timeout(PATIENCE_S)
            yield driver
        finally:
            driver.quit()


def assert_nothing_fetched(driver: Any, address: str) -> None:
    """Assert that the page asked for files alone, and complained of nothing."""
    events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    own = [request for request in asked if not request["documentURL"].startswith("chrome")]
    addresses = [request["request"]["url"] for request in own]
    assert address in addresses
    assert all(re.match(r"file:|data:", each) for each in addresses), addresses
    entries = driver.get_log("browser")
    assert [entry for entry in entries if entry["level"] in ("SEVERE", "WARNING")] == []
