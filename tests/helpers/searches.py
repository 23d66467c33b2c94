"""Small searches, and one who watches them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dse.hardware.boards import load_board
from dse.hardware.budget import Budgets
from dse.search.record import TrialRecord
from dse.search.settings import Settings
from dse.space.space import parse_space
from dse.tasks import load_task

TINY = """
space: tiny
stem: {block: conv, channels: 8, stride: 4}
stages:
  - block: conv
    channels: {choice: [8, 16, 64]}
    stride: 2
    kernel: {choice: [1, 3]}
  - block: separable
    channels: {choice: [8, 16]}
training: {augment: none, batch_size: 200}
"""


class Watcher:
    """Keeps what a search tells its observer."""

    def __init__(self) -> None:
        self.records: list[TrialRecord] = []
        self.notes: list[str] = []
        self.epochs: list[tuple[int, int]] = []

    def began(self, settings, data, nearest, summary) -> None:  # type: ignore[no-untyped-def]
        self.done = summary.trained

    def proposed(self, record, cost) -> None:  # type: ignore[no-untyped-def]
        pass

    def goes_on(self, record) -> None:  # type: ignore[no-untyped-def]
        assert record.more is not None

    def epoch(self, number: int, epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        self.epochs.append((number, epoch))

    def ended(self, record, summary) -> None:  # type: ignore[no-untyped-def]
        self.records.append(record)

    def note(self, text: str) -> None:
        self.notes.append(text)


def settings(folder: Path, **changes) -> Settings:  # type: ignore[no-untyped-def]
    board = load_board("nano33ble")
    task = load_task("cifar10").model_copy(update={"accuracy": "float"})
    base = Settings(parse_space(TINY, "tiny.yaml"), task, (board,), Budgets.of_boards([board]), folder, workers=0)
    return dataclasses.replace(base, **({"trials": 3, "epochs": 1, "data": "sample"} | changes))
