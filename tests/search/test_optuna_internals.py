"""What Optuna does not promise, against what it does: its own samplers, storages and studies by their public names."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.samplers import NSGAIIISampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState

from dse.search.explorers.explorers import make_explorer
from dse.search.explorers.optuna_samplers import Grid, suggested
from dse.search.study import _optuna_internals as internals
from dse.search.study.database import Database, Place
from dse.search.study.distributions import distribution
from dse.space.space import Defaults, parse_space
from tests.helpers.explorers import OBJECTIVES, REAL, SMALL, end, log_in

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE = parse_space(REAL, "small.yaml")
DIRECTIONS = ["maximize", "minimize"]


def contents(url: str) -> dict[str, Any]:
    """All rows of a database of Optuna's, but for times and the ids of rows."""
    engine, found = sqlalchemy.create_engine(url), {}
    inspector = sqlalchemy.inspect(engine)
    with engine.connect() as connection:
        for name in inspector.get_table_names():
            columns = [column["name"] for column in inspector.get_columns(name)]
            kept = [c for c in columns if c in ("study_id", "trial_id") or not c.endswith("_id")]
            kept = [c for c in kept if not c.startswith("datetime")]
            rows = connection.execute(sqlalchemy.text(f"SELECT {', '.join(kept)} FROM {name}"))
            found[name] = sorted(map(repr, rows))
    return found


def test_the_tables_are_those_that_optuna_makes(tmp_path: Path) -> None:
    """Every column that is written exists, and none that must not be empty is forgotten."""
    engine = RDBStorage(f"sqlite:///{tmp_path}/study.db").engine
    inspector = sqlalchemy.inspect(engine)
    for table in internals._TABLES.sorted_tables:
        theirs = {column["name"]: column for column in inspector.get_columns(table.name)}
        ours = {column.name for column in table.columns}
        assert ours <= set(theirs), table.name
        if table is not internals.STUDIES:  # where no row is written
            needed = {name for name, column in theirs.items() if not column["nullable"] and not column["primary_key"]}
            assert needed <= ours, table.name
        for name in ours:
            assert isinstance(table.columns[name].type, type(theirs[name]["type"].as_generic())), (table.name, name)
    assert len(internals._TABLES.tables) == 7


@pytest.mark.parametrize(
    ("state", "values"),
    [
        (TrialState.COMPLETE, [0.25, float("inf")]),
        (TrialState.COMPLETE, [float("-inf"), 1e300]),
        (TrialState.FAIL, []),
        (TrialState.RUNNING, []),
    ],
)
def test_what_is_written_here_is_what_optuna_writes(state: TrialState, values: list[float], tmp_path: Path) -> None:
    params = {"stages[0].block": "conv", "stages[0].block.conv.channels": 16, "training.learning_rate": 0.003}
    domains = {path: SPACE.domains[path] for path in params}
    limits = optuna.trial.create_trial(state=TrialState.RUNNING, constraints={"params": -0.5}).system_attrs
    user, system, ending = {"explorer": "random", "id": "x"}, {"NSGAIISampler:generation": 3}, {"ending": {"a": [1.5]}}
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("ours", "theirs")]
    database = Database(Place(urls[0], "one"), ["maximize", "minimize"], OBJECTIVES)
    for _ in range(2):
        number = len(database.trials())
        trial_id = database.add(number, params, domains, user, system, {"parents": [number]})
        if state.is_finished():
            database.end(trial_id, state, values, ending, limits)
            database.end(trial_id, TrialState.FAIL, [], {"ending": 2}, {})  # one that has ended stays as it is
    study = optuna.create_study(study_name="one", storage=urls[1], directions=DIRECTIONS)
    study.set_metric_names(OBJECTIVES)
    storage = RDBStorage(urls[1])
    for number in range(2):
        storage.set_study_system_attr(1, "parents", [number])
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=values or None,
                params=params,
                distributions={path: distribution(domain) for path, domain in domains.items()},
                user_attrs=user | (ending if state.is_finished() else {}),
                system_attrs=system | (limits if state.is_finished() else {}),
            )
        )
    ours, theirs = contents(urls[0]), contents(urls[1])
    assert ours == theirs
    assert len(ours["trial_params"]) == 6
    read = [optuna.load_study(study_name="one", storage=url).get_trials(deepcopy=False) for url in urls]
    for mine, its in zip(*read, strict=True):
        assert (mine.datetime_start is None, mine.datetime_complete is None) == (
            its.datetime_start is None,
            its.datetime_complete is None,
        )
        mine.datetime_start, mine.datetime_complete = its.datetime_start, its.datetime_complete
        assert mine == its


SAMPLERS = {
    "optuna:nsga2": lambda seed: NSGAIISampler(population_size=4, seed=seed),
    "optuna:nsga3": lambda seed: NSGAIIISampler(population_size=4, seed=seed),
    "optuna:tpe": lambda seed: TPESampler(n_startup_trials=4, seed=seed, multivariate=True, group=True),
    "optuna:qmc": lambda seed: QMCSampler(seed=seed, warn_independent_sampling=False),
    "optuna:random": lambda seed: RandomSampler(seed=seed),
}


@pytest.mark.parametrize("objectives", [OBJECTIVES, OBJECTIVES[:1]], ids=["two objectives", "one"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_an_explorer_proposes_and_records_as_optunas_own_study(
    name: str, objectives: list[str], tmp_path: Path
) -> None:
    """Its sampler in a study of Optuna's, asked and told: the same values, generations, parents and constraints."""
    log = log_in(tmp_path, objectives)
    one = make_explorer(name, log, SPACE, Defaults(), 7, lambda candidate: True, population=4)
    seed = (7 + zlib.crc32(name.encode())) % 2**31 * 1_000_003 % 2**32
    storage, directions = InMemoryStorage(), DIRECTIONS[: len(objectives)]
    study = optuna.create_study(storage=storage, directions=directions, sampler=SAMPLERS[name](seed))
    for number in range(20):
        proposal = one.propose()
        assert proposal
        end(log, proposal)
        trial = study.ask()
        SPACE.candidate(lambda path, domain, trial=trial: suggested(trial, path, domain))
        if number % 3 == 1:
            study.tell(trial, state=TrialState.FAIL)
            continue
        trial.set_constraint("params", -0.5 if number % 3 else 0.5)
        values = [0.1 + 0.01 * number if number % 3 else 0.0, 10.0 * number]
        study.tell(trial, values[: len(objectives)])
    url = Place.in_folder(tmp_path).url
    for ours, theirs in zip(optuna.load_study(study_name="dse", storage=url).trials, study.trials, strict=True):
        assert (ours.params, ours.distributions) == (theirs.params, theirs.distributions)
        assert (ours.state, ours.values, ours.constraints) == (theirs.state, theirs.values, theirs.constraints)
        assert ours.system_attrs == theirs.system_attrs
    kept = RDBStorage(url).get_study_system_attrs(1)
    del kept["study:metric_names"]
    for key, value in kept.items():
        if "parent" in key:
            kept[key] = [trial_id - 1 for trial_id in value]  # here from 1, there from 0
    assert kept == storage.get_study_system_attrs(0)
    assert any("parent" in key for key in kept) == name.startswith("optuna:nsga")


def history(sampler: optuna.samplers.BaseSampler, directions: list[str], count: int) -> list[tuple[object, ...]]:
    """What a sampler proposes in a space with a condition, where some trials fail, some run on and some are too large."""
    study, found = optuna.create_study(directions=directions, sampler=sampler), []
    for number in range(count):
        trial = study.ask()
        family = trial.suggest_categorical("family", ["a", "b", True, 1.5])
        rate = trial.suggest_float("rate", 1e-4, 1, log=True)
        channels = trial.suggest_int(f"channels.{family}", 8, 64, step=8)
        found.append((family, rate, channels))
        trial.set_constraint("channels", -0.5 if channels < 40 else 0.5)
        if number % 7 == 5:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 7 != 3:
            study.tell(trial, [rate * channels, 1 - rate][: len(directions)])
    return found


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("directions", [["maximize", "minimize"], ["minimize"]])
def test_the_quick_tpe_proposes_what_optunas_does(directions: list[str], grouped: bool) -> None:
    options: dict[str, Any] = {"n_startup_trials": 10} | ({"multivariate": True, "group": True} if grouped else {})
    ours = history(internals.QuickTpe(seed=1, **options), directions, 60)
    assert ours == history(optuna.samplers.TPESampler(seed=1, **options), directions, 60)
    assert ours != history(internals.QuickTpe(seed=2, **options), directions, 60)
    assert internals.TPE_LAST > 60


def test_a_grid_is_over_when_optuna_calls_it_exhausted() -> None:
    sampler = Grid(dict(list(parse_space(SMALL, "small.yaml").domains.items())[:3]), seed=0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(sampler.points):
        assert not sampler.is_over(study.get_trials())
        assert not sampler.is_exhausted(study)
        with suppress(RuntimeError):  # it stops the study after the last
            study.tell(study.ask(), 0.0)
    assert sampler.points == 3 * 2 * 2 == len(study.trials)
    assert sampler.is_over(study.get_trials())
    assert sampler.is_exhausted(study)
