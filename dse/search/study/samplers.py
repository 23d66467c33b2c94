"""Optuna's samplers by the names of explorers, and the study in memory that they are asked in.

A sampler reads every trial again for each value that it proposes. So it is asked in a copy of the study that lies in
memory, and what it keeps with trials and study (the generation of NSGA-II, say) is written into the database with the
finished proposal.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler, TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

from dse.errors import RunError
from dse.space.domains import Choice, Domain, FloatRange
from dse.space.space import Space

TPE_LAST = 1000
RESORT = 200
GRID_POINTS = 100_000  # Optuna lists them all


class Memory(optuna.storages.InMemoryStorage):
    """Optuna's storage in memory, for one study, with two things that it lacks. Ids are numbers of trials."""

    def put(self, trial: FrozenTrial) -> None:
        """Takes a trial as it is: the next, or one that is there in another state."""
        trials = self._studies[0].trials
        if trial.number == len(trials):
            trials.append(trial)
            self._max_trial_id = trial.number
            self._trial_id_to_study_id_and_number[trial.number] = (0, trial.number)
        else:
            trials[trial.number] = trial
        trial._trial_id = trial.number

    def drop(self) -> FrozenTrial:
        """Forgets the last trial, as if it had never been asked for."""
        trial = self._studies[0].trials.pop()
        del self._trial_id_to_study_id_and_number[trial.number]
        self._max_trial_id = trial.number - 1
        return trial


class QuickTpe(TPESampler):
    """Optuna's TPE, which for each value would read, sort and convert all trials again: here once per proposal.

    It proposes the same up to RESORT trials. Beyond, it sorts them into good ones and others only when a 200th of them
    again have ended; and of more than TPE_LAST others it looks at the latest. So a proposal after ten thousand trials
    takes little longer.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._good: set[int] = set()
        self._sorted_at = 0  # trials that had ended when they were sorted
        self._numbers: dict[int, dict[str, float]] = {}  # what a trial's values are to the estimators, by its number

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """A new proposal begins: nothing is known of how the trials are split."""
        super().before_trial(study, trial)
        self._halves: tuple[list[FrozenTrial], list[FrozenTrial]] | None = None
        self._columns: dict[int, dict[str, list[float]]] = {}
        self._starting: bool | None = None

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, domain: BaseDistribution) -> Any:
        """A value for one name."""
        if self._starting is None:
            ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            self._starting = len(ended) < self._n_startup_trials
        if self._starting:
            return self._random_sampler.sample_independent(study, trial, name, domain)
        return self._sample(study, trial, {name: domain})[name]

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._halves is None:
            states = (TrialState.COMPLETE, TrialState.RUNNING)
            trials = [t for t in study.get_trials(deepcopy=False, states=states) if t.number != trial.number]
            gamma = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
            ended = sum(t.state.is_finished() for t in trials)
            if ended - self._sorted_at >= max(1, ended // RESORT):
                below, _ = _split_trials(study, trials, gamma(ended))
                self._good, self._sorted_at = {t.number for t in below}, ended
            below = [t for t in trials if t.number in self._good]
            self._halves = below, [t for t in trials if t.number not in self._good][-TPE_LAST:]
        below, above = self._halves
        good = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        others = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        drawn = good.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(drawn, self._compute_acquisition_func(drawn, good, others))
        return {name: domain.to_external_repr(best[name]) for name, domain in search_space.items()}

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: optuna.Study
    ) -> dict[str, np.ndarray]:
        if len(search_space) == 1:
            (name,) = search_space
            columns = self._columns.get(id(trials))  # of one half or the other
            if columns is None:
                columns = self._columns[id(trials)] = {}
                for row in map(self._row, trials):
                    for other, value in row.items():
                        columns.setdefault(other, []).append(value)
            return {name: np.asarray(columns.get(name, []))}
        whole = [row for row in map(self._row, trials) if search_space.keys() <= row.keys()]
        return {name: np.asarray([row[name] for row in whole]) for name in search_space}

    def _row(self, trial: FrozenTrial) -> dict[str, float]:
        if trial.number not in self._numbers:
            known = trial.distributions
            self._numbers[trial.number] = {n: known[n].to_internal_repr(v) for n, v in trial.params.items()}
        return self._numbers[trial.number]


class Grid(GridSampler):
    """Optuna's grid, of every value that a space leaves open.

    It knows no conditions: two points that differ in a family not chosen are one candidate, and the second is recorded
    as repeated.
    """

    def __init__(self, domains: Mapping[str, Domain], seed: int) -> None:
        points = 1
        for path, domain in domains.items():
            if isinstance(domain, FloatRange):
                raise RunError(f"optuna:grid: {path} is a real range, expected choices and whole numbers only")
            points *= len(list(domain.values()))
        if points > GRID_POINTS:
            raise RunError(
                f"optuna:grid: the open values have {points:,} combinations, expected {GRID_POINTS:,} at most; "
                "the explorer grid goes through a space of any size"
            )
        super().__init__({path: list(domain.values()) for path, domain in domains.items()}, seed=seed)

    def is_over(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether every point has been proposed."""
        return len({trial.system_attrs.get("grid_id") for trial in trials} - {None}) == self._n_min_trials


def make_sampler(explorer: str, seed: int, trials: int, population: int, space: Space) -> BaseSampler:
    """The sampler of an explorer, for a study that holds so many trials. Raises RunError when it cannot be made."""
    if explorer == "optuna:grid":
        return Grid(space.domains, seed)  # in the same order after a restart: it goes by the numbers of points
    # A fresh process must not propose again what the study holds: its seed depends on how much there is.
    seed = (seed * 1_000_003 + trials) % 2**32
    match explorer:
        case "optuna:nsga2":
            return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        case "optuna:nsga3":
            return optuna.samplers.NSGAIIISampler(population_size=population, seed=seed)
        case "optuna:tpe":
            return QuickTpe(seed=seed, n_startup_trials=population)
        case "optuna:gp":
            if not importlib.util.find_spec("torch"):
                raise RunError("optuna:gp needs the package torch, which is not installed: pip install torch")
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=population)
        case "optuna:qmc":
            return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False)
        case "optuna:random":
            return optuna.samplers.RandomSampler(seed=seed)
    raise AssertionError(f"{explorer} is not one of Optuna's")


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as Optuna has it."""
    match domain:
        case Choice():
            return CategoricalDistribution(list(domain.labels))
        case FloatRange():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case _:
            return IntDistribution(domain.low, domain.high, step=domain.step)


def suggested(trial: optuna.Trial, path: str, domain: Domain) -> Any:
    """The value that a trial's sampler gives to a domain."""
    match domain:
        case Choice():
            return trial.suggest_categorical(path, list(domain.labels))
        case FloatRange():
            return trial.suggest_float(path, domain.low, domain.high, log=domain.log)
        case _:
            return trial.suggest_int(path, domain.low, domain.high, step=domain.step)
