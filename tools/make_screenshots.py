"""The pictures of results/screenshots, made anew: python -m tools.make_screenshots [folder]

They are of the committed runs, by the browser that the tests use.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from selenium import webdriver

from dse.search.study.trial_log import read_study
from dse.ui.dashboard import Dashboard
from tests.helpers.browser import missing, open_browser, save_screenshot, wait_for_elements, wait_for_text, wait_until
from tests.helpers.nni_page import METRICS, add_columns, coloured, open_tab, shown_by_nni
from tests.helpers.paths import RESULTS

RUN = RESULTS / "cifar10-mixed-nano33ble"
FOUR = RESULTS / "four-explorers"  # few enough open values for NNI's plot of them


def of_dashboard(browser: webdriver.Chrome, out: Path) -> None:
    """Optuna's dashboard: the overview, and one trial."""
    with Dashboard(RUN) as dashboard:
        dashboard.start()
        browser.get(dashboard.url)
        wait_for_text(browser, "Pareto Front", "Best Trials", "Objective Values")
        wait_for_elements(browser, ".scatterlayer .points path", 16)  # the front is drawn
        save_screenshot(browser, out / "optuna-overview.png")
        browser.get(f"{dashboard.url}dashboard/studies/1/trials?numbers=6")
        wait_for_text(browser, "18 Trials", "Trial 6 (trial_id=7)", "User Attributes")
        save_screenshot(browser, out / "optuna-trial.png")


def of_nni(browser: webdriver.Chrome, out: Path) -> None:
    """NNI's web UI: the overview, the trials with their metrics, the hyper-parameters, the curves."""
    count = len(read_study(FOUR))
    with shown_by_nni(FOUR) as url:
        browser.get(f"{url}/oview")
        wait_for_text(browser, FOUR.name, "Best metric", "Top trials", "SUCCEEDED")
        wait_until(browser, lambda: coloured(browser) > 0, "waited for the best trials")
        save_screenshot(browser, out / "nni-overview.png")
        browser.get(f"{url}/detail")
        wait_for_elements(browser, ".ms-DetailsRow", min(count, 20))
        add_columns(browser, ["explorer (space)", *(f"{name} (metric)" for name in METRICS)])
        for tab, name in {"Hyper-parameter": "nni-hyper-parameters", "Intermediate result": "nni-epochs"}.items():
            before = coloured(browser)
            open_tab(browser, tab)
            wait_until(browser, lambda before=before: coloured(browser) not in (0, before), f"waited for {tab}")
            time.sleep(2)  # it is drawn with an animation
            save_screenshot(browser, out / f"{name}.png")
        browser.execute_script("document.querySelector('.ms-DetailsRow').scrollIntoView({block: 'start'})")
        browser.execute_script("window.scrollBy(0, -200)")
        save_screenshot(browser, out / "nni-trials.png")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "screenshots"
    if why := missing():
        sys.exit(why)
    with open_browser() as browser:
        of_dashboard(browser, out)
        of_nni(browser, out)
    for path in sorted(out.glob("*.png")):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
