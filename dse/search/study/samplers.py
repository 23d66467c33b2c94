"""Optuna's samplers by the names of explorers, and the study in memory that they are asked in.

A sampler reads every trial again for each value that it proposes. So it is asked in a copy of the study that lies in
memory, and what it keeps with trials and study (the generation of NSGA-II, say) is written into the database with the
finished proposal.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler
from optuna.trial import FrozenTrial

from dse.errors import RunError
from dse.search.study._optuna_internals import QuickTpe
from dse.space.domains import Choice, Domain, FloatRange
from dse.space.space import Space

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
        self.points = points
        super().__init__({path: list(domain.values()) for path, domain in domains.items()}, seed=seed)

    def is_over(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether every point has been proposed."""
        return len({trial.system_attrs.get("grid_id") for trial in trials} - {None}) == self.points


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
