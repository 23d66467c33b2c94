"""NNI's tuners, used or written out anew: they propose what NNI's own do, and NNI is left as it is."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest
from nni.algorithms.hpo import evolution_tuner, tpe_tuner
from nni.algorithms.hpo.gp_tuner import gp_tuner
from nni.algorithms.hpo.gp_tuner.target_space import TargetSpace
from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner
from nni.utils import json2parameter, json2space

from dse.search.explorers import nni_tuners
from dse.search.explorers.nni_tuners import POPULATION, suggest, ways
from dse.space.domains import Choice, FloatRange, IntRange
from dse.space.space import parse_space
from tests.helpers.explorers import REAL, SMALL

DOMAINS = {
    "kind": Choice(("a", "b", True, 1)),
    "width": IntRange(8, 64, 8),
    "rate": FloatRange(1e-4, 1.0, log=True),
    "drop": FloatRange(0.0, 0.5),
}
SPACE = {
    "kind": {"_type": "choice", "_value": [0, 1, 2, 3]},
    "width": {"_type": "choice", "_value": list(range(8))},
    "rate": {"_type": "loguniform", "_value": [1e-4, 1.0]},
    "drop": {"_type": "uniform", "_value": [0.0, 0.5]},
}


def history(count: int) -> list[tuple[dict[str, Any], float]]:
    """Trials with their reward, some of which are alike, as NNI has them: choices by their index."""
    rng = np.random.default_rng(count)
    return [
        (
            {
                "kind": int(rng.integers(4)),
                "width": int(rng.integers(8)),
                "rate": float(np.exp(rng.uniform(np.log(1e-4), 0))),
                "drop": float(rng.uniform(0, 0.5)),
            },
            float(rng.integers(0, 9) / 9),
        )
        for _ in range(count)
    ]


def decoded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: nni_tuners._decoded(domain, values[name]) for name, domain in DOMAINS.items()}


def ours(kind: str, told: list[tuple[dict[str, Any], float]], seed: int) -> dict[str, Any]:
    return suggest(kind, DOMAINS, [(decoded(values), reward) for values, reward in told], seed)


def nnis_tpe(told: list[tuple[dict[str, Any], float]], seed: int) -> dict[str, Any]:
    tuner = tpe_tuner.TpeTuner("maximize", seed=seed, tpe_args={"n_startup_jobs": POPULATION})
    tuner.update_search_space(SPACE)
    tuner.import_data([{"parameter": values, "value": reward} for values, reward in told])
    return dict(tuner.generate_parameters(0))


def with_index(values: dict[str, Any]) -> dict[str, Any]:
    """How NNI's evolution keeps its individuals."""
    choices = {name for name, spec in SPACE.items() if spec["_type"] == "choice"}
    return {name: {"_index": v, "_value": v} if name in choices else v for name, v in values.items()}


def nnis_evolution(told: list[tuple[dict[str, Any], float]], seed: int) -> dict[str, Any]:
    tuner = evolution_tuner.EvolutionTuner("maximize", POPULATION)
    tuner.update_search_space(SPACE)
    tuner.random_state = np.random.RandomState(seed)
    tuner.population = [evolution_tuner.Individual(with_index(values), result=reward) for values, reward in told]
    while len(tuner.population) < POPULATION:
        drawn = json2parameter(SPACE, dict.fromkeys(json2space(SPACE), True), tuner.random_state)
        tuner.population.append(evolution_tuner.Individual(drawn))
    random.seed(seed)
    return dict(tuner.generate_parameters(0))


@pytest.mark.parametrize("count", [0, POPULATION - 1, POPULATION, 40, 700])
def test_the_quick_tpe_proposes_what_nnis_does(count: int) -> None:
    told = history(count)
    found = [ours("tpe", told, seed) for seed in range(10)]
    assert found == [decoded(nnis_tpe(told, seed)) for seed in range(10)]
    assert found[0] != found[1]


def test_nnis_tpe_splits_as_nni_does() -> None:
    """Ours sorts the trials once for all values. NNI's own split gets objects in the order of the trials."""
    rng = np.random.default_rng(0)
    for count in (16, 100, 700):
        values, losses = rng.integers(0, 5, count), rng.integers(0, 9, count) / 9
        theirs = tpe_tuner.split_history(tpe_tuner.TpeArguments(), list(map(tpe_tuner.Record, values, losses)))
        split = nni_tuners._split(tpe_tuner.TpeArguments(), values[np.argsort(losses, kind="stable")])
        assert [part.tolist() for part in split] == [part.tolist() for part in theirs]


@pytest.mark.parametrize("count", [0, POPULATION - 1, POPULATION])
def test_the_evolution_proposes_what_nnis_does(count: int) -> None:
    told = history(count)
    state = random.getstate()
    found = [ours("evolution", told, seed) for seed in range(20)]
    assert random.getstate() == state  # nobody else's draws
    try:
        assert found == [decoded(nnis_evolution(told, seed)) for seed in range(20)]
    finally:
        random.setstate(state)
    if count == POPULATION:
        parents = [decoded(values) for values, _ in told]
        assert all(any(len(child.items() - parent.items()) <= 1 for parent in parents) for child in found)


def test_the_gaussian_process_proposes_what_nnis_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same random points, and fitted from one start as ours is."""
    told, names = history(30), sorted(SPACE)
    regressor = gp_tuner.GaussianProcessRegressor
    monkeypatch.setattr(
        gp_tuner, "GaussianProcessRegressor", lambda **options: regressor(**options | {"n_restarts_optimizer": 0})
    )
    for seed in range(3):
        points = iter(nni_tuners._points(SPACE, names, seed))
        monkeypatch.setattr(TargetSpace, "random_sample", lambda self, points=points: next(points))
        tuner = gp_tuner.GPTuner(
            cold_start_num=POPULATION, selection_num_warm_up=nni_tuners.GP_DRAWN, selection_num_starting_points=0
        )
        tuner.update_search_space(SPACE)
        for values, reward in told:
            tuner.receive_trial_result(0, values, reward)
        assert ours("gp", told, seed) == decoded(dict(tuner.generate_parameters(0)))


@pytest.mark.parametrize("text", [SMALL, REAL])
def test_the_grid_is_that_of_nni(text: str) -> None:
    domains = parse_space(text, "small.yaml").domains
    points = 3 * 2 * 2 * 2 * 2 * 2
    tuner = GridSearchTuner()
    tuner.update_search_space({name: nni_tuners._range(domain) for name, domain in domains.items()})
    count = points if text == SMALL else 5 * points  # the third level has begun
    theirs = [tuner.generate_parameters(0) for _ in range(count)]
    found = list(islice(ways(domains), count + 1))
    assert found[:count] == [
        {name: nni_tuners._decoded(domain, one[name]) for name, domain in domains.items()} for one in theirs
    ]
    assert len(found) == count + (text == REAL)


@pytest.mark.process
def test_nni_is_left_as_it_is() -> None:
    """Neither importing nor asking changes anything in NNI's modules, which others in the process may use."""
    program = f"""
import sys
from nni.algorithms.hpo import evolution_tuner, gridsearch_tuner, random_tuner, tpe_tuner
from nni.algorithms.hpo.gp_tuner import gp_tuner
import nni.experiment
modules = {{name: module for name, module in sys.modules.items() if name.split(".")[0] == "nni"}}
def attributes():
    found = {{}}
    for name, module in modules.items():
        for key, value in vars(module).items():
            if key != "__builtins__" and not (isinstance(value, type(sys)) and value.__name__.startswith(name)):
                found[name, key] = id(value)
                if isinstance(value, type) and value.__module__.startswith("nni"):
                    found |= {{(name, key, inner): id(one) for inner, one in vars(value).items()}}
    return found
before = attributes()
from dse.search.explorers import nni_tuners
from dse.ui.nni import server
from dse.space.domains import FloatRange, IntRange
domains = {{"a": IntRange(1, 9), "b": FloatRange(0.0, 1.0)}}
for kind in {[kind for kind in nni_tuners.PROPOSERS if kind != "anneal"]!r}:
    for count in (0, 20):
        nni_tuners.suggest(kind, domains, [({{"a": 1, "b": n / 20}}, float(n)) for n in range(count)], 0)
next(nni_tuners.ways(domains))
after = attributes()
print(len(before), [key for key in before if before[key] != after.get(key)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, _, changed = done.stdout.strip().partition(" ")
    assert int(count) > 1000
    assert changed == "[]"
