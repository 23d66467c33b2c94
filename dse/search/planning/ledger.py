"""plan.json in the folder of a run: what was planned, and how long it took, over all commands that worked on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse._util.files import write_atomic
from dse._util.units import duration_text
from dse.search.planning.plan import Plan
from dse.search.planning.speed import Measured, Speed

NAME = "plan.json"
EVERY = 10.0  # seconds, of which a kill loses no more


class Ledger(BaseModel):
    """The file; times in seconds, by stage."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    asked: dict[str, Any]
    networks: int = Field(ge=1)
    epochs: int = Field(ge=1)
    text: str
    planned: dict[str, float]
    took: dict[str, float] = {}
    measured: tuple[Measured, ...] = Field(min_length=1)

    @property
    def speed(self) -> Speed:
        """How fast this machine was."""
        return Speed(self.measured)


def write_plan(folder: Path, asked: Mapping[str, Any], plan: Plan, speed: Speed, took: Mapping[str, float]) -> None:
    """Keep a plan, beside what it was made for and by, and what stages of the run have taken already."""
    _write(
        folder,
        Ledger(
            asked=dict(asked),
            networks=plan.networks,
            epochs=plan.epochs,
            text=plan.text,
            planned={"search": round(plan.search), "export": round(plan.export)},
            took=dict(took),
            measured=tuple(speed.measured),
        ),
    )


def read_plan(folder: Path) -> Ledger | None:
    """What stands there; None where there is no plan, or none that can be read."""
    try:
        return Ledger.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def add_time(folder: Path, stage: str, seconds: float) -> bool:
    """A stage took so many seconds more. Without a plan nobody wants to know, and it is False."""
    ledger = read_plan(folder)
    if ledger is not None:
        took = {**ledger.took, stage: round(ledger.took.get(stage, 0.0) + seconds, 1)}
        _write(folder, ledger.model_copy(update={"took": took}))
    return ledger is not None


class Clock:
    """The time of one stage, which is written down while it goes on."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._folder, self._stage = folder, stage
        self._since = time.monotonic()

    def tick(self, every: float = EVERY) -> None:
        """Write down what has passed, if that is so much."""
        passed = time.monotonic() - self._since
        if passed >= every and add_time(self._folder, self._stage, passed):
            self._since += passed


def time_left(folder: Path, budget: float | None) -> float | None:
    """Seconds of a budget that are left for the search, after what it has taken and before the export."""
    if budget is None:
        return None
    ledger = read_plan(folder)
    return budget - (ledger.planned.get("export", 0.0) + ledger.took.get("search", 0.0) if ledger else 0.0)


def time_text(folder: Path) -> str:
    """How long each stage took, beside what was planned; empty without a plan."""
    ledger = read_plan(folder)
    if ledger is None:
        return ""
    return ", ".join(
        f"{stage} {duration_text(seconds)} ({duration_text(ledger.planned.get(stage, 0))} planned)"
        for stage, seconds in ledger.took.items()
    )


def _write(folder: Path, ledger: Ledger) -> None:
    write_atomic(folder / NAME, ledger.model_dump_json(indent=2) + "\n")
