"""Trainings in steps: all networks shortly, the better ones longer, the best in full (successive halving).

A search with `halving` trains every network for a ninth of its epochs, or on a ninth of the images. Of those that came
so far a third goes on, as soon as they are known to be among the best third: asynchronously (Li et al. 2020, ASHA, with
a factor of 3). Which ones is decided by the order of non-dominated fronts; within one the most accurate comes first,
and then what adds most to the hypervolume of those before it. What is due follows from the records alone, so a restart
changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.cost.metrics import ACCURACY
from dse.network.recipes import without_recipe
from dse.network.training import Training
from dse.search.fidelity.names import Fidelity
from dse.search.pareto import non_dominated, signed
from dse.search.record import Step, TrialRecord
from dse.search.surrogate.gain import BudgetSpread, log_costs

FACTOR = 3  # of those that came to a step one in so many goes on, to a training so many times as long
SHARES = (1 / 9, 1 / 3, 1.0)


@dataclass(frozen=True)
class Part:
    """What is trained in a step: for so many epochs, on that share of the images."""

    epochs: int
    images: float
    epochs_before: int


@dataclass(frozen=True)
class Rungs:
    """The steps of a search."""

    fidelity: Fidelity
    objectives: Sequence[str]
    cut: tuple[float, ...] = SHARES  # into what trainings are cut, where they are cut
    epochs: int | None = None  # of the shortest training: each step is to have one more at least
    given: frozenset[str] = frozenset()  # settings of training that a person or a space said, which no recipe changes

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the whole training, for each step.

        >>> Rungs("halving", [], epochs=4).shares == SHARES[1:]
        True
        """
        if self.fidelity == "full":
            return (1.0,)
        if self.fidelity == "halving:data" or self.epochs is None:
            return self.cut
        ends = [epochs_of(self.epochs, share) for share in self.cut]
        nexts = [*ends[1:], math.inf]
        return tuple(share for share, end, later in zip(self.cut, ends, nexts, strict=True) if end < later)

    @property
    def pieces(self) -> list[float]:
        """What each step adds to the one before it, of the whole training."""
        return [share - before for before, share in itertools.pairwise((0.0, *self.shares))]

    @property
    def first(self) -> Step:
        """What every network begins with."""
        return Step(self.shares[0])

    @property
    def work(self) -> float:
        """Whole trainings that a network costs in the mean, of many."""
        return float(sum(more / FACTOR**place for place, more in enumerate(self.pieces)))

    def done(self, records: Sequence[TrialRecord]) -> float:
        """Whole trainings that these trials took."""
        complete = sum(record.share + len(record.seeds) - 1 for record in records if record.outcome == "complete")
        return complete + self.first.share * sum(record.outcome == "failed" for record in records)

    def due(self, records: Sequence[TrialRecord], closing: bool) -> tuple[TrialRecord, Step] | None:
        """A network that is to be trained on, and how far; those of the last step before the end come first.

        `closing`: no new network comes any more, so that a part of a third counts as one.
        """
        trained = [record for record in records if record.outcome == "complete"]
        for share, next_share in reversed(list(itertools.pairwise(self.shares))):
            here = [record for record in trained if record.reached(share) is not None]
            allowed = -(-len(here) // FACTOR) if closing else len(here) // FACTOR
            # Those that were stopped on the way have left their place to another.
            went_on = sum(record.share > share or record.more is not None for record in here)
            if went_on < allowed and (record := self._best(here, share)):
                return record, Step(next_share)
        return None

    def part(self, whole: int, done: float, step: Step) -> Part:
        """What is left of a training of `whole` epochs, of which so much is done."""
        if step.seed or self.fidelity == "full":
            return Part(whole, 1.0, 0)
        if self.fidelity == "halving:data":
            epochs = max(1, round(whole * (1 - done / step.share)))
            return Part(epochs, step.share, whole - epochs if done else 0)
        before = epochs_of(whole, done) if done else 0
        return Part(epochs_of(whole, step.share) - before, 1.0, before)

    def parts(self, whole: int) -> list[Part]:
        """The steps of a training of `whole` epochs."""
        pairs = itertools.pairwise((0.0, *self.shares))
        return [self.part(whole, done, Step(share)) for done, share in pairs]

    def training(self, whole: Training, part: Part) -> Training:
        """The settings of a step, with the recipe of its own length."""
        if part.epochs == whole.epochs:
            return whole
        settings = without_recipe(whole.to_dict(), self.given) | {"epochs": part.epochs}
        return Training(**settings).with_settings({})

    def _best(self, here: Sequence[TrialRecord], share: float) -> TrialRecord | None:
        """The best of them that can go on."""
        rows = [{**record.values, ACCURACY: record.reached(share) or 0.0} for record in here]
        points = signed(rows, self.objectives)
        accuracy = np.array([row[ACCURACY] for row in rows])
        names = [name for name in self.objectives if name != ACCURACY]
        costs = log_costs(rows, names)
        left = np.arange(len(here))
        while len(left):
            on_front = non_dominated(points[left])
            front = left[on_front]
            for place in by_gain(accuracy[front], costs[front]):
                record = here[int(front[place])]
                if record.share == share and record.more is None and not record.stopped:
                    return record
            left = left[~on_front]
        return None


def by_gain(accuracy: np.ndarray, costs: np.ndarray) -> list[int]:
    """Networks of one front: the most accurate, and then in an order in which each adds the most to the hypervolume of
    those before it.

    >>> by_gain(np.array([0.7, 0.69, 0.5]), np.array([[3.0], [2.9], [1.0]]))  # the second hardly adds to the first
    [0, 2, 1]
    """
    low, high = costs.min(axis=0), costs.max(axis=0)
    spread = BudgetSpread(low, high + 0.1 * (high - low))
    worth = accuracy - accuracy.min() + 0.1 * max(1e-6, float(np.ptp(accuracy)))
    within = spread.within(costs)
    best, left, found = np.zeros(within.shape[1]), np.arange(len(accuracy)), list[int]()
    while len(left):
        gains = (np.maximum(worth[left, None] - best, 0.0) * within[left]).sum(axis=1)
        chosen = int(left[int(np.argmax(gains if found else accuracy))])
        best = np.where(within[chosen], np.maximum(best, worth[chosen]), best)
        found.append(chosen)
        left = left[left != chosen]
    return found


def epochs_of(whole: int, share: float) -> int:
    """Epochs of a share of a training, one at least.

    >>> [epochs_of(18, share) for share in SHARES]
    [2, 6, 18]
    """
    return max(1, round(whole * share))


def repeat_due(front: Sequence[TrialRecord], repeats: int) -> tuple[TrialRecord, Step] | None:
    """A network of the front that is to be trained by another seed; those with the fewest come first."""
    open_ = [one for one in front if len(one.seeds) <= repeats and one.more is None and not one.stopped]
    if not open_:
        return None
    record = min(open_, key=lambda one: (len(one.seeds), one.number))
    return record, Step(1.0, len(record.seeds))
