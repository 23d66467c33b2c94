"""The log of a run in its database and in memory: both the same, and as Optuna itself would have it."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from dse.errors import RunError
from dse.search.explorers.explorers import Explorer, OptunaExplorer, make_explorer
from dse.search.study.database import Place
from dse.search.study.trial_log import TrialLog, read_study
from dse.space.space import Defaults, parse_space
from tests.helpers.explorers import OBJECTIVES, REAL, end, log_in

SPACE = parse_space(REAL, "small.yaml")


def explorer(log: TrialLog, name: str) -> Explorer:
    return make_explorer(name, log, SPACE, Defaults(), 0, lambda candidate: True, population=4)


def turn(one: Explorer) -> None:
    proposal = one.propose()
    assert proposal
    end(one.log, proposal)


def replayed(one: Explorer) -> list[optuna.trial.FrozenTrial]:
    """The trials that a sampler of Optuna sees."""
    assert isinstance(one, OptunaExplorer)
    one.study._follow()
    return one.study._study.get_trials()


def test_a_restart_finds_what_was_in_memory(tmp_path: Path) -> None:
    log = log_in(tmp_path, OBJECTIVES)
    both = [explorer(log, "optuna:nsga2"), explorer(log, "random")]
    for _ in range(12):
        for one in both:
            turn(one)
    both[1].propose()  # left running
    again = log_in(tmp_path, OBJECTIVES)
    assert again.records() == log.records() == read_study(tmp_path)
    assert again.entries == log.entries
    mine, its = replayed(both[0]), replayed(explorer(again, "optuna:nsga2"))
    assert [(t.params, t.values, t.system_attrs, t.state) for t in mine] == [
        (t.params, t.values, t.system_attrs, t.state) for t in its
    ]
    assert len(mine) == 25
    assert "NSGAIISampler:parent:1" in log.study_attrs
    assert log.study_attrs.items() <= again.study_attrs.items()
    found = optuna.load_study(study_name="dse", storage=Place.in_folder(tmp_path).url).trials
    for trial, its_own, record in zip(found, mine, log.records(), strict=True):
        assert (trial.params, trial.distributions, trial.values) == (
            its_own.params,
            its_own.distributions,
            its_own.values,
        )
        assert (trial.system_attrs, trial.state) == (its_own.system_attrs, its_own.state)
        assert (trial.user_attrs["explorer"], trial.user_attrs["id"]) == (record.explorer, record.id)


def test_a_genetic_algorithm_goes_on_in_its_generation(tmp_path: Path) -> None:
    """Of four that are complete a generation is made, whoever proposed them; two of three trials of `end` are."""
    log = log_in(tmp_path, OBJECTIVES)
    both = [explorer(log, "optuna:nsga2"), explorer(log, "random")]
    for number in range(24):
        if number % 5 == 4:
            log = log_in(tmp_path, OBJECTIVES)
            both = [explorer(log, "optuna:nsga2"), explorer(log, "random")]
        turn(both[number % 2])
    found = optuna.load_study(study_name="dse", storage=Place.in_folder(tmp_path).url)
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in found.trials]
    assert generations == [number // 6 for number in range(24)]
    storage = optuna.storages.RDBStorage(Place.in_folder(tmp_path).url)
    study_id = storage.get_study_id_from_name("dse")
    parents = storage.get_study_system_attrs(study_id)["NSGAIISampler:parent:3"]
    assert len(parents) == 4
    complete = [trial.number for trial in found.trials[:18] if trial.values]
    ids = {storage.get_trial_id_from_study_id_trial_number(study_id, number) for number in complete}
    assert ids >= set(parents)


def test_two_logs_in_one_database_keep_their_own_parents(tmp_path: Path) -> None:
    """There the ids of trials are not their numbers: what a sampler chose is found again by both."""
    url = f"sqlite:///{tmp_path}/many.db"
    for name in ("first", "second"):
        log = TrialLog(Place.named(url, name), OBJECTIVES)
        one = explorer(log, "optuna:nsga2")
        for _ in range(14):
            turn(one)
        again = TrialLog(Place.named(url, name), OBJECTIVES)
        parents = again.study_attrs["NSGAIISampler:parent:1"]
        assert parents == log.study_attrs["NSGAIISampler:parent:1"]
        assert all(again.entries[number].objectives for number in parents)
        assert (again.entries[0].trial_id == 1) == (name == "first")


def test_a_sequence_goes_on_whoever_else_proposes(tmp_path: Path) -> None:
    """optuna:qmc keeps with the study which of its points was the last; others know an earlier one only."""
    ids = {}
    for name, starts in (("once", (12,)), ("restarted", (5, 4, 3))):
        (tmp_path / name).mkdir()
        for count in starts:
            log = log_in(tmp_path / name, OBJECTIVES)
            both = [explorer(log, "optuna:qmc"), explorer(log, "optuna:nsga2")]
            for _ in range(count):
                for one in both:
                    turn(one)
        last = [value for key, value in log.study_attrs.items() if key.startswith("qmc")]
        ids[name] = last
    assert ids["once"] == ids["restarted"] == [ids["once"][0]]


def test_two_processes_cannot_write_into_one_study(tmp_path: Path) -> None:
    one, other = log_in(tmp_path, OBJECTIVES), log_in(tmp_path, OBJECTIVES)
    turn(explorer(one, "random"))
    late = explorer(other, "optuna:random")
    with pytest.raises(RunError, match="another process writes into the study"):
        turn(late)
    assert other.records() == []
    assert replayed(late) == []
    assert len(read_study(tmp_path)) == 1
