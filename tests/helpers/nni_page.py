"""NNI's web page and its REST API, asked by a test."""

from __future__ import annotations

import http.client
import http.server
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By

from dse.search.study.trial_log import read_study
from tests.helpers.browser import wait_for_elements, wait_until
from tests.helpers.processes import free_port, wait_for

STATES = {"complete": "SUCCEEDED", "repeated": "SUCCEEDED", "infeasible": "EARLY_STOPPED", "failed": "FAILED"}


def ask(port: int, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of what the web server says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    with suppress(json.JSONDecodeError):
        return response.status, json.loads(text)
    return response.status, text


def jobs(port: int) -> dict[int, dict[str, Any]]:
    """The trials that NNI knows, by their number; none while it starts."""
    with suppress(OSError, http.client.HTTPException):
        status, found = ask(port, "/api/v1/nni/trial-jobs")
        if status == 200 and isinstance(found, list):
            return {job["sequenceId"]: job for job in found}
    return {}


def all_ended(port: int, count: int) -> bool:
    known = jobs(port)
    return len(known) == count and all(job["status"] in STATES.values() for job in known.values())


ICONS = " \n" + "".join(map(chr, range(0xE000, 0xF900)))  # letters of a font that is fetched from the web


METRICS = ["params", "macs", "arena_bytes", "flash_bytes", "accuracy_float"]


@contextmanager
def shown_by_nni(run: Path) -> Iterator[str]:
    """`dse ui RUN --ui nni` as a person starts it, when all its trials are there: its address."""
    port = free_port()
    program = "from dse.cli import main; main()"
    command = [sys.executable, "-c", program, "ui", str(run), "--ui", "nni", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: all_ended(port, len(read_study(run))))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130


def press(browser: webdriver.Chrome, css: str, text: str) -> None:
    """Clicks the element of that text, when it is there."""

    def pressed() -> bool:
        for element in browser.find_elements(By.CSS_SELECTOR, css):
            if element.text.strip(ICONS) == text:
                browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
                element.click()
                return True
        return False

    wait_until(browser, pressed, f"waited for {css} with {text!r}")


def open_tab(browser: webdriver.Chrome, name: str) -> None:
    """One of the four plots above the table of trials."""
    wait_for_elements(browser, "[role=tab]", 4)
    press(browser, "[role=tab]", name)


def add_columns(browser: webdriver.Chrome, names: list[str]) -> None:
    """Ticks columns of the table of trials."""
    press(browser, "button", "Add/Remove columns")
    for name in names:
        press(browser, ".ms-Dialog-main .ms-Checkbox label", name)
    press(browser, ".ms-Dialog-main button", "Save")
    wait_for_elements(browser, "[role=columnheader]", 5 + len(names))


def coloured(browser: webdriver.Chrome) -> int:
    """How many pixels of the plots on the page are neither white, grey nor black."""
    return int(
        browser.execute_script(
            """
            let found = 0;
            for (const canvas of document.querySelectorAll('canvas')) {
              if (!canvas.width || !canvas.height) continue;
              const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
              for (let i = 0; i < data.length; i += 4) {
                const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
                if (data[i + 3] > 0 && Math.max(r, g, b) - Math.min(r, g, b) > 40) found += 1;
              }
            }
            return found;
            """
        )
    )
