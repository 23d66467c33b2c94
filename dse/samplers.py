"""Optuna's samplers by the names of explorers, and the study in memory that they are asked in.

A sampler reads every trial again for each value that it proposes. So it is asked in a copy of the study that lies in
memory, and what it keeps with trials and study (the generation of NSGA-II, say) is written into the database with the
finished proposal.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from dse.domains import Choice, Domain, FloatRange
from dse.errors import RunError


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


def make_sampler(explorer: str, seed: int, population: int) -> BaseSampler:
    """The sampler of an explorer. Raises RunError when its package is missing."""
    match explorer:
        case "optuna:nsga2":
            return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        case "optuna:nsga3":
            return optuna.samplers.NSGAIIISampler(population_size=population, seed=seed)
        case "optuna:tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=population)
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
