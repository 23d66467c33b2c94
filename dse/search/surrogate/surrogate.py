"""What trials say of networks that were not trained: by how much each is expected to better the front."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.cost.metrics import ACCURACY
from dse.errors import NetworkError
from dse.search.costing import Costing, Known
from dse.search.record import TrialRecord
from dse.search.surrogate.encoding import Encoding
from dse.search.surrogate.gain import BudgetSpread
from dse.search.surrogate.gaussian_process import GaussianProcess, Points
from dse.space.conditions import Assignment
from dse.space.neighbours import Neighbours
from dse.space.space import Space

SAMPLE = 200  # random networks, by which sizes and costs are scaled
DRAWN_FOR_ONE = 20  # random assignments for each network that is to fit, at most
DESCENT_ROUNDS, DESCENT_WIDTH = 40, 20
MOST_CHANGES = 3  # of a neighbour
FEW_BUDGETS = 64  # by which those are found
LEARNED_FROM = 400  # trials at most: those nearest to the front, and some of the others
MARGIN = 0.1  # of the range of costs, above it: a network beyond all others is worth something too
LEAST_ERROR = 0.002  # errors below count as this
SHORTER = 0.1  # how much less sure a training of a third is than a whole one, as a part of the variance of all


@dataclass(frozen=True)
class Sketch:
    """A network before it is trained."""

    assignment: Assignment
    known: Known
    row: np.ndarray  # its choices, of the encoding
    costs: tuple[float, ...]  # logarithms of those among the objectives

    @property
    def fits(self) -> bool:
        """Whether it keeps to the limits."""
        return self.known.excess <= 0


@dataclass(frozen=True)
class _Shown:
    """What trials have shown."""

    sketches: list[Sketch]
    reached: np.ndarray  # (sketches,), the larger the better
    unsure: np.ndarray  # (sketches,), of a process; 0 after a whole training

    def part(self, which: Sequence[int]) -> _Shown:
        chosen = list(which)
        return _Shown([self.sketches[index] for index in chosen], self.reached[chosen], self.unsure[chosen])

    def with_more(self, sketches: list[Sketch], reached: np.ndarray) -> _Shown:
        return _Shown(
            self.sketches + sketches,
            np.concatenate([self.reached, reached]),
            np.concatenate([self.unsure, np.zeros(len(sketches))]),
        )


class Surrogate:
    """Of one search: its space, what its networks cost, and its objectives."""

    def __init__(self, space: Space, costing: Costing, objectives: Sequence[str], seed: int) -> None:
        nodes = space.template.nodes
        self._neighbours, self._encoding = Neighbours(nodes), Encoding(nodes)
        self._costing, self._objectives = costing, list(objectives)
        self._costs = [name for name in objectives if name != ACCURACY]
        self._seed = seed
        self._of_trials: dict[int, Sketch | None] = {}
        self._of_complete: dict[int, tuple[TrialRecord, Sketch | None, float]] = {}  # by the record that it was read of
        sample = self.fitting(self.rng(0, "scale"), SAMPLE)
        if not sample:
            raise NetworkError(space.name, "no network was found in the space")
        sizes = np.array([sketch.known.sizes for sketch in sample])
        spread = sizes.std(axis=0)
        self._center, self._scale = sizes.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)
        self._low, self._high = _ends(self.costs(sample))

    # -- networks

    @property
    def every(self) -> Sequence[Assignment] | None:
        """All assignments that there are; None where they are too many."""
        return self._costing.every

    def rng(self, number: int, purpose: str) -> np.random.Generator:
        """Chance for one purpose after so many trials: the same after a restart."""
        return np.random.default_rng((self._seed, zlib.crc32(purpose.encode()), number))

    def sketches(self, assignments: Iterable[Assignment], rough: bool = False) -> list[Sketch]:
        """Those of them that are networks, with what they cost or roughly so."""
        costing = self._costing.rough if rough else self._costing
        found = [(assignment, known) for assignment in assignments if (known := costing(assignment))]
        rows = self._encoding.rows([assignment for assignment, _ in found])
        return [
            Sketch(assignment, known, row, tuple(math.log(max(known.costs[name], 1e-9)) for name in self._costs))
            for (assignment, known), row in zip(found, rows, strict=True)
        ]

    def near(self, centers: Sequence[Assignment], count: int, rng: np.random.Generator) -> list[Sketch]:
        """So many neighbours of these, as far as they fit, roughly."""
        if not centers:
            return []
        changed = [self._changed(centers[number % len(centers)], rng) for number in range(count)]
        return [sketch for sketch in self.sketches(changed, rough=True) if sketch.fits]

    def fitting(self, rng: np.random.Generator, count: int) -> list[Sketch]:
        """Random networks that fit, roughly; where hardly any does, those that a descent from the nearest comes to."""
        if self.every is not None:
            fitting = self.all_that_fit
            return [fitting[index] for index in rng.permutation(len(fitting))[:count]]
        fitting, nearest = list[Sketch](), list[Sketch]()
        for _ in range(DRAWN_FOR_ONE):
            drawn = self.sketches((self._neighbours.random(rng) for _ in range(count)), rough=True)
            fitting += [sketch for sketch in drawn if sketch.fits]
            nearest = _nearest(nearest + drawn)
            if len(fitting) >= count:
                return fitting[:count]
        for _ in range(DESCENT_ROUNDS):
            changed = self.sketches((self._changed(sketch.assignment, rng) for sketch in nearest), rough=True)
            fitting += [sketch for sketch in changed if sketch.fits]
            nearest = _nearest(nearest + changed)
            if len(fitting) >= count:
                break
        return fitting or nearest

    @cached_property
    def all_that_fit(self) -> list[Sketch]:
        """Every network that fits, where all are known."""
        return [sketch for sketch in self.sketches(self.every or ()) if sketch.fits]

    def _changed(self, assignment: Assignment, rng: np.random.Generator) -> Assignment:
        return self._neighbours.changed(assignment, int(rng.integers(1, MOST_CHANGES + 1)), rng)

    # -- as numbers

    def costs(self, sketches: Sequence[Sketch]) -> np.ndarray:
        """Logarithms of the costs among the objectives, (sketches, costs)."""
        return np.array([sketch.costs for sketch in sketches], float).reshape(len(sketches), len(self._costs))

    def points(self, sketches: Sequence[Sketch]) -> Points:
        """As the process sees them."""
        sizes = np.array([sketch.known.sizes for sketch in sketches])
        return Points(np.array([sketch.row for sketch in sketches]), (sizes - self._center) / self._scale)

    # -- trials

    def seen(self, records: Sequence[TrialRecord]) -> int:
        """How many trials it would learn from, those that run included."""
        return sum(record.outcome in ("complete", "failed", "running") for record in records)

    def outlook(self, records: Sequence[TrialRecord]) -> Outlook:
        """What these trials say; at least one of them has ended or runs."""
        shown, running = self._thinned(self._shown(records)), self._running(records)
        if not shown.sketches:
            shown, running = shown.with_more(running, np.zeros(len(running))), []
        process = GaussianProcess(self.points(shown.sketches), shown.reached, shown.unsure)
        if running:  # they count as what is expected of them, so that the next is another
            expected, _ = process.predict(self.points(running))
            shown = shown.with_more(running, expected)
            process = process.with_more(self.points(shown.sketches), shown.reached, shown.unsure)
        costs = self.costs(shown.sketches)
        low, high = _ends(np.concatenate([costs, self._low[None], self._high[None]]))
        budgets = BudgetSpread(low, high + MARGIN * (high - low))
        front = [shown.sketches[index].assignment for index in budgets.holders(shown.reached, costs)]
        return Outlook(self, process, budgets, budgets.best(shown.reached, costs), front)

    def _shown(self, records: Sequence[TrialRecord]) -> _Shown:
        sketches, reached, failed = list[Sketch](), list[float](), list[Sketch]()
        unsure, to_come = list[float](), _to_come(records)
        for record in records:
            if record.outcome == "complete":
                sketch, accuracy = self._trained(record)
                if sketch is not None:
                    sketches.append(sketch)
                    reached.append(accuracy if record.share == 1 else accuracy + to_come.get(record.share, 0.0))
                    unsure.append(0.0 if record.share == 1 else SHORTER * math.log(1 / record.share, 3))
            elif record.outcome == "failed" and (sketch := self._of_trial(record)) is not None:
                failed.append(sketch)
        shown = _Shown(sketches, np.array(reached), np.array(unsure))
        # What could not be trained is as bad as the worst that could.
        return shown.with_more(failed, np.full(len(failed), min(reached, default=0.0)))

    def _thinned(self, shown: _Shown) -> _Shown:
        if len(shown.sketches) <= LEARNED_FROM:
            return shown
        costs = self.costs(shown.sketches)
        behind = BudgetSpread(*_ends(costs), FEW_BUDGETS).behind(shown.reached, costs)
        order = np.argsort(behind, kind="stable")
        near = LEARNED_FROM * 3 // 4
        others = np.sort(order[near:])
        some = others[:: -(-len(others) // (LEARNED_FROM - near))]
        return shown.part(sorted([*order[:near].tolist(), *some.tolist()]))

    def _running(self, records: Sequence[TrialRecord]) -> list[Sketch]:
        found = [self._of_trial(record) for record in records if record.outcome == "running"]
        return [sketch for sketch in found if sketch is not None]

    def _trained(self, record: TrialRecord) -> tuple[Sketch | None, float]:
        """The network of a complete trial, if it can be learned from, and what it reached."""
        known = self._of_complete.get(record.number)
        if known is None or known[0] is not record:
            has_all = all(name in record.values for name in self._objectives)
            found = self._of_trial(record) if has_all else None
            # Without accuracy among the objectives there is none to learn.
            self._of_complete[record.number] = known = (record, found, _reached(record.values.get(ACCURACY, 0.0)))
        return known[1:]

    def _of_trial(self, record: TrialRecord) -> Sketch | None:
        if record.number not in self._of_trials:
            self._of_trials[record.number] = next(iter(self.sketches([record.params])), None)
        return self._of_trials[record.number]


@dataclass(frozen=True)
class Outlook:
    """What some trials say of other networks."""

    surrogate: Surrogate
    process: GaussianProcess
    budgets: BudgetSpread
    best: np.ndarray  # that was reached within each budget
    front: list[Assignment]  # the networks that reached it

    def gains(self, sketches: Sequence[Sketch]) -> np.ndarray:
        """By how much each is expected to better the front, (sketches,)."""
        mean, deviation = self.process.predict(self.surrogate.points(sketches))
        return self.budgets.gain(mean, deviation, self.surrogate.costs(sketches), self.best)


def _reached(accuracy: float) -> float:
    """Accuracy as a number in which to halve the error is worth as much anywhere."""
    return -math.log(max(1 - accuracy, LEAST_ERROR))


def _to_come(records: Sequence[TrialRecord]) -> dict[float, float]:
    """What is still to be gained after a share of a training: the mean of those that were trained on, step by step."""
    gained: dict[tuple[float, float], list[float]] = {}
    for record in records:
        if record.outcome == "complete" and record.earlier:
            steps = [*record.earlier, [record.share, record.seeds[0]]]
            for (before, low), (after, high) in itertools.pairwise(steps):
                gained.setdefault((before, after), []).append(_reached(high) - _reached(low))
    found: dict[float, float] = {}
    for (before, after), values in sorted(gained.items(), reverse=True):
        found[before] = float(np.mean(values)) + found.get(after, 0.0)
    return found


def _ends(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest of each column."""
    return costs.min(axis=0), costs.max(axis=0)


def _nearest(sketches: Sequence[Sketch]) -> list[Sketch]:
    """Those that break their limits least."""
    return sorted(sketches, key=lambda sketch: sketch.known.excess)[:DESCENT_WIDTH]
