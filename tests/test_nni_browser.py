"""What a person sees of a run on NNI's web UI, in a real browser."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from dse.study import read_study
from tests.browser import wait_for_elements, wait_for_text, wait_until
from tests.test_nni_ui import STATES, all_ended, free_port
from tests.test_workers import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.nni]
ICONS = " \n" + "".join(map(chr, range(0xE000, 0xF900)))  # letters of a font that is fetched from the web
METRICS = ["params", "macs", "arena_bytes", "flash_bytes", "accuracy_float"]
RUN = Path(__file__).parent.parent / "results" / "cifar10-mixed-nano33ble"


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


def table_rows(browser: webdriver.Chrome) -> list[dict[str, str]]:
    """The rows of the table of trials, each by NNI's name of the column."""
    return [
        {
            str(cell.get_attribute("data-automation-key")): cell.text.strip(ICONS)
            for cell in row.find_elements(By.CSS_SELECTOR, "[role=gridcell]")
        }
        for row in browser.find_elements(By.CSS_SELECTOR, ".ms-DetailsRow")
    ]


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


def test_a_person_sees_the_trials(browser: webdriver.Chrome) -> None:
    """The overview, the table with all metrics, the plots, the curves and the log of a real run."""
    records = read_study(RUN)
    complete = [record for record in records if record.outcome == "complete"]
    best = max(complete, key=lambda record: record.values["accuracy"])
    with shown_by_nni(RUN) as url:
        browser.get(f"{url}/oview")
        overview = wait_for_text(browser, RUN.name, "Best metric", "Top trials", "SUCCEEDED")
        assert f"{best.values['accuracy']:.6f}" in overview

        browser.get(f"{url}/detail")
        wait_for_elements(browser, ".ms-DetailsRow", len(records))
        add_columns(browser, ["explorer (space)", *(f"{name} (metric)" for name in METRICS)])
        rows = table_rows(browser)
        assert len(rows) == len(records)
        for record, row in zip(records, rows, strict=True):
            assert row["sequenceId"] == str(record.number)
            assert row["status"] == STATES[record.outcome]
            assert row["space/explorer"] == record.explorer
            if record in complete:
                assert row["latestAccuracy"] == f"{record.values['accuracy']:g} (FINAL)"
                for name in METRICS:
                    assert float(row[f"metric/{name}"]) == record.values[name]

        empty = coloured(browser)
        open_tab(browser, "Hyper-parameter")
        axes = {label.text for label in wait_for_elements(browser, "svg text.label", 10)}
        assert axes >= {"explorer", "default", *(path for record in records for path in record.params)}
        wait_until(browser, lambda: coloured(browser) > 20 * empty, "waited for the lines of the hyper-parameter plot")

        open_tab(browser, "Intermediate result")
        wait_for_text(browser, "# Intermediate result")
        wait_until(browser, lambda: coloured(browser) > 20 * empty, "waited for the curves")

        infeasible = next(record for record in records if record.outcome == "infeasible")
        browser.find_elements(By.CSS_SELECTOR, ".ms-DetailsRow [data-automation-key=_expand] i")[
            infeasible.number
        ].click()
        lines = wait_for_text(browser, f'explorer:"{infeasible.explorer}"').splitlines()
        for path, value in infeasible.params.items():
            plain = int(value) if isinstance(value, float) and value.is_integer() else value  # as JavaScript has it
            assert f"{path}:{json.dumps(plain)}" in lines
        press(browser, "[role=tab]", "Log")
        press(browser, "button", "View trial log")
        wait_until(browser, lambda: len(browser.window_handles) == 2, "waited for the log")
        browser.switch_to.window(browser.window_handles[1])
        wait_for_text(browser, f"trial {infeasible.number} {infeasible.id}", f"infeasible: {infeasible.reason}")
        browser.close()
        browser.switch_to.window(browser.window_handles[0])
