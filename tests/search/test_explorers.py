"""One contract that every explorer keeps, and what is special about some of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dse.errors import DseError, RunError, UnknownNameError
from dse.search.explorers.explorers import Explorer, Explorers, make_explorer
from dse.search.explorers.names import parse_explorers
from dse.search.explorers.scalarization import AUGMENTATION, HOPELESS, INFEASIBLE, draw_weights, rewards
from dse.search.record import TrialRecord
from dse.search.study.trial_log import read_study
from dse.space.space import Defaults, load_space, parse_space
from tests.helpers.explorers import MISSING, NAMES, OBJECTIVES, REAL, end, log_in, space_for

COUNT = (3 * 2 + 2 * 2) * 2  # candidates of SMALL


def explorer(name: str, folder: Path, seed: int = 0) -> Explorer:
    folder.mkdir(exist_ok=True)
    log = log_in(folder, OBJECTIVES)
    return make_explorer(name, log, space_for(name), Defaults(), seed, lambda candidate: True, population=4)


def proposed(one: Explorer, count: int) -> list[str]:
    found = []
    for _ in range(count):
        proposal = one.propose()
        assert proposal
        assert proposal.candidate
        found.append(proposal.candidate.id)
        end(one.log, proposal)
    return found


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    def test_it_stays_in_the_space(self, name: str, tmp_path: Path) -> None:
        one = explorer(name, tmp_path)
        for number, candidate in enumerate(proposed(one, 20)):  # more than are drawn at random at first
            record = one.log.records()[number]
            assert record.explorer == name
            assert one.space.build(record.params).id == candidate

    def test_it_follows_its_seed(self, name: str, tmp_path: Path) -> None:
        ids = {folder: proposed(explorer(name, tmp_path / folder, seed), 10) for folder, seed in (("a", 1), ("b", 1))}
        assert ids["a"] == ids["b"]
        if name not in ("grid", "nni:gridsearch"):  # which have no chance in them
            assert ids["a"] != proposed(explorer(name, tmp_path / "c", 2), 10)

    def test_it_goes_on_after_a_restart(self, name: str, tmp_path: Path) -> None:
        """Another process on the same study proposes something, and does not begin anew."""
        first = proposed(explorer(name, tmp_path), 6)
        later = proposed(explorer(name, tmp_path), 6)
        assert first != later
        if name in ("grid", "nni:gridsearch"):
            assert not set(first) & set(later)

    def test_it_knows_the_trials_of_others(self, name: str, tmp_path: Path) -> None:
        """Also such as have no candidate, or are still running."""
        other = explorer("random", tmp_path)
        proposed(other, 7)
        other.propose()  # left running
        mine = proposed(explorer(name, tmp_path), 6)
        if name == "grid":
            assert not set(mine) & {record.id for record in other.log.records()}
        assert len(read_study(tmp_path)) == 14


def test_several_take_turns_by_their_share(tmp_path: Path) -> None:
    log = log_in(tmp_path, OBJECTIVES)
    space = parse_space(REAL, "small.yaml")
    shares = parse_explorers(["nni:evolution=0.5", "random", "nni:tpe"])

    def turns() -> Explorers:
        return Explorers(shares, lambda name: make_explorer(name, log, space, Defaults(), 0, lambda candidate: True))

    several = turns()
    for number in range(20):
        if number == 10:
            several = turns()  # a restart changes nothing
        proposal = several.propose(log.records())
        assert proposal
        end(log, proposal)
    names = [record.explorer for record in log.records()]
    assert [names.count(name) for name in shares] == [10, 5, 5]
    assert all(names[i : i + 4].count("nni:evolution") == 2 for i in range(0, 20, 4))


def test_explorers_that_begin_at_random_do_not_begin_alike(tmp_path: Path) -> None:
    """A turn spent on a candidate that another has just proposed teaches nobody anything."""
    space = load_space("cmv3")
    log = log_in(tmp_path, OBJECTIVES)
    names = ["optuna:nsga2", "optuna:nsga3", "optuna:tpe", "optuna:random"]
    every = [make_explorer(name, log, space, Defaults(), 0, lambda candidate: True) for name in names]
    ids = [one_id for _ in range(3) for one in every for one_id in proposed(one, 1)]
    assert len(set(ids)) == len(ids)


def test_a_grid_proposes_every_candidate_once_and_then_nothing(tmp_path: Path) -> None:
    one = explorer("grid", tmp_path)
    assert len(set(proposed(one, COUNT))) == COUNT == one.space.size()
    assert one.propose() is None
    log = log_in(tmp_path, OBJECTIVES)
    make = partial(make_explorer, log=log, space=one.space, defaults=Defaults(), seed=0, fits=lambda candidate: True)
    again = Explorers({"grid": 0.5, "random": 0.5}, make)
    proposal = again.propose(log.records())
    assert proposal  # of the other one
    assert log.records()[proposal.number].explorer == "random"


def test_a_grid_passes_over_what_does_not_fit(tmp_path: Path) -> None:
    log = log_in(tmp_path, OBJECTIVES)
    small = make_explorer(
        "grid", log, space_for("grid"), Defaults(), 0, lambda candidate: candidate.blocks[1].kind == "bneck"
    )
    assert len(set(proposed(small, 2 * 2 * 2))) == 8
    assert small.propose() is None


def test_a_grid_needs_countable_values(tmp_path: Path) -> None:
    log = log_in(tmp_path, OBJECTIVES)
    endless = make_explorer("grid", log, parse_space(REAL, "r.yaml"), Defaults(), 0, lambda candidate: True)
    with pytest.raises(RunError, match="training.learning_rate is a real range"):
        endless.propose()


def test_a_tuner_learns_what_is_better(tmp_path: Path) -> None:
    """With one kernel good and the other bad, most of the later proposals have the good one."""
    space = load_space("squeezenet.yaml")
    for name in ("nni:tpe", "nni:evolution"):
        (tmp_path / name).mkdir()
        log = log_in(tmp_path / name, ["accuracy"])
        one = make_explorer(name, log, space, Defaults(), 0, lambda candidate: True)
        hits = []
        for _ in range(70):
            proposal = one.propose()
            assert proposal
            params = log.records()[proposal.number].params
            hits.append(params["width"] == 0.5)
            log.tell_complete(proposal.number, {"accuracy": 0.9 if hits[-1] else 0.1}, {})
        assert np.mean(hits[40:]) > 2 * 0.2, name  # one of five values


def test_rewards_by_hand() -> None:
    def record(number: int, outcome: str, values: dict[str, float], broken: float = 0.0) -> TrialRecord:
        return TrialRecord(number, outcome, "random", None, values, violations={"params": broken})  # type: ignore[arg-type]

    records = [
        record(0, "complete", {"accuracy": 0.8, "params": 300.0}),
        record(1, "complete", {"accuracy": 0.4, "params": 100.0}),
        record(2, "repeated", {"accuracy": 0.6, "params": 200.0}),
        record(3, "infeasible", {"accuracy": 0.0, "params": 900.0}, broken=1.0),
        record(4, "infeasible", {"accuracy": 0.0, "params": 9000.0}, broken=3.0),
        record(5, "failed", {}),
        record(6, "infeasible", {}),  # no network at all
    ]
    found = rewards(records, OBJECTIVES, np.array([0.75, 0.25]))
    best, worst, middle = found[:3]
    assert best == pytest.approx(-(0.25 + AUGMENTATION * 0.25))
    assert worst == pytest.approx(-(0.75 + AUGMENTATION * 0.75))
    assert middle == pytest.approx(-(0.375 + AUGMENTATION * 0.5))
    assert found[3:] == pytest.approx([-3.0, -3.5, HOPELESS, HOPELESS])
    assert min(found[:3]) > INFEASIBLE > found[3]
    assert rewards([], OBJECTIVES, np.array([0.5, 0.5])) == []
    assert draw_weights(np.random.default_rng(0), 4).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["optuna:tpee"], "did you mean 'optuna:tpe'"),
        (["nni:tpe=0"], "expected a share above 0"),
        (["nni:tpe=half"], "expected a share above 0"),
        (["nni:tpe", "nni:tpe=0.5"], "named twice"),
        (["nni:tpe=0.5", "random=0.6"], "add up to 1.1, expected 1"),
        (["nni:tpe=1", "random"], "expected less than 1"),
        (["nni:tpe=0.5"], "add up to 0.5, expected 1"),
    ],
)
def test_what_is_no_share(texts: list[str], message: str) -> None:
    with pytest.raises((DseError, UnknownNameError), match=message):
        parse_explorers(texts)


def test_optunas_grid_goes_through_every_combination_and_then_ends(tmp_path: Path) -> None:
    """3 * 2 * 2 * 2 * 2 * 2 of them, whatever others propose between; they make 20 candidates."""
    values = 3 * 2 * 2 * 2 * 2 * 2
    one, ids, points = explorer("optuna:grid", tmp_path), [], 0
    proposed(make_explorer("random", one.log, one.space, Defaults(), 0, lambda candidate: True), 3)
    while proposal := one.propose():
        assert proposal.candidate
        ids.append(proposal.candidate.id)
        end(one.log, proposal)
        points += 1
        if points % 30 == 0:
            one = explorer("optuna:grid", tmp_path)  # a restart goes on
    assert (points, len(set(ids))) == (values, COUNT)
    grid = [entry.attrs.get("grid_id") for entry in one.log.entries]
    assert sorted(grid[3:]) == list(range(values))


def test_what_is_no_grid_for_optuna(tmp_path: Path) -> None:
    log = log_in(tmp_path, OBJECTIVES)
    for space, message in (
        (parse_space(REAL, "r.yaml"), "training.learning_rate is a real range"),
        (load_space("cmv3"), "combinations, expected 100,000 at most"),
    ):
        with pytest.raises(RunError, match=message):
            make_explorer("optuna:grid", log, space, Defaults(), 0, lambda candidate: True)


@pytest.mark.parametrize(("name", "package"), MISSING.items())
def test_a_missing_package_is_named(name: str, package: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{name} needs the package {package}"):
        explorer(name, tmp_path).propose()
