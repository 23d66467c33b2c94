"""Several explorers on one table, and which of them is better."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import DseError
from dse.hardware.boards import Board
from dse.hardware.budget import Budgets
from dse.search.explorers.names import parse_explorers
from dse.search.fidelity.names import Fidelity
from dse.search.settings import Settings
from dse.simulation.comparison import Difference, difference
from dse.simulation.runs import Simulated, Simulator
from dse.simulation.table import Table
from dse.simulation.yardstick import Yardstick
from dse.tasks import Task

MARKS = (10, 20, 40, 80, 160, 320, 640, 1000, 2000, 5000, 10_000)
SHOWN_MARKS = 5
EXACT = 1e-6  # of a training: sums of parts of it
WHOLE = ("grid", "nni:gridsearch", "optuna:grid")


@dataclass(frozen=True)
class Searches:
    """All searches of one explorer."""

    explorer: str
    runs: list[Simulated]
    # (runs, trainings): of the front's hypervolume, after the work of so many whole trainings; the last where a search
    # ended early
    shares: np.ndarray
    seconds: np.ndarray | None  # (runs, trainings): that this work took, where the table says and nothing is cut

    def at(self, mark: int) -> tuple[float, float, float]:
        """Mean and quartiles after so many trainings."""
        shares = self.shares[:, mark - 1]
        low, high = np.quantile(shares, [0.25, 0.75])
        return float(shares.mean()), float(low), float(high)

    @property
    def networks(self) -> float:
        """Distinct networks that were trained, in the mean."""
        return float(np.mean([len(run.rows) for run in self.runs]))

    @property
    def milliseconds(self) -> float:
        """That a proposal took, with all that the search does for it."""
        return 1000 * sum(run.seconds for run in self.runs) / max(1, sum(run.proposals for run in self.runs))


@dataclass(frozen=True)
class Report:
    """What the explorers did."""

    table: Table
    objectives: list[str]
    limits: dict[str, dict[str, float]]
    fitting: int  # rows of the table
    trials: int
    seeds: int
    fidelity: Fidelity = "full"
    searches: list[Searches] = field(default_factory=list)

    @property
    def marks(self) -> list[int]:
        """Numbers of trainings for which shares are shown."""
        below = [mark for mark in MARKS if mark < self.trials]
        return [*below[-SHOWN_MARKS + 1 :], self.trials]

    @property
    def about(self) -> str:
        """What was searched, as a sentence."""
        rows, twins = len(self.table.rows), self.table.twins
        fit = f", of which {self.fitting:,} fit" if self.fitting < rows else ""
        same = f" ({twins:,} more rows are the same networks)" if twins else ""
        cut = f"; {self.fidelity}, counted in whole trainings" if self.fidelity != "full" else ""
        return f"{self.table.space.name}: {rows:,} networks{same}{fit}; objectives {', '.join(self.objectives)}{cut}"

    @cached_property
    def differences(self) -> list[Difference]:
        """Of the best explorer and each other one, after all trainings, the next best first."""
        order = sorted(self.searches, key=lambda one: -one.at(self.trials)[0])
        best, *others = order
        return [difference(best.explorer, best.shares[:, -1], other.explorer, other.shares[:, -1]) for other in others]

    def sentences(self) -> Iterator[str]:
        """What follows from it."""
        for found in self.differences:
            yield f"after {self.trials} trainings {found.sentence}"
        for one in self.searches:
            replaced, proposals = (sum(getattr(run, name) for run in one.runs) for name in ("replaced", "proposals"))
            if replaced:
                yield (
                    f"{one.explorer}: {replaced:,} of {proposals:,} proposals are not in the table, and the nearest "
                    "network that is was taken"
                )
            short = sum(len(run.rows) < self.trials for run in one.runs)
            if short and self.fidelity == "full":
                yield f"{one.explorer}: {short} of {len(one.runs)} searches ended before {self.trials} trainings"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "space": self.table.space.name,
            "networks": len(self.table.rows),
            "twins": self.table.twins,
            "fitting": self.fitting,
            "objectives": self.objectives,
            "fidelity": self.fidelity,
            "limits": self.limits,
            "trials": self.trials,
            "seeds": self.seeds,
            "explorers": [
                {
                    "explorer": one.explorer,
                    "shares": {str(mark): one.at(mark)[0] for mark in self.marks},
                    "quartiles": {str(mark): list(one.at(mark)[1:]) for mark in self.marks},
                    "networks": one.networks,
                    "proposals": sum(run.proposals for run in one.runs),
                    "infeasible": sum(run.infeasible for run in one.runs),
                    "not_in_table": sum(run.replaced for run in one.runs),
                    "ms_per_proposal": round(one.milliseconds, 2),
                    "by_training": one.shares.mean(axis=0).round(5).tolist(),
                }
                for one in self.searches
            ],
            "differences": [
                {
                    "explorers": [found.first, found.second],
                    "difference": found.mean,
                    "interval": [found.low, found.high],
                    "p": found.chance,
                }
                for found in self.differences
            ],
        }


def simulate(
    table: Table,
    explorers: Sequence[str],
    objectives: Sequence[str],
    boards: tuple[Board, ...],
    budgets: Budgets,
    *,
    trials: int,
    seeds: int,
    best_of: int = 1,
    fidelity: Fidelity = "full",
    progress: Callable[[str], None] = lambda explorer: None,
) -> Report:
    """Search a table with each explorer under so many seeds. `progress` is told of every search that has ended.

    Raises DseError for unknown explorers, and where nothing in the table fits.
    """
    objectives = list(dict.fromkeys(objectives))
    task = Task(task="table", dataset="folder", accuracy="float", objectives=objectives)
    shares = {name: parse_explorers([name]) for name in explorers}
    for name in explorers:
        if name in WHOLE and len(table.rows) + table.twins < table.space.size():
            raise DseError(f"{name} goes through a whole space, and the table has a part of it")
    settings = Settings(table.space, task, boards, budgets, Path(), trials=trials, best_of=best_of)
    yardstick = Yardstick(table, settings)
    if not yardstick.fitting:
        raise DseError(f"none of the {len(table.rows):,} networks of the table keeps to the limits")
    trials = min(trials, yardstick.fitting)
    report = Report(table, objectives, budgets.limits(), yardstick.fitting, trials, seeds, fidelity)
    with tempfile.TemporaryDirectory(prefix="dse-simulated-") as folder:  # of searches that leave nothing in theirs
        simulator = Simulator(table, replace(settings, folder=Path(folder), trials=trials, fidelity=fidelity))
        for name in explorers:
            runs = []
            for seed in range(seeds):
                runs.append(simulator.run(shares[name], seed))
                progress(name)
            report.searches.append(_searches(name, runs, table, yardstick, trials))
    return report


def _searches(name: str, runs: list[Simulated], table: Table, yardstick: Yardstick, trials: int) -> Searches:
    found = np.array([_by_work(yardstick.shares(run.rows), run.work, trials) for run in runs])
    seconds = None
    if all(row.seconds is not None for row in table.rows) and all(len(run.rows) == run.steps for run in runs):
        took = [np.cumsum([table.rows[row].seconds or 0.0 for row in run.rows]) for run in runs]
        seconds = np.array([_by_work(one, run.work, trials) for one, run in zip(took, runs, strict=True)])
    return Searches(name, runs, found, seconds)


def _by_work(values: np.ndarray, work: Sequence[float], count: int) -> np.ndarray:
    """After 1, 2, ... whole trainings what the last of them gave that was ended until then; 0 before the first.

    >>> _by_work(np.array([0.5, 0.7]), [1.3, 2.0], 4)
    array([0. , 0.7, 0.7, 0.7])
    """
    ended = np.searchsorted(np.array(work) - EXACT, np.arange(1, count + 1), side="right")
    return np.concatenate([[0.0], values])[ended]
