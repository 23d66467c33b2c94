"""What a person sees of a run on NNI's web UI, in a real browser."""

from __future__ import annotations

import json

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from dse.search.study.trial_log import read_study
from tests.helpers.browser import wait_for_elements, wait_for_text, wait_until
from tests.helpers.nni_page import (
    ICONS,
    METRICS,
    STATES,
    add_columns,
    coloured,
    open_tab,
    press,
    shown_by_nni,
)
from tests.helpers.paths import RUN

pytestmark = [pytest.mark.browser, pytest.mark.nni]


def table_rows(browser: webdriver.Chrome) -> list[dict[str, str]]:
    """The rows of the table of trials, each by NNI's name of the column."""
    return [
        {
            str(cell.get_attribute("data-automation-key")): cell.text.strip(ICONS)
            for cell in row.find_elements(By.CSS_SELECTOR, "[role=gridcell]")
        }
        for row in browser.find_elements(By.CSS_SELECTOR, ".ms-DetailsRow")
    ]


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
