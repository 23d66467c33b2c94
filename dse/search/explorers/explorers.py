"""Explorers propose candidates into the log of a run, several of them in turn by their share.

Each knows every trial of the log, whoever proposed it, and nothing else: a restart changes nothing. Optuna's samplers
are asked in a study of their own. NNI's tuners are told anew each time, with one number per trial (`scalarization`).
`random` and `grid` look for themselves, without writing anything down, and propose the first candidate that fits, so a
tight budget costs them nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import count

import numpy as np

from dse.errors import NetworkError, RunError
from dse.search.costing import Costing
from dse.search.explorers.base import Explorer, Fits, Settle
from dse.search.explorers.bayes import BayesExplorer
from dse.search.explorers.optuna_study import SamplerStudy
from dse.search.explorers.scalarization import draw_weights, rewards
from dse.search.record import TrialRecord
from dse.search.study.trial_log import Draft, Proposal, TrialLog
from dse.space.conditions import Assignment, Recorded, Value, walk
from dse.space.domains import FloatRange
from dse.space.space import Defaults, Space

SCREENED = 1000


class OptunaExplorer(Explorer):
    """One of Optuna's samplers, in a study of its own."""

    def __post_init__(self) -> None:
        # Not at its first turn: a genetic algorithm says of every trial which generation it belongs to.
        self.study = SamplerStudy(self.name, self.log, self.space, self.seed, self.population)

    def drafts(self, records: list[TrialRecord]) -> Iterator[Draft]:
        while draft := self.study.draft(self.defaults):
            yield draft


class NniExplorer(Explorer):
    """One of NNI's tuners."""

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        from dse.search.explorers.nni_tuners import suggest  # NNI takes a second to import

        ended = [record for record in records if record.outcome != "running"]
        for attempt in count():
            seed = _seed(self.seed, len(records), attempt)
            weights = draw_weights(np.random.default_rng(seed), len(self.log.objectives))
            past = zip((record.params for record in ended), rewards(ended, self.log.objectives, weights), strict=True)
            found = suggest(self.name.partition(":")[2], self.space.domains, list(past), seed)
            yield asked_for(self.space, found)


class NniGridExplorer(Explorer):
    """NNI's grid search, which passes over what leads to a candidate that was proposed before. It offers one choice
    only: what it has passed over does not come again."""

    @cached_property
    def points(self) -> Iterator[Assignment]:
        """What is left of its grid."""
        from dse.search.explorers.nni_tuners import ways

        return ways(self.space.domains)

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        known = {_key(record.params) for record in records}
        for values in self.points:  # what it has passed over stays known: it need not begin anew for every proposal
            assignment = asked_for(self.space, values)
            if _key(assignment) not in known:
                yield assignment
                return


class RandomExplorer(Explorer):
    """Uniform draws, of which the first that fits is proposed."""

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        rng = np.random.default_rng((self.seed, len(records)))
        while True:
            for _ in range(SCREENED):
                try:
                    assignment, candidate = self.space.sample(rng, self.defaults)
                except NetworkError:
                    continue
                if self.fits(candidate):
                    break
            yield assignment


class GridExplorer(Explorer):
    """Every candidate that fits, in the order of the space's file, the last value changing fastest."""

    def choices(self, records: list[TrialRecord]) -> Iterator[Assignment]:
        for path, domain in self.space.domains.items():
            if isinstance(domain, FloatRange):
                raise RunError(f"grid: {path} is a real range, expected choices and whole numbers only")
        known = {record.id for record in records}
        for assignment, candidate in self.space.candidates(self.defaults):
            if candidate.id not in known and self.fits(candidate):
                known.add(candidate.id)
                yield assignment


class Explorers:
    """Several explorers on one log; each proposes by its share, whatever the others do."""

    def __init__(self, shares: Mapping[str, float], make: Callable[[str], Explorer]) -> None:
        self._shares = dict(shares)
        self._explorers = {name: make(name) for name in shares}

    def propose(self, records: list[TrialRecord]) -> Proposal | None:
        """A new trial of whoever is most behind its share; None when none has anything left to propose."""
        counts = dict.fromkeys(self._explorers, 0)
        for record in records:
            if record.explorer in counts:
                counts[record.explorer] += 1
        while self._explorers:
            total = 1 + sum(counts[name] for name in self._explorers)
            name = max(self._explorers, key=lambda name: self._shares[name] * total - counts[name])
            if proposal := self._explorers[name].propose(records):
                return proposal
            del self._explorers[name]
        return None


def make_explorer(
    name: str,
    log: TrialLog,
    space: Space,
    defaults: Defaults,
    seed: int,
    fits: Fits,
    best_of: int = 1,
    population: int = 16,
    costing: Costing | None = None,
    settle: Settle = lambda draft: draft,
) -> Explorer:
    """The explorer of a name in `EXPLORERS`."""
    kinds: dict[str, type[Explorer]] = {
        "optuna": OptunaExplorer,
        "nni": NniExplorer,
        "bayes": BayesExplorer,
        "random": RandomExplorer,
        "grid": GridExplorer,
    }
    kind = NniGridExplorer if name == "nni:gridsearch" else kinds[name.partition(":")[0]]
    return kind(name, log, space, defaults, seed, fits, best_of, population=population, costing=costing, settle=settle)


def asked_for(space: Space, values: Assignment) -> dict[str, Value]:
    """Of values for everything that a space leaves open, those that the candidate of them is made of."""
    return walk(space.template.nodes, Recorded(values)).chosen


def _key(assignment: Assignment) -> frozenset[tuple[str, Value]]:
    return frozenset(assignment.items())


def _seed(seed: int, number: int, attempt: int) -> int:
    """Another seed for every proposal and every draft of it, the same after a restart."""
    entropy = (seed, number, attempt) if attempt else (seed, number)
    return int(np.random.default_rng(entropy).integers(2**31))
