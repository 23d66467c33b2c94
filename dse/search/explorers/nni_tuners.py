"""NNI's tuners without an experiment or a server. The only file that imports NNI's algorithms.

A tuner is made anew for every proposal and told of every trial that has ended, whoever proposed it, with the reward it
has under the weights of this proposal (of very many, those that it can use). So its state is the log alone: what it
proposes depends on the seed and on the trials, a restart changes nothing, and one number per trial can be another one
each time.

Some of NNI's tuners cannot be told or seeded so, or not quickly: those are written out here in a few lines, from the
parts that NNI has, and propose what its own do. (tests/search/test_nni_tuners.py compares them.)

Every open value is a number to the tuners: its index among the values it may take, or the real number itself. Values
that a trial was never asked for (those of a family that it did not choose) are drawn at random: they say nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from nni.algorithms.hpo import random_tuner, tpe_tuner
from nni.algorithms.hpo.gp_tuner.target_space import TargetSpace
from nni.algorithms.hpo.gp_tuner.util import UtilityFunction
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeArguments
from nni.common.hpo_utils import deformat_parameters, format_search_space
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
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
    """What NNI's grid search proposes, from its first point on; endless with a real range.

    Of a real range the middle, then the quarters, and so on: each time every combination that has a new value in it.
    """
    lists: dict[str, list[Value]] = {
        name: [_between(domain, 1, 2)] if isinstance(domain, FloatRange) else list(domain.values())
        for name, domain in domains.items()
    }
    before = [0 for _ in lists]  # how many values each had the last time
    for level in itertools.count(2):
        for indices in itertools.product(*(range(len(values)) for values in lists.values())):
            if any(index >= count for index, count in zip(indices, before, strict=True)):
                yield {name: values[index] for (name, values), index in zip(lists.items(), indices, strict=True)}
        before = [len(values) for values in lists.values()]
        for name, domain in domains.items():
            if isinstance(domain, FloatRange) and domain.low < domain.high:
                lists[name] += [_between(domain, odd, 2**level) for odd in range(1, 2**level, 2)]
        if before == [len(values) for values in lists.values()]:
            return


def _between(domain: FloatRange, part: int, parts: int) -> float:
    """The number so many parts of all above the low end of a range."""
    low, high = (math.log(domain.low), math.log(domain.high)) if domain.log else (domain.low, domain.high)
    number = low + (high - low) * (part / parts)
    return min(max(math.exp(number) if domain.log else number, domain.low), domain.high)


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
    """As NNI's `TpeTuner`, which sorts what it was told anew for every value, wants an object for every number, and
    notes as text what is known so that it is not proposed again: that takes seconds at 1,000 trials."""
    arguments, rng = TpeArguments(n_startup_jobs=POPULATION), np.random.default_rng(seed)
    order = np.argsort([-reward for _, reward in told], kind="stable")
    specs, chosen = format_search_space(space), {}
    for key, spec in specs.items():
        if len(told) < POPULATION:
            chosen[key] = random_tuner.suggest_parameter(rng, spec)
            continue
        column = np.array([values[spec.name] for values, _ in told])[order]
        if spec.categorical:
            chosen[key] = _likely_choice(arguments, rng, *_split(arguments, column), spec.size)
        else:
            column = np.log(column) if spec.log_distributed else column
            chosen[key] = _likely_number(arguments, rng, *_split(arguments, column), spec.low, spec.high)
    return dict(deformat_parameters(chosen, specs))


def _split(arguments: TpeArguments, history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The good and the others of one value's history, which is sorted already."""
    good = min(math.ceil(arguments.gamma * math.sqrt(len(history))), arguments.linear_forgetting)
    return history[:good], history[good:]


def _likely_choice(
    arguments: TpeArguments, rng: np.random.Generator, good: np.ndarray, others: np.ndarray, size: int
) -> Any:
    """Of some drawn as they were among the good, the index that is most likely to be one of them."""

    def frequencies(part: np.ndarray) -> np.ndarray:
        counts = np.bincount(part, tpe_tuner.linear_forgetting_weights(arguments, len(part)), size)
        counts = counts + arguments.prior_weight
        return np.asarray(counts / sum(counts))

    likely, unlikely = frequencies(good), frequencies(others)
    drawn = rng.choice(size, arguments.n_ei_candidates, p=likely)
    return drawn[np.argmax(np.log(likely[drawn]) - np.log(unlikely[drawn]))]


def _likely_number(
    arguments: TpeArguments, rng: np.random.Generator, good: np.ndarray, others: np.ndarray, low: float, high: float
) -> Any:
    """The same of real numbers, with a normal distribution about each of those that are known."""
    prior, clip = ((low + high) * 0.5, high - low), (low, high)
    likely = tpe_tuner.adaptive_parzen_normal(arguments, good, *prior)
    drawn = tpe_tuner.gmm1(arguments, rng, *likely, clip)
    unlikely = tpe_tuner.adaptive_parzen_normal(arguments, others, *prior)
    gain = tpe_tuner.gmm1_lpdf(arguments, drawn, *likely, clip) - tpe_tuner.gmm1_lpdf(arguments, drawn, *unlikely, clip)
    return drawn[np.argmax(gain)]


def _evolution(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    """As NNI's `EvolutionTuner`, which draws from Python's module, unseeded: the last trials are the population, and
    the better of two of them is changed in one value. As long as they are too few, all values are random."""
    draws, shuffle = np.random.RandomState(seed), random.Random(seed)
    if len(told) < POPULATION:
        return {name: _drawn(spec, draws) for name, spec in space.items()}
    told = list(told)
    shuffle.shuffle(told)
    (one, reward), (other, its_reward) = told[:2]
    changed = list(space)[shuffle.randint(0, len(space) - 1)]
    return (other if reward < its_reward else one) | {changed: _drawn(space[changed], draws)}


def _drawn(spec: dict[str, Any], draws: np.random.RandomState) -> float | int:
    """A random value, as NNI's evolution draws it."""
    if spec["_type"] == "choice":
        return int(draws.randint(len(spec["_value"])))
    low, high = spec["_value"]
    return float(
        np.exp(draws.uniform(np.log(low), np.log(high))) if "log" in spec["_type"] else draws.uniform(low, high)
    )


def _gp(space: dict[str, Any], told: list[tuple[Encoded, float]], seed: int) -> Encoded:
    """As NNI's `GPTuner`: of random points the one with the largest expected improvement.

    Without its descent from the best points: it passes a matrix where SciPy takes a vector only, and fails. And its
    own draws one number at a time, which takes half a second for all of them.
    """
    names = sorted(space)
    if len(told) < POPULATION:
        return dict(zip(names, TargetSpace(space, np.random.RandomState(seed)).random_sample(), strict=True))
    process = GaussianProcessRegressor(kernel=Matern(nu=2.5), alpha=1e-6, normalize_y=True)
    gain = UtilityFunction(kind="ei", kappa=5, xi=0)
    known = np.array([[float(values[name]) for name in names] for values, _ in told])
    results, points = np.array([reward for _, reward in told]), _points(space, names, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge, say
        process.fit(known, results)
        best = gain.utility(points, gp=process, y_max=results.max()).argmax()
    return dict(zip(names, points[best], strict=True))


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
