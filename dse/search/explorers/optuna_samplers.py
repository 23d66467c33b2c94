"""Optuna's samplers by the names of explorers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GridSampler
from optuna.trial import FrozenTrial

from dse.errors import RunError
from dse.search.study._optuna_internals import QuickTpe
from dse.space.conditions import has_conditions
from dse.space.domains import Choice, Domain, FloatRange
from dse.space.space import Space

GRID_POINTS = 100_000  # Optuna lists them all


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
            # The values of one family are drawn together, apart from those of another. Where there are no families each
            # value for itself does better (results/search-benchmark).
            grouped = has_conditions(space.template.nodes)
            return QuickTpe(seed=seed, n_startup_trials=population, multivariate=grouped, group=grouped)
        case "optuna:gp":
            if not importlib.util.find_spec("torch"):
                raise RunError("optuna:gp needs the package torch, which is not installed: pip install torch")
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=population)
        case "optuna:qmc":
            return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False)
        case "optuna:random":
            return optuna.samplers.RandomSampler(seed=seed)
    raise AssertionError(f"{explorer} is not one of Optuna's")


def suggested(trial: optuna.Trial, path: str, domain: Domain) -> Any:
    """The value that a trial's sampler gives to a domain."""
    match domain:
        case Choice():
            return trial.suggest_categorical(path, list(domain.labels))
        case FloatRange():
            return trial.suggest_float(path, domain.low, domain.high, log=domain.log)
        case _:
            return trial.suggest_int(path, domain.low, domain.high, step=domain.step)
