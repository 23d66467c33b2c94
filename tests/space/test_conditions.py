"""The tree of open values: which of them matter under which choices, and what is done with it."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from dse.errors import FileError, NetworkError
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.space.conditions import Node, Open, Random, Recorded, active, assignments, first, size, walk
from dse.space.domains import Choice, FloatRange, IntRange
from dse.space.space import Chosen, Space, list_spaces, load_space, parse_space
from tests.helpers import paths

SMALL = """
space: small
width: {choice: [0.5, 1.0]}
stages:
  - block: {choice: [fire: {squeeze_ratio: {choice: [0.25, 0.5]}}, conv: {channels: 8}, separable]}
    channels: {choice: [16, 32]}
    repeats: {int: [1, 2]}
head: {channels: {choice: [0, 64]}, features: {choice: [0, 16]}, pooling: {choice: [average, flatten]}}
training: {epochs: {choice: [1, 2]}}
"""
SPACES = [*map(str, list_spaces()), str(paths.WIDE)]


@pytest.fixture(scope="module")
def small() -> Space:
    return parse_space(SMALL, "small.yaml")


class Noting(dict[str, Any]):
    """Values that note which of them are read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, path: str) -> Any:
        self.read.add(path)
        return super().__getitem__(path)


def drawn(space: Space, count: int, seed: int = 0) -> list[Chosen]:
    rng = np.random.default_rng(seed)
    return [chosen for _ in range(count) if (chosen := space.choose(Random(rng))).candidate]


@pytest.mark.parametrize("name", SPACES, ids=lambda name: name.split("/")[-1])
def test_what_matters_is_what_the_candidate_is_made_of(name: str) -> None:
    """Of values for all that is open, the tree names those that are read, in the order in which they are asked for."""
    space = load_space(name)
    everything = {path: first(path, domain) for path, domain in space.domains.items()}
    for chosen in drawn(space, 30):
        values = Noting(everything | chosen.assignment)
        candidate = space.template.build(values, (32, 32, 3), 10, Training())
        named = active(space.template.nodes, values)
        assert values.read == set(named)
        assert list(chosen.assignment) == named
        assert chosen.candidate
        assert candidate.id == chosen.candidate.id == space.build(chosen.assignment).id
        missing = named[len(named) // 2]
        rest = {path: value for path, value in chosen.assignment.items() if path != missing}
        with pytest.raises(NetworkError) as error:
            space.build(rest)
        assert error.value.where == missing


@pytest.mark.parametrize("name", SPACES, ids=lambda name: name.split("/")[-1])
def test_every_open_value_changes_a_candidate_where_it_matters(name: str) -> None:
    space = load_space(name)
    inert = {path for path, domain in space.domains.items() if len(set(domain.values())) > 1}
    for chosen in drawn(space, 400, seed=1):
        for path in inert & set(chosen.assignment):
            for value in islice(space.domains[path].values(), 4):
                other = space.choose(Recorded(chosen.assignment | {path: value}, otherwise=first))
                if id_of(other.candidate) != id_of(chosen.candidate):
                    inert.discard(path)
                    break
        if not inert:
            break
    assert not inert


def id_of(candidate: Candidate | None) -> str:
    return candidate.id if candidate else ""


def test_enumeration_is_the_set_of_what_is_sampled(small: Space) -> None:
    found = list(small.candidates())
    # (2 squeeze ratios and 2 channels, 1 `conv`, 2 channels) x 2 repeats x 2 widths x 2 epochs, and of the head's 8
    # all but the 2 with `flatten` and features.
    assert len(found) == (2 * 2 + 1 + 2) * 2 * 2 * 2 * 6
    rng = np.random.default_rng(0)
    sampled = {key(chosen.assignment) for _ in range(8_000) if (chosen := small.choose(Random(rng))).candidate}
    assert {key(assignment) for assignment, _ in found} == sampled
    assert all(small.build(assignment).id == candidate.id for assignment, candidate in found[::25])
    assert small.size() == len(found) / 6 * 8


def key(assignment: dict[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(assignment.items())


def test_the_last_value_changes_fastest(small: Space) -> None:
    found = [assignment for assignment, _ in islice(small.candidates(), 3)]
    assert list(found[0].items()) == [
        *(("width", 0.5), ("stages[0].block", "fire"), ("stages[0].repeats", 1), ("stages[0].channels", 16)),
        *(("stages[0].block.fire.squeeze_ratio", 0.25), ("head.channels", 0), ("head.features", 0)),
        *(("head.pooling", "average"), ("training.epochs", 1)),
    ]
    assert [one["training.epochs"] for one in found] == [1, 2, 1]
    assert [one["head.pooling"] for one in found] == ["average", "average", "flatten"]


def test_a_value_that_a_family_overrides_does_not_count_with_it(small: Space) -> None:
    assert "stages[0].channels" not in active(small.template.nodes, {"stages[0].block": "conv"})
    assert "stages[0].channels" in active(small.template.nodes, {"stages[0].block": "separable"})
    assert size(small.template.bodies[""].stages[0].nodes) == (2 * 2 + 1 + 2) * 2


class Unequal:
    """A rule: two values must differ."""

    def __init__(self) -> None:
        self.checked = 0

    def check(self, values: Any) -> None:
        self.checked += 1
        if values["a"] == values["b"]:
            raise NetworkError("a", "like b")


def tree() -> tuple[list[Node], Unequal]:
    rule = Unequal()
    below = {"x": [Open("a.x", IntRange(1, 3))]}
    return [Open("a", Choice(("x", "y")), below), Open("b", Choice(("x", "y"))), rule, Open("c", IntRange(1, 9))], rule


def test_nothing_is_asked_for_behind_a_broken_rule() -> None:
    nodes, rule = tree()
    way = walk(nodes, first)
    assert way.chosen == {"a": "x", "a.x": 1, "b": "x"}
    assert str(way.problem) == "a: like b"
    rule.checked = 0
    found = list(assignments(nodes))
    assert rule.checked == 3 * 2 + 2
    assert len(found) == (3 + 1) * 9
    assert size(nodes) == (3 + 1) * 2 * 9  # whether they go together or not
    assert active(nodes, {"a": "y"}) == ["a", "b", "c"]
    assert active(nodes, {}) == ["a", "b", "c"]


def test_recorded_values_are_checked_in_their_order() -> None:
    nodes, _ = tree()
    way = walk(nodes, Recorded({"a": "x", "a.x": 7, "c": 2}))
    assert str(way.problem) == "a.x: came 7, expected 1 to 3 in steps of 1"
    assert way.chosen == {"a": "x", "a.x": 7}
    way = walk(nodes, Recorded({"a": "y", "a.x": 7}))
    assert str(way.problem) == "b: no value given; known values: a, a.x"
    assert str(walk(nodes, Recorded({})).problem) == "a: no value given; known values: none"
    assert walk(nodes, Recorded({"a": "y"}, otherwise=first)).chosen == {"a": "y", "b": "x", "c": 1}
    # A recorded 2.0 stands for the whole number 2.
    way = walk(nodes, Recorded({"a": "y", "b": "x", "c": 2.0}))
    assert (way.problem, repr(way.values["c"])) == (None, "2")


def test_random_values_follow_the_generator() -> None:
    nodes: list[Node] = [Open("a", Choice((True, 1))), Open("b", IntRange(8, 64, 8)), Open("c", FloatRange(0.0, 1.0))]
    one, same = (walk(nodes, Random(np.random.default_rng(4))) for _ in range(2))
    rng = np.random.default_rng(4)
    assert one.chosen == same.chosen == {node.path: node.domain.sample(rng) for node in nodes if isinstance(node, Open)}
    assert {repr(walk(nodes, Random(rng)).chosen["a"]) for _ in range(20)} == {"True", "1"}
    assert size(nodes) == float("inf")
    assert first("b", IntRange(8, 64, 8)) == 8
    assert first("c", FloatRange(0.5, 1.0)) == 0.5


def test_fixed_values_of_a_family_go_together_or_the_file_is_wrong() -> None:
    """However rarely it would be drawn."""
    families = ", ".join(["separable", "conv: {kernel: 3}", "bneck: {expansion: 2, expand_channels: 16}"])
    text = f"space: x\nstages:\n  - {{block: {{choice: [{families}]}}, channels: 8}}\n"
    with pytest.raises(FileError, match=r"s.yaml:3: stages\[0\]: came both 'expansion' and 'expand_channels'"):
        parse_space(text, "s.yaml")
