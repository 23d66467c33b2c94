"""A search that can also be watched in a browser: what `dse search --ui` puts around its observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.search.record import TrialRecord

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.data.datasets import Data
    from dse.screening.feasibility import Nearest
    from dse.search.observer import SearchObserver
    from dse.search.settings import Settings
    from dse.search.summary import Summary
    from dse.ui.dashboard import Dashboard


class WithDashboard:
    """An observer, and Optuna's dashboard once the run has a study. Whatever becomes of that, the search goes on."""

    def __init__(self, observer: SearchObserver, dashboard: Dashboard) -> None:
        self.observer = observer
        self.dashboard = dashboard
        self.started = False

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None:
        self.observer.began(settings, data, nearest, summary)
        self.dashboard.start()
        self.started = True
        self.observer.note(f"ui:   {self.dashboard.url} (Optuna's dashboard, until the search ends)")

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        self.observer.proposed(record, cost)

    def goes_on(self, record: TrialRecord) -> None:
        self.observer.goes_on(record)

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        self.observer.epoch(number, epoch, epochs, metrics)
        self._look_after()

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        self.observer.ended(record, summary)
        self._look_after()

    def note(self, text: str) -> None:
        self.observer.note(text)

    def _look_after(self) -> None:
        if self.started and not self.dashboard.alive():
            self.started = False
            self.observer.note(f"ui:   the dashboard has ended; dse ui {self.dashboard.folder} opens it again")
