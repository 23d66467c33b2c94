"""NNI's tuners as a library: no experiment, no server. The only file that imports NNI's algorithms.

A tuner is made anew for every proposal and told of every trial that has ended, whoever proposed it, with the reward it
has under the weights of this proposal (of very many, those that it can use). So its state is the study alone: what it
proposes depends on the seed and on the trials, a restart changes nothing, and one number per trial can be another one
each time.

Every open value is a number to the tuners: its index among the values it may take, or the real number itself. Values
that a trial was never asked for (those of a family that it did not choose) are drawn at random: they say nothing.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from nni.algorithms.hpo import evolution_tuner, tpe_tuner
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner, Individual
from nni.algorithms.hpo.gp_tuner.gp_tuner import GPTuner
from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common.hpo_utils import deformat_parameters
from threadpoolctl import threadpool_limits

from dse.errors import RunError
from dse.space.conditions import Assignment, Value
from dse.space.domains import Domain, FloatRange

POPULATION = 16
GP_TRIALS = 60  # the last ones that it is told: it is cubic in them
GP_DRAWN = 2000  # points among which it takes the best
TPE_HEARS = 100, 1000  # the best and the last that it is told: it sorts all of them again for every value
ANNEAL_HEARS = 50, 50  # it draws near the best ones, and has to copy all of them for each that it is told
Past = Sequence[tuple[Assignment, float]]
Encoded = dict[str, float | int]


def suggest(kind: str, domains: Mapping[str, Domain], past: Past, seed: int) -> dict[str, Value]:
    """A value for every domain, from NNI's tuner of that kind.

    `past` is what is known, with a reward each, the larger the better. A tuner may propose some of it again.
    """
    logging.getLogger("nni").setLevel(logging.WARNING)
    space = {name: _range(domain) for name, domain in domains.items()}
    codes, rng = _codes(domains), np.random.default_rng(seed)
    told = [(_encoded(domains, codes, assignment, rng), reward) for assignment, reward in _heard(kind, past)]
    with threadpool_limits(1):  # for small matrices threads only wait for each other
        chosen = PROPOSERS[kind](space, told, seed)
    return {name: _decoded(domains[name], chosen[name]) for name in domains}


def ways(domains: Mapping[str, Domain]) -> Iterator[dict[str, Value]]:
    """What NNI's grid search proposes, from its first point on; endless with a real range."""
    logging.getLogger("nni").setLevel(logging.WARNING)
    tuner = GridSearchTuner()
    tuner.update_search_space({name: _range(domain) for name, domain in domains.items()})
    # Not its generate_parameters, which notes as text what it has proposed: its points do not come twice by themselves.
    while (point := tuner._suggest()) is not None:
        chosen = deformat_parameters(point, tuner.space)
        yield {name: _decoded(domains[name], chosen[name]) for name in domains}


def _heard(kind: str, past: Past) -> Past:
    """Of what is known, what a tuner is told, so that it proposes as quickly after ten thousand trials."""
    if kind in ("tpe", "anneal"):
        best, last = TPE_HEARS if kind == "tpe" else ANNEAL_HEARS
        before = range(max(0, len(past) - last))
        kept = sorted(sorted(before, key=lambda index: -past[index][1])[:best])
        return [past[index] for index in kept] + list(past[len(before) :])
    last = {"evolution": POPULATION, "gp": GP_TRIALS, "random": 0}.get(kind, len(past))
    return past[len(past) - min(last, len(past)) :]


def _tpe(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    tuner = TpeTuner("maximize", seed=seed, tpe_args={"n_startup_jobs": POPULATION})
    tuner.update_search_space(space)
    # What its import_data does, but for noting what is known so that it is not proposed again: that takes 6 seconds
    # at 1,000 trials, and the study knows.
    tuner.dedup = lambda values: values
    order = np.argsort([-reward for _, reward in told], kind="stable")
    for key, spec in tuner.space.items():
        column = np.array([values[spec.name] for values, _ in told])
        tuner._history[key] = (np.log(column) if spec.log_distributed else column)[order]
    return dict(tuner.generate_parameters(0))


def _split(arguments: Any, history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The good and the others of one value's history, which is sorted already: as NNI splits it, but it sorts anew for
    every value, and wants an object for every number."""
    good = min(math.ceil(arguments.gamma * math.sqrt(len(history))), arguments.linear_forgetting)
    return history[:good], history[good:]


tpe_tuner.split_history = _split


def _evolution(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    """The last trials are the population; as long as they are too few, random individuals fill it up."""
    evolution_tuner.random = random.Random(seed)  # it draws from the module, unseeded
    tuner = EvolutionTuner("maximize", POPULATION)
    tuner.update_search_space(space)
    tuner.random_state = np.random.RandomState(seed)
    tuner.population = [Individual(_indexed(space, values), result=reward) for values, reward in told]
    while len(tuner.population) < POPULATION:
        tuner._random_generate_individual()
    return dict(tuner.generate_parameters(0))


def _gp(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    # Without its descent from the best points: it passes a matrix where SciPy takes a vector only, and fails.
    tuner = GPTuner(
        "maximize", cold_start_num=POPULATION, selection_num_warm_up=GP_DRAWN, selection_num_starting_points=0
    )
    tuner._random_state.seed(seed)
    tuner._gp.n_restarts_optimizer = 0
    tuner.update_search_space(space)
    with redirect_stdout(io.StringIO()):  # it prints every point that comes twice
        for values, reward in told:
            tuner.receive_trial_result(0, values, reward)
    if len(told) >= POPULATION:
        # Its own draws one number at a time, which takes half a second for all of them.
        tuner._space.random_sample = iter(_points(space, tuner._space.keys, seed)).__next__
    return dict(tuner.generate_parameters(0))


def _anneal(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    if not importlib.util.find_spec("hyperopt"):
        raise RunError("nni:anneal needs the package hyperopt, which is not installed: pip install hyperopt")
    from nni.algorithms.hpo.hyperopt_tuner import HyperoptTuner

    tuner = HyperoptTuner("anneal", "maximize")
    tuner.update_search_space(space)
    tuner.rval.rstate = np.random.RandomState(seed)
    for index, (values, reward) in enumerate(told):
        tuner.total_data[index] = _indexed(space, values)
        tuner.receive_trial_result(index, values, reward)
    return dict(tuner.generate_parameters(len(told)))


def _random(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    tuner = RandomTuner(seed)
    tuner.update_search_space(space)
    return dict(tuner.generate_parameters(0))


PROPOSERS = {"tpe": _tpe, "evolution": _evolution, "gp": _gp, "anneal": _anneal, "random": _random}


def _points(space: dict[str, Any], names: Sequence[str], seed: int) -> np.ndarray:
    """Uniform points of a space, (GP_DRAWN, number of names)."""
    rng = np.random.default_rng(seed)
    columns = []
    for name in names:
        kind, values = space[name]["_type"], space[name]["_value"]
        if kind == "choice":
            columns.append(rng.choice(values, GP_DRAWN).astype(float))
        elif kind == "loguniform":
            columns.append(np.exp(rng.uniform(math.log(values[0]), math.log(values[1]), GP_DRAWN)))
        else:
            columns.append(rng.uniform(values[0], values[1], GP_DRAWN))
    return np.column_stack(columns)


def _range(domain: Domain) -> dict[str, Any]:
    """A domain as NNI writes it."""
    if isinstance(domain, FloatRange):
        return {"_type": "loguniform" if domain.log else "uniform", "_value": [domain.low, domain.high]}
    return {"_type": "choice", "_value": list(range(len(list(domain.values()))))}


Codes = dict[str, dict[tuple[type, Value], int]]


def _codes(domains: Mapping[str, Domain]) -> Codes:
    """Where each value stands among those of its domain; 1 and True are two values."""
    return {
        name: {(type(value), value): index for index, value in enumerate(domain.values())}
        for name, domain in domains.items()
        if not isinstance(domain, FloatRange)
    }


def _encoded(domains: Mapping[str, Domain], codes: Codes, assignment: Assignment, rng: np.random.Generator) -> Encoded:
    found: Encoded = {}
    for name, domain in domains.items():
        value = assignment[name] if name in assignment else domain.sample(rng)
        found[name] = codes[name][type(value), value] if name in codes else float(value)
    return found


def _decoded(domain: Domain, number: Any) -> Value:
    if isinstance(domain, FloatRange):
        return min(max(float(number), domain.low), domain.high)
    value: Value = list(domain.values())[int(number)]
    return value


def _indexed(space: dict[str, Any], values: Encoded) -> dict[str, Any]:
    """The form in which the evolution keeps its individuals, and the annealing its trials."""
    return {
        name: {"_index": value, "_value": value} if space[name]["_type"] == "choice" else value
        for name, value in values.items()
    }
