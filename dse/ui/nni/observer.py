"""Shows a search on NNI's web UI, whoever else observes it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from dse.search.record import TrialRecord
from dse.search.run_folder import load_summary
from dse.ui.nni.experiment import NniExperiment

if TYPE_CHECKING:
    from dse.cost.report import CostReport
    from dse.data.datasets import Data
    from dse.screening.feasibility import Nearest
    from dse.search.observer import SearchObserver
    from dse.search.settings import Settings
    from dse.search.summary import Summary


class NniObserver:
    """Passes everything on to `inner`, and shows it on NNI's web UI, which ends when this context does."""

    def __init__(self, inner: SearchObserver, port: int) -> None:
        self.inner, self.port = inner, port
        self.experiment: NniExperiment | None = None

    def began(self, settings: Settings, data: Data, nearest: Nearest, summary: Summary) -> None:
        self.inner.began(settings, data, nearest, summary)
        workers = max(1, settings.workers)
        self.experiment = NniExperiment(
            settings.folder.name, settings.space, settings.explorers, self.port, workers, self.inner.note
        )
        for record in load_summary(settings.folder).records:
            self.experiment.show(record)

    def proposed(self, record: TrialRecord, cost: CostReport | None) -> None:
        self.inner.proposed(record, cost)
        if self.experiment:
            self.experiment.show(record)

    def goes_on(self, record: TrialRecord) -> None:
        self.inner.goes_on(record)
        if self.experiment:
            self.experiment.go_on(record)

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        self.inner.epoch(number, epoch, epochs, metrics)
        if self.experiment:
            self.experiment.epoch(number, epoch, metrics)

    def ended(self, record: TrialRecord, summary: Summary) -> None:
        self.inner.ended(record, summary)
        if self.experiment:
            self.experiment.show(record)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.experiment:
            self.experiment.close()
