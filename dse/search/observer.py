"""Who watches a search."""

from __future__ import annotations

from typing import Protocol

from dse.cost.report import CostReport
from dse.data.datasets import Data
from dse.screening.feasibility import Nearest
from dse.search.record import TrialRecord
from dse.search.settings import Settings
from dse.search.summary import Summary


class SearchObserver(Protocol):
    """Who watches a search: the terminal, or a test."""

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None: ...
    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None: ...
    def goes_on(self, record: TrialRecord) -> None: ...
    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None: ...
    def ended(self, record: TrialRecord, summary: Summary) -> None: ...
    def note(self, text: str) -> None: ...
