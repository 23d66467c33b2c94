"""What is guessed of networks before they are trained, against what it is by definition."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from dse.cost.report import estimate
from dse.hardware.budget import Budgets as Limits
from dse.screening.quick import QuickCosts
from dse.search.costing import SpaceCosting
from dse.search.explorers.bayes import BayesExplorer
from dse.search.explorers.explorers import Explorer, make_explorer
from dse.search.record import Step
from dse.search.summary import cost_values
from dse.search.surrogate.encoding import Encoding
from dse.search.surrogate.gain import BudgetSpread, improvement
from dse.search.surrogate.gaussian_process import Covariance, GaussianProcess, Points
from dse.space.neighbours import Neighbours
from dse.space.space import Defaults, Space, load_space, parse_space
from tests.helpers.explorers import REAL, log_in

SPACE = parse_space(REAL, "real.yaml")
CONV = {"stages[0].block": "conv", "stages[0].block.conv.channels": 8, "stages[0].block.conv.kernel": 1}
BNECK = {"stages[0].block": "bneck", "stages[0].block.bneck.channels": 8, "stages[0].block.bneck.expansion": 2}
REST = {"stages[1].channels": 8, "training.learning_rate": 1e-4}


def apart(one: dict[str, object], other: dict[str, object]) -> float:
    first, second = Encoding(SPACE.template.nodes).rows([REST | one, REST | other])  # type: ignore[list-item]
    return float(((first - second) ** 2).sum())


def test_distances_by_hand() -> None:
    """A value that differs counts as one, a family's values as one together, and of an order how far it is."""
    assert apart(CONV, CONV) == 0
    assert apart(CONV, CONV | {"stages[1].channels": 16}) == pytest.approx(1)
    assert apart(CONV, CONV | {"training.learning_rate": 1e-1}) == pytest.approx(1)
    assert apart(CONV, CONV | {"training.learning_rate": math.sqrt(1e-5)}) == pytest.approx(0.25)  # halfway
    assert apart(CONV, CONV | {"stages[0].block.conv.kernel": 3}) == pytest.approx(0.5)
    near, far = (apart(CONV, CONV | {"stages[0].block.conv.channels": channels}) for channels in (16, 64))
    assert near == pytest.approx(0.25 + 0.25 / 4)  # another value, and half the way between the ends
    assert far == pytest.approx(0.5)
    assert 1 < apart(CONV, BNECK) <= 2


def points(count: int, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return Points(rng.random((count, 6)), rng.standard_normal((count, 3)))


def test_a_process_by_its_definition() -> None:
    """Equations 2.25 and 2.26 of Rasmussen and Williams, with inverses."""
    known, asked = points(9, 0), points(4, 1)
    reached = np.random.default_rng(2).random(9)
    covariance = Covariance(0.4, 3.0, 0.05)
    mean, deviation = GaussianProcess(known, reached, covariance=covariance).predict(asked)
    inverse = np.linalg.inv(covariance.between(known, known) + 0.05 * np.eye(9))
    between = covariance.between(asked, known)
    scaled = (reached - reached.mean()) / reached.std()
    assert mean == pytest.approx(reached.mean() + reached.std() * between @ inverse @ scaled)
    of_each = covariance.of_each(asked, known)
    variance = of_each - np.einsum("ij,jk,ik->i", between, inverse, between)
    assert deviation == pytest.approx(reached.std() * np.sqrt(variance))
    assert covariance.of_each(known, known) == pytest.approx(np.diag(covariance.between(known, known)))


def test_a_process_learns_what_depends_on_pairs_of_choices() -> None:
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    onehot = np.concatenate([rows, 1 - rows], axis=1) / math.sqrt(2)
    reached = rows[:, 0] + 2 * rows[:, 1] * rows[:, 2] - rows[:, 3]
    every = Points(onehot, np.zeros((64, 1)))
    rng = np.random.default_rng(0)
    some = rng.permutation(64)
    mean, deviation = GaussianProcess(Points(onehot[some[:30]], np.zeros((30, 1))), reached[some[:30]]).predict(every)
    hidden = some[30:]
    assert np.corrcoef(mean[hidden], reached[hidden])[0, 1] > 0.95
    assert deviation[some[:30]].mean() < deviation[hidden].mean()


def test_improvement_by_sampling() -> None:
    draws = np.random.default_rng(0).standard_normal(400_000)
    for mean, deviation, best in ((0.0, 1.0, 0.0), (0.3, 0.2, 0.5), (-1.0, 0.5, 0.4)):
        sampled = np.maximum(mean + deviation * draws - best, 0).mean()
        found = improvement(np.array([mean]), np.array([deviation]), np.array([best]))[0]
        assert found == pytest.approx(sampled, abs=2e-3)


def volume(reached: np.ndarray, costs: np.ndarray, least: float, high: float) -> float:
    """The area between a front of two objectives and the reference point, a step at a time."""
    area, best = 0.0, least
    for index in np.argsort(costs):
        if reached[index] > best:
            area += (high - costs[index]) * (reached[index] - best)
            best = reached[index]
    return area


def test_the_gain_is_that_of_the_hypervolume() -> None:
    """The mean over what a network may reach of how much the area of the front grows by it."""
    rng = np.random.default_rng(3)
    reached, costs = rng.random(6), rng.random((6, 1))
    budgets = BudgetSpread(np.zeros(1), np.ones(1), 4000)
    mean, deviation, cost = 0.8, 0.3, 0.35
    before = volume(reached, costs[:, 0], reached.min(), 1.0)
    grown = [
        volume(np.append(reached, draw), np.append(costs[:, 0], cost), reached.min(), 1.0) - before
        for draw in mean + deviation * rng.standard_normal(4000)
    ]
    best = budgets.best(reached, costs)
    found = budgets.gain(np.array([mean]), np.array([deviation]), np.array([[cost]]), best)[0]
    assert found == pytest.approx(np.mean(grown), rel=0.04)


def test_budgets_fill_every_dimension() -> None:
    limits = BudgetSpread(np.zeros(3), np.ones(3), 500, even=True).limits
    assert limits.mean(axis=0) == pytest.approx([0.5] * 3, abs=0.01)
    assert (limits < 0.5).all(axis=1).mean() == pytest.approx(1 / 8, abs=0.02)
    near = BudgetSpread(np.zeros(4), np.ones(4)).limits
    assert near.mean(axis=0) == pytest.approx([0.5] * 4, abs=0.03)
    assert (near >= 0.8).all(axis=1).mean() > 0.02  # what costs much in everything is not forgotten
    one = BudgetSpread(np.zeros(0), np.zeros(0))
    assert one.limits.shape == (1, 0)
    assert one.best(np.array([0.2, 0.7]), np.zeros((2, 0))) == [0.7]


def bayes(space: Space, folder: Path, limits: Limits, objectives: list[str]) -> Explorer:
    folder.mkdir(exist_ok=True)
    costing = SpaceCosting(space, Defaults(), limits, cost_values)
    log = log_in(folder, objectives)
    return make_explorer("bayes", log, space, Defaults(), 0, lambda candidate: True, costing=costing)


def test_what_hardly_anything_keeps_to_is_kept_to(tmp_path: Path) -> None:
    """One random network in about a thousand fits: a descent finds them, and nothing else is proposed."""
    limits = Limits.of_boards((), arena_bytes=12_000, macs=400_000)
    one = bayes(load_space("mixed"), tmp_path, limits, ["accuracy", "macs"])
    for number in range(12):
        proposal = one.propose()
        assert proposal
        assert proposal.candidate
        cost = estimate(proposal.candidate.network)
        assert limits.excess(cost) <= 0
        one.log.tell_complete(number, cost_values(cost) | {"accuracy": 0.3 + 0.01 * number}, {})
    assert len({record.id for record in one.log.records()}) == 12


def test_a_trial_that_runs_counts_as_what_is_expected_of_it(tmp_path: Path) -> None:
    """So what is like it promises less, and the next proposal is another."""
    one = bayes(load_space("mixed"), tmp_path, Limits.of_boards(()), ["accuracy", "params", "macs"])
    for number in range(10):
        proposal = one.propose()
        assert proposal
        assert proposal.candidate
        values = cost_values(estimate(proposal.candidate.network))
        one.log.tell_complete(number, values | {"accuracy": 0.4 + 0.02 * number}, {})
    surrogate = one.surrogate
    before = surrogate.outlook(one.log.records())
    proposal = one.propose()
    assert proposal
    (running,) = surrogate.sketches([one.log.records()[-1].params])
    near = surrogate.near([running.assignment], 30, np.random.default_rng(0))
    promised, left = before.gains([running, *near]), surrogate.outlook(one.log.records()).gains([running, *near])
    assert left[0] < 0.5 * promised[0]
    assert left[1:].mean() < 0.9 * promised[1:].mean()
    ids = [proposal.candidate.id for _ in range(4) if (proposal := one.propose()) and proposal.candidate]
    assert len(set(ids)) == 4


def test_accuracy_alone_and_costs_alone(tmp_path: Path) -> None:
    for objectives in (["accuracy"], ["params", "macs"]):
        one = bayes(SPACE, tmp_path / objectives[0], Limits.of_boards(()), objectives)
        for number in range(11):
            proposal = one.propose()
            assert proposal
            assert proposal.candidate
            values = cost_values(estimate(proposal.candidate.network)) | {"accuracy": 0.5}
            if number % 4 == 3:
                one.log.tell_failed(number, "no reason")
            else:
                one.log.tell_complete(number, values, {})


def tell(one: Explorer, number: int, accuracy: float | None) -> None:
    """A trial ends, badly without an accuracy."""
    candidate = one.log.records()[number].candidate
    assert candidate
    if accuracy is None:
        one.log.tell_failed(number, "no reason")
    else:
        one.log.tell_complete(number, cost_values(estimate(candidate.network)) | {"accuracy": accuracy}, {})


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Of two searches one is begun anew before every proposal; trials fail, and some are under way."""
    space, proposals = load_space("mixed"), dict[str, list[str]]()
    for name in ("whole", "restarted"):
        one = bayes(space, tmp_path / name, Limits.of_boards(()), ["accuracy", "macs", "arena_bytes"])
        found = proposals[name] = []
        for number in range(15):
            if name == "restarted":
                one = bayes(space, tmp_path / name, Limits.of_boards(()), ["accuracy", "macs", "arena_bytes"])
            proposal = one.propose()
            assert proposal
            assert proposal.candidate
            found.append(proposal.candidate.id)
            if number >= 2:
                tell(one, number - 2, None if number % 5 == 0 else 0.3 + 0.01 * (number % 7))
    assert proposals["whole"] == proposals["restarted"]
    assert len(set(proposals["whole"])) == 15


def test_nothing_but_failures_is_learned_from_too(tmp_path: Path) -> None:
    one = bayes(SPACE, tmp_path, Limits.of_boards(()), ["accuracy", "params"])
    for number in range(12):
        assert one.propose()
        tell(one, number, None)


def test_what_only_seems_to_fit_is_not_proposed(tmp_path: Path) -> None:
    """The limit lies between what some networks need roughly and with a plan of their memory."""
    space, quick = load_space("mixed"), QuickCosts(load_space("mixed"), Defaults())
    neighbours, rng = Neighbours(space.template.nodes), np.random.default_rng(0)
    for _ in range(2000):
        assignment = neighbours.random(rng)
        exact, rough = quick.of(assignment), quick.roughly(assignment)
        if exact and rough and 15_000 < rough.arena_bytes < exact.arena_bytes < 60_000:
            break
    else:
        pytest.fail("no network needs more than it seems to")
    limits = Limits.of_boards((), arena_bytes=rough.arena_bytes)
    assert limits.excess(rough) <= 0 < limits.excess(exact)
    one = bayes(space, tmp_path, limits, ["accuracy", "macs"])
    assert isinstance(one, BayesExplorer)
    sketches = one.surrogate.sketches([assignment], rough=True) + one.surrogate.fitting(rng, 5)
    assert list(one._new(sketches))[:1] != [assignment]
    assert assignment not in list(one._new(sketches))


@pytest.mark.parametrize(
    "stages",
    [
        "[{block: conv, channels: {choice: [8]}, kernel: {choice: [1, 3]}}]",
        "[{block: conv, channels: {int: [8, 8]}, kernel: {choice: [1, 3]}}]",
        "[{block: conv, channels: 8, kernel: {choice: [1, 3]}}]\ntraining: {learning_rate: {log: [1e-3, 1e-3]}}",
        "[{block: {choice: [" + ", ".join(f"c{n}: {{block: conv, channels: {n}}}" for n in range(1, 15)) + "]}}]",
        "[{block: {choice: [conv: {channels: {choice: [4, 8]}}, fire, separable]}, channels: {choice: [8, 16, 24]}}]",
    ],
)
def test_every_kind_of_choice_is_encoded(stages: str, tmp_path: Path) -> None:
    """One value, many without an order, and values that stand beside some families only."""
    space = parse_space(f"space: odd\nstem: {{block: conv, channels: 8, stride: 4}}\nstages: {stages}\n", "odd.yaml")
    every = [values for values, _ in space.candidates()]
    rows = Encoding(space.template.nodes).rows(every)
    different = {tuple(sorted((path, str(value)) for path, value in values.items())) for values in every}
    assert len(np.unique(rows.round(9), axis=0)) == len(different)
    one = bayes(space, tmp_path, Limits.of_boards(()), ["accuracy", "params"])
    for number in range(min(11, len(every))):
        if one.propose():
            tell(one, number, 0.5)


def test_a_short_training_counts_as_what_is_to_come_of_it(tmp_path: Path) -> None:
    """One went from 50 to 80 % when it was trained on, so that another's 60 % promise 84 %."""
    one = bayes(SPACE, tmp_path, Limits.of_boards(()), ["accuracy", "macs"])
    for number in range(2):
        proposal = one.propose()
        assert proposal
        assert proposal.candidate
        values = cost_values(estimate(proposal.candidate.network)) | {"accuracy": 0.5 + 0.1 * number}
        one.log.tell_complete(number, values, {}, share=1 / 3)
    before = one.surrogate.outlook(one.log.records())
    assert before.best.max() == pytest.approx(-math.log(0.4))
    one.log.begin_more(0, Step(1.0))
    assert one.surrogate.outlook(one.log.records()).best.max() == before.best.max()
    one.log.tell_more(0, one.log.records()[0].values | {"accuracy": 0.8})
    after = one.surrogate.outlook(one.log.records())
    assert after.best.max() == pytest.approx(-math.log(0.4) - math.log(0.2) + math.log(0.5))
