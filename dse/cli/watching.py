"""A search that can also be watched in a browser: what `dse search --ui` puts around its face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.search.record import TrialRecord

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.data.datasets import Data
    from dse.screening.feasibility import Nearest
    from dse.search.observer import Face
    from dse.search.settings import Settings
    from dse.search.summary import Summary
    from dse.ui.dashboard import Dashboard


class WithDashboard:
    """A face, and Optuna's dashboard from when the run has a study. Whatever becomes of that, the search goes on."""

    def __init__(self, face: Face, dashboard: Dashboard) -> None:
        self.face = face
        self.dashboard = dashboard
        self.started = False

    def began(self, settings: Settings, data: Data, nearest: Nearest, done: int) -> None:
        self.face.began(settings, data, nearest, done)
        self.dashboard.start()
        self.started = True
        self.face.note(f"ui:   {self.dashboard.url} (Optuna's dashboard, until the search ends)")

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        self.face.proposed(record, cost)

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        self.face.epoch(number, epoch, epochs, metrics)
        self._look_after()

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        self.face.ended(record, summary)
        self._look_after()

    def note(self, text: str) -> None:
        self.face.note(text)

    def _look_after(self) -> None:
        if self.started and not self.dashboard.alive():
            self.started = False
            self.face.note(f"ui:   the dashboard has ended; dse ui {self.dashboard.folder} opens it again")
