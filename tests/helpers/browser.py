"""A real browser, headless, for tests of what a person sees.

A test asks for the fixture `browser`, opens a page with `browser.get(url)`, and waits with the functions below:
pages build themselves after they have loaded. Without Chromium such tests skip, and say how to get it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SIZE = (1600, 1000)
SECONDS = 60  # the machine may be busy


def missing() -> str:
    """Why there is no browser here; empty when there is one."""
    names = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"no {' and no '.join(names)} on this machine: make browser installs both" if names else ""


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a big window and no profile of anyone's; it reaches this machine only."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--disable-dev-shm-usage",  # containers give it too little
        "--force-device-scale-factor=1",
        "--hide-scrollbars",
        # Names of other machines are not looked up: a page that needs the internet fails here as it would offline.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--window-size={SIZE[0]},{SIZE[1]}",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to run as root otherwise
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    try:
        driver.set_page_load_timeout(SECONDS)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    if why := missing():
        pytest.skip(why)
    with open_browser() as driver:
        yield driver


def text_of(browser: webdriver.Chrome) -> str:
    """What stands on the page, as a person reads it."""
    return browser.find_element(By.TAG_NAME, "body").text


def wait_until(browser: webdriver.Chrome, what: Callable[[], object], message: str, seconds: float = SECONDS) -> None:
    """Waits for something to become true; a page that redraws itself meanwhile is asked again."""
    waiting = WebDriverWait(browser, seconds, ignored_exceptions=[StaleElementReferenceException])
    waiting.until(lambda _: what(), message)


def wait_for_text(browser: webdriver.Chrome, *texts: str, seconds: float = SECONDS) -> str:
    """Waits until all of these stand on the page; returns all that stands there."""
    wait_until(browser, lambda: all(text in text_of(browser) for text in texts), f"waited for {texts}", seconds)
    return text_of(browser)


def wait_for_elements(
    browser: webdriver.Chrome, css: str, count: int = 1, seconds: float = SECONDS
) -> list[WebElement]:
    """Waits until at least so many elements match a CSS selector; returns them."""

    def found() -> list[WebElement]:
        return browser.find_elements(By.CSS_SELECTOR, css)

    wait_until(browser, lambda: len(found()) >= count, f"waited for {count} of {css}", seconds)
    return found()


def complaints(browser: webdriver.Chrome) -> list[str]:
    """The errors in the browser's console since this was last asked: scripts that failed, files that did not come."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def save_screenshot(browser: webdriver.Chrome, path: Path, colours: int = 128) -> None:
    """What the window shows, as a PNG with few colours, so that it is small enough for the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
