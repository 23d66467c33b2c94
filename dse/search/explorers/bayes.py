"""Bayesian optimization of a front: what the trained networks say of all others decides which is trained next.

A Gaussian process guesses the accuracy of a network from its choices and its size; what it costs is known. Of random
networks, neighbours of the front and neighbours of the best of those, all of which fit, the one is proposed that is
expected to add most to the front's hypervolume. Trials that run count as what is expected of them. The first few are
spread over the costs. Seed and log decide, so a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dse.search.explorers.base import FIRST, Explorer
from dse.search.record import TrialRecord
from dse.search.study.trial_log import Draft
from dse.search.surrogate.surrogate import SAMPLE, Outlook, Sketch
from dse.space.conditions import Assignment

RANDOM, NEAR_FRONT = 24, 48  # networks that are looked at for a proposal, and then:
ROUNDS, BEST, NEAR_BEST = 2, 8, 24
EXACT = 8
PASSED_OVER = 100  # drafts of known networks, after which one is proposed again


class BayesExplorer(Explorer):
    """Proposes what is expected to add most to the front."""

    def __post_init__(self) -> None:
        self._tried: set[frozenset[tuple[str, object]]] = set()
        self._ids: set[str] = set()  # of the same: other values may lead to one of them
        self._num_read = 0

    def drafts(self, records: list[TrialRecord]) -> Iterator[Draft]:
        passed_over = 0
        for draft in super().drafts(records):
            if draft.candidate and draft.candidate.id in self._ids and passed_over < PASSED_OVER:
                passed_over += 1
            else:
                yield draft

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        rng = self.surrogate.rng(len(records), self.name)
        self._read(records)
        if self.surrogate.seen(records) < FIRST:
            found = self._spread(len(records), rng)
        else:
            found = self._ranked(self.surrogate.outlook(records), rng)
        yield from self._new(found)
        if self.surrogate.every is not None:
            yield from self._new(self.surrogate.all_that_fit)
        while self.surrogate.every is None and (others := self.surrogate.fitting(rng, RANDOM)):
            yield from list(self._new(others, again=True)) or [sketch.assignment for sketch in others]

    def _new(self, sketches: Sequence[Sketch], again: bool = False) -> Iterator[Assignment]:
        """Those that fit, by the plan of their memory too, and were not proposed before unless they may be `again`.
        Where none fits, the nearest are there, and may be proposed."""
        some_fit = any(sketch.fits for sketch in sketches)
        for sketch in sketches:
            if not again and frozenset(sketch.assignment.items()) in self._tried:
                continue
            if not some_fit or all(exact.fits for exact in self.surrogate.sketches([sketch.assignment])):
                yield sketch.assignment

    def _read(self, records: list[TrialRecord]) -> None:
        """Notes what was proposed since it last looked."""
        new = records[self._num_read :]
        self._tried |= {frozenset(record.params.items()) for record in new}
        self._ids |= {record.id for record in new}
        self._num_read = len(records)

    def _spread(self, number: int, rng: np.random.Generator) -> list[Sketch]:
        """Networks that fit, those first whose costs are nearest to this proposal's place in their range."""
        sketches = self.surrogate.fitting(rng, SAMPLE)
        costs = self.surrogate.costs(sketches)
        low, high = costs.min(axis=0), costs.max(axis=0)
        places = ((costs - low) / np.maximum(high - low, 1e-9)).sum(axis=1) / max(1, costs.shape[1])
        away = np.abs(places - _van_der_corput(number + 1))
        return [sketches[index] for index in np.argsort(away, kind="stable")]

    def _ranked(self, outlook: Outlook, rng: np.random.Generator) -> list[Sketch]:
        """Networks that fit, those first that are expected to add most."""
        surrogate = self.surrogate
        listed = surrogate.every is not None
        pool = surrogate.all_that_fit if listed else surrogate.fitting(rng, RANDOM)
        gains = outlook.gains(pool)
        if not listed:
            near = surrogate.near(outlook.front, NEAR_FRONT, rng)
            for _ in range(ROUNDS + 1):
                if near:
                    pool, gains = pool + near, np.concatenate([gains, outlook.gains(near)])
                leaders = [pool[index].assignment for index in np.argsort(-gains, kind="stable")[:BEST]]
                near = surrogate.near(leaders, NEAR_BEST, rng)
        order = np.argsort(-gains, kind="stable")
        # The first few again, by what their memory takes when it is planned.
        first = surrogate.sketches(pool[index].assignment for index in order[:EXACT])
        exact = [first[index] for index in np.argsort(-outlook.gains(first), kind="stable")]
        return [*exact, *(pool[index] for index in order[EXACT:])]


def _van_der_corput(number: int) -> float:
    """A sequence that fills the range from 0 to 1 ever more finely.

    >>> [_van_der_corput(number) for number in range(1, 5)]
    [0.5, 0.25, 0.75, 0.125]
    """
    found, place = 0.0, 0.5
    while number:
        found, number, place = found + place * (number % 2), number // 2, place / 2
    return found
