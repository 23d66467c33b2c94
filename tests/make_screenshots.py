"""The pictures of results/screenshots, made anew: python -m tests.make_screenshots [folder]

They are of the committed run, by the browser that the tests use.
"""

from __future__ import annotations

import sys
from pathlib import Path

from selenium import webdriver

from dse.dashboard import Dashboard
from tests.browser import missing, open_browser, save_screenshot, wait_for_elements, wait_for_text

RESULTS = Path(__file__).parent.parent / "results"
RUN = RESULTS / "cifar10-mixed-nano33ble"


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


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "screenshots"
    if why := missing():
        sys.exit(why)
    with open_browser() as browser:
        of_dashboard(browser, out)
    for path in sorted(out.glob("*.png")):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
