"""Costs of one assignment after another are those of whole networks."""

from __future__ import annotations

import numpy as np
import pytest

from dse.cost.report import estimate
from dse.errors import NetworkError
from dse.screening.quick import QuickCosts
from dse.screening.screening import COLUMNS
from dse.space.conditions import walk
from dse.space.neighbours import Neighbours
from dse.space.space import Defaults, load_space, parse_space
from tests.helpers import paths

SKIPPING = """
space: skipping
stages:
  - {block: &layer {choice: [skip, small: {block: bneck, expansion: 2}, conv]}, channels: 16, stride: 2}
  - {block: *layer, channels: 16}
  - {block: *layer, channels: 16}
"""


@pytest.mark.parametrize("name", ["mixed", "cmv3", "vww", str(paths.WIDE), "skipping"])
def test_they_are_those_of_the_network(name: str) -> None:
    space = parse_space(SKIPPING, "skipping.yaml") if name == "skipping" else load_space(name)
    quick, neighbours = QuickCosts(space, Defaults()), Neighbours(space.template.nodes)
    rng = np.random.default_rng(0)
    assignment = neighbours.random(rng)
    possible = 0
    for _ in range(25):
        found = quick.of(assignment)
        try:
            cost = estimate(space.build(assignment).network)
        except NetworkError:
            assert found is None
        else:
            assert found
            possible += 1
            expected = {name: getattr(cost, name) for name in COLUMNS if name != "num_operators"}
            assert {name: getattr(found, name) for name in expected} == expected
            assert found.num_operators == sum(cost.operators.values())
            rough = quick.roughly(assignment)
            assert rough
            for name in ("params", "macs", "inplace_bytes", "fused_bytes", "num_operators", "work"):
                assert getattr(rough, name) == getattr(found, name)
            assert rough.arena_head_bytes <= found.arena_head_bytes
            assert rough.arena_bytes == pytest.approx(found.arena_bytes, rel=0.15)
            assert rough.flash_bytes == pytest.approx(found.flash_bytes, rel=0.1)
        assignment = neighbours.changed(assignment, 2, rng)
    assert possible > 5


def test_neighbours_differ_in_what_matters_only() -> None:
    space = load_space("mixed")
    neighbours, rng = Neighbours(space.template.nodes), np.random.default_rng(1)
    for _ in range(200):
        one = neighbours.random(rng)
        other = neighbours.changed(one, 1, rng)
        way = walk(space.template.nodes, lambda path, domain, other=other: other[path])
        assert way.problem is None or way.problem.where
        assert set(way.chosen) <= set(other)
        changed = [path for path in one.keys() & other.keys() if one[path] != other[path]]
        gone = one.keys() ^ other.keys()
        assert len(changed) == 1
        assert all(path.startswith(f"{changed[0]}.") for path in gone)
