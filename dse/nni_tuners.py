"""NNI's tuners as a library: no experiment, no server. The only file that imports NNI's algorithms.

A tuner is made anew for every proposal and told of every trial that has ended, whoever proposed it, with the reward it
has under the weights of this proposal. So its state is the study alone: what it proposes depends on the seed and on the
trials, a restart changes nothing, and one number per trial can be another one each time.

Every open value is a number to the tuners: its index among the values it may take, or the real number itself. Values
that a trial was never asked for (those of a family that it did not choose) are drawn at random: they say nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import nni
import numpy as np
from nni.algorithms.hpo import evolution_tuner
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner, Individual
from nni.algorithms.hpo.gp_tuner.gp_tuner import GPTuner
from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import Record, TpeTuner
from nni.common.hpo_utils import format_parameters

from dse.domains import Domain, FloatRange
from dse.space import Assignment, Value

POPULATION = 16
GP_TRIALS = 60  # the last ones that it is told: it is cubic in them
Past = Sequence[tuple[Assignment, float]]
Encoded = dict[str, float | int]


def suggest(
    kind: str, domains: Mapping[str, Domain], past: Past, seed: int, is_new: Callable[[Assignment], bool]
) -> dict[str, Value] | None:
    """A value for every domain, from NNI's tuner of that kind; None when it has nothing left to propose.

    `past` is what is known, with a reward each, the larger the better. `is_new` says whether values lead to a candidate
    that was not proposed before: a grid passes over those that do not, the others may propose them again.
    """
    logging.getLogger("nni").setLevel(logging.WARNING)
    space = {name: _range(domain) for name, domain in domains.items()}
    rng = np.random.default_rng(seed)
    told = [(_encoded(domains, assignment, rng), reward) for assignment, reward in past]
    try:
        for chosen in PROPOSERS[kind](space, told, seed):
            values = {name: _decoded(domains[name], chosen[name]) for name in domains}
            if kind != "gridsearch" or is_new(values):
                return values
    except nni.NoMoreTrialError:
        pass
    return None


def _tpe(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Iterator[Encoded]:
    tuner = TpeTuner("maximize", seed=seed, tpe_args={"n_startup_jobs": POPULATION})
    tuner.update_search_space(space)
    # What its import_data does, but for noting what is known so that it is not proposed again: that takes 6 seconds
    # at 1,000 trials, and the study knows.
    tuner.dedup = lambda values: values
    for values, reward in told:
        for key, value in format_parameters(values, tuner.space).items():
            tuner._history[key].append(Record(value, -reward))
    yield dict(tuner.generate_parameters(0))


def _evolution(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Iterator[Encoded]:
    """The last trials are the population; as long as they are too few, random individuals fill it up."""
    evolution_tuner.random = random.Random(seed)  # it draws from the module, unseeded
    tuner = EvolutionTuner("maximize", POPULATION)
    tuner.update_search_space(space)
    tuner.random_state = np.random.RandomState(seed)
    tuner.population = [Individual(_indexed(space, values), result=reward) for values, reward in told[-POPULATION:]]
    while len(tuner.population) < POPULATION:
        tuner._random_generate_individual()
    yield dict(tuner.generate_parameters(0))


def _gp(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Iterator[Encoded]:
    # Without its descent from the best points: it passes a matrix where SciPy takes a vector only, and fails.
    tuner = GPTuner("maximize", cold_start_num=POPULATION, selection_num_warm_up=2000, selection_num_starting_points=0)
    tuner._random_state.seed(seed)
    tuner._gp.n_restarts_optimizer = 0
    tuner.update_search_space(space)
    for values, reward in told[-GP_TRIALS:]:
        tuner.receive_trial_result(0, values, reward)
    yield dict(tuner.generate_parameters(0))


def _gridsearch(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Iterator[Encoded]:
    tuner = GridSearchTuner()
    tuner.update_search_space(space)
    tuner.import_data([{"parameter": values} for values, _ in told])
    while True:
        yield dict(tuner.generate_parameters(0))


def _random(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Iterator[Encoded]:
    tuner = RandomTuner(seed)
    tuner.update_search_space(space)
    yield dict(tuner.generate_parameters(0))


PROPOSERS = {"tpe": _tpe, "evolution": _evolution, "gp": _gp, "gridsearch": _gridsearch, "random": _random}


def _range(domain: Domain) -> dict[str, Any]:
    """A domain as NNI writes it."""
    if isinstance(domain, FloatRange):
        return {"_type": "loguniform" if domain.log else "uniform", "_value": [domain.low, domain.high]}
    return {"_type": "choice", "_value": list(range(len(list(domain.values()))))}


def _encoded(domains: Mapping[str, Domain], assignment: Assignment, rng: np.random.Generator) -> Encoded:
    found: Encoded = {}
    for name, domain in domains.items():
        value = assignment[name] if name in assignment else domain.sample(rng)
        found[name] = float(value) if isinstance(domain, FloatRange) else _index(domain, value)
    return found


def _index(domain: Domain, value: Value) -> int:
    """Where a value stands among those of its domain; 1 and True are two values."""
    return next(i for i, known in enumerate(domain.values()) if known == value and type(known) is type(value))


def _decoded(domain: Domain, number: Any) -> Value:
    if isinstance(domain, FloatRange):
        return min(max(float(number), domain.low), domain.high)
    value: Value = list(domain.values())[int(number)]
    return value


def _indexed(space: dict[str, Any], values: Encoded) -> dict[str, Any]:
    """The form in which the evolution keeps its individuals."""
    return {
        name: {"_index": value, "_value": value} if space[name]["_type"] == "choice" else value
        for name, value in values.items()
    }
