"""The study in its database and in memory: both the same, and as Optuna itself would have it."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from dse.errors import RunError
from dse.search.explorers.explorers import make_explorer
from dse.search.study._optuna_internals import TPE_LAST, QuickTpe
from dse.search.study.database import Place
from dse.search.study.study import Study, read_study
from dse.space.space import Defaults, parse_space
from tests.helpers.explorers import OBJECTIVES, REAL, end

SPACE = parse_space(REAL, "small.yaml")


def turn(study: Study, explorer: str, seed: int = 0) -> None:
    one = make_explorer(explorer, study, SPACE, Defaults(), seed, lambda candidate: True)
    proposal = one.propose()
    assert proposal
    end(study, proposal)


def test_a_restart_finds_what_was_in_memory(tmp_path: Path) -> None:
    study = Study.in_folder(tmp_path, OBJECTIVES, population=4)
    for _ in range(12):
        turn(study, "optuna:nsga2")
        turn(study, "random")
    again = Study.in_folder(tmp_path, OBJECTIVES, population=4)
    assert again.records() == study.records() == read_study(tmp_path)
    mine, its = study._mirror.get_trials(), again._mirror.get_trials()
    assert [(t.params, t.values, t.system_attrs, t.user_attrs) for t in mine] == [
        (t.params, t.values, t.system_attrs, t.user_attrs) for t in its
    ]
    assert study._memory.get_study_system_attrs(0).items() <= again._memory.get_study_system_attrs(0).items()


def test_a_genetic_algorithm_goes_on_in_its_generation(tmp_path: Path) -> None:
    """Of four that are complete a generation is made, whoever proposed them; two of three trials of `end` are."""
    study = Study.in_folder(tmp_path, OBJECTIVES, population=4)
    for number in range(24):
        if number % 5 == 4:
            study = Study.in_folder(tmp_path, OBJECTIVES, population=4)
            make_explorer("optuna:nsga2", study, SPACE, Defaults(), 0, lambda candidate: True)
        turn(study, "random" if number % 2 else "optuna:nsga2")
    found = optuna.load_study(study_name="dse", storage=Place.in_folder(tmp_path).url)
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in found.trials]
    assert generations == [number // 6 for number in range(24)]
    parents = found._storage.get_study_system_attrs(found._study_id)["NSGAIISampler:parent:3"]
    assert len(parents) == 4
    assert {trial._trial_id for trial in found.trials[:18] if trial.values} >= set(parents)


def test_two_processes_cannot_write_into_one_study(tmp_path: Path) -> None:
    one, other = Study.in_folder(tmp_path, OBJECTIVES), Study.in_folder(tmp_path, OBJECTIVES)
    turn(one, "random")
    with pytest.raises(RunError, match="another process writes into the study"):
        turn(other, "optuna:random")
    assert other.records() == []
    assert len(read_study(tmp_path)) == 1


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
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif number % 7 != 3:
            study.tell(trial, [rate * channels, 1 - rate][: len(directions)])
    return found


@pytest.mark.parametrize("directions", [["maximize", "minimize"], ["minimize"]])
def test_the_quick_tpe_proposes_what_optunas_does(directions: list[str]) -> None:
    ours = history(QuickTpe(seed=1, n_startup_trials=10), directions, 60)
    assert ours == history(optuna.samplers.TPESampler(seed=1, n_startup_trials=10), directions, 60)
    assert ours != history(QuickTpe(seed=2, n_startup_trials=10), directions, 60)
    assert TPE_LAST > 60
