"""Costs put together from blocks are the costs of whole networks, and random choices remembered are still random."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dse.cost.report import estimate
from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.errors import NetworkError
from dse.network.candidate import Candidate
from dse.screening.memo import Memo, Uniform
from dse.screening.screening import CHUNK, COLUMNS, Screening, candidate_of_row, screen
from dse.screening.sections import SectionCost, block_section, head_section, together
from dse.space.conditions import Open
from dse.space.domains import Choice, FloatRange, IntRange
from dse.space.space import Defaults, load_space, parse_space
from tests.helpers import paths

WIDE = str(paths.WIDE)


CMSIS_NN, MVE = (Build(4, 1, kernels="cmsis-nn", core=core) for core in ("dsp", "mve"))


def from_sections(candidate: Candidate) -> SectionCost:
    shape, sections = candidate.input_shape, []
    for block in candidate.blocks:
        sections.append(block_section(block, shape))
        shape = sections[-1].shape
    return together([*sections, head_section(candidate.head, shape, candidate.classes)])


def figures(cost: SectionCost) -> tuple[object, ...]:
    return cost[: len(COLUMNS) + 1]


def whole(candidate: Candidate, build: Build = MICROCONTROLLER) -> tuple[object, ...]:
    cost = estimate(candidate.network).on(build)
    return (
        cost.params,
        cost.macs,
        cost.arena_head_bytes,
        cost.arena_tail_bytes,
        cost.arena_starting_bytes,
        cost.flash_bytes,
        cost.inplace_bytes,
        cost.fused_bytes,
        sum(cost.operators.values()),
        cost.work,
    )


@pytest.mark.parametrize(("space", "count"), [("mixed", 150), ("cmv3", 60), (WIDE, 200)])
def test_the_parts_make_the_whole(space: str, count: int) -> None:
    the_space, rng = load_space(space), np.random.default_rng(3)
    for _ in range(count):
        try:
            candidate = the_space.sample(rng)[1]
        except NetworkError:
            continue
        cost = from_sections(candidate)
        assert figures(cost) == whole(candidate), candidate.to_json()
        for build in (CMSIS_NN, MVE):
            assert figures(cost.on(build)) == whole(candidate, build), candidate.to_json()


def test_screening_draws_what_sampling_draws() -> None:
    """A space of 24 candidates: all of them come up, about equally often, and cost what they cost."""
    space = parse_space(
        """
space: small
stem: {block: conv, channels: {choice: [8, 16]}, stride: 2}
stages:
  - block: {choice: [fire: {squeeze_ratio: {choice: [0.25, 0.5]}}, separable]}
    channels: 32
    repeats: {int: [1, 2]}
    stride: 2
head: {channels: {choice: [0, 64]}}
""",
        "small.yaml",
    )
    rng = np.random.default_rng(0)
    expected = {whole(space.sample(rng)[1]) for _ in range(600)}
    found = Counter(figures(cost) for cost in Screening(space).costs(2_400) if cost)
    assert set(found) == expected
    assert len(expected) == 24
    # Half of the draws are `separable`, which has half as many candidates: 8 of 150, 16 of 75.
    assert sorted(found.values())[0] > 75 - 5 * 75**0.5
    assert sorted(found.values())[-1] < 150 + 5 * 150**0.5


def test_same_seed_same_costs_and_impossible_ones_are_none() -> None:
    space = load_space(WIDE)
    one, same, other = (list(Screening(space, seed=seed).costs(80)) for seed in (1, 1, 2))
    assert one == same != other
    assert 0 < sum(cost is None for cost in one) < 40


REAL = """
space: real
stem: {block: conv, channels: 8, stride: 2}
stages:
  - block: {choice: [conv, bneck: {expansion: {float: [1, 4]}}]}
    channels: {choice: [8, 16]}
    repeats: {int: [1, 3]}
head: {channels: {choice: [0, 32]}}
"""


def test_rows_do_not_depend_on_what_was_drawn_before() -> None:
    """Also with a real range in one of the families: three chunks in one process, and each by itself."""
    space = parse_space(REAL, "real.yaml")
    together = screen(space, count=2 * CHUNK + 50)
    for index, size in enumerate((CHUNK, CHUNK, 50)):
        alone = list(Screening(space, seed=(0, index)).costs(size))
        rows = together.costs[index * CHUNK : index * CHUNK + size]
        assert [tuple(row) for row in rows.tolist()] == [cost[: len(COLUMNS)] for cost in alone if cost]
    for row in (0, CHUNK - 1, CHUNK, CHUNK + 77, 2 * CHUNK + 49):
        found = estimate(candidate_of_row(space, Defaults(), 0, row).network)
        cost = whole(candidate_of_row(space, Defaults(), 0, row))
        assert tuple(together.costs[row].tolist()) == cost[: len(COLUMNS)]
        assert together.column("arena_bytes")[row] == found.arena_bytes


@pytest.mark.parametrize(
    ("space", "row", "candidate"), [("cmv3", 5, "fbc46e443e2e"), ("vww", 1, "346912270676"), ("vww", 6, "2ff92f9a99c7")]
)
def test_a_row_of_a_seed_stays_what_it_was(space: str, row: int, candidate: str) -> None:
    """A report of a screening names candidates by seed and row: nothing is drawn that does not matter."""
    assert candidate_of_row(load_space(space), Defaults(), 3, row).id == candidate


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    space = parse_space(REAL, "real.yaml")
    expected = screen(space, count=2 * CHUNK + 50, seed=3).costs
    monkeypatch.setattr("dse.screening.screening.MAX_REMEMBERED", 10)
    assert np.array_equal(screen(space, count=2 * CHUNK + 50, seed=3).costs, expected)


def test_choices_are_made_once() -> None:
    calls = []

    def make(values):  # type: ignore[no-untyped-def]
        calls.append((values["first"], values.get("second", 0)))
        return calls[-1]

    nodes = [Open("first", Choice(("a", "b")), {"b": [Open("second", IntRange(1, 3))]})]
    memo = Memo(nodes, make, Uniform(0))
    drawn = Counter(memo.draw() for _ in range(6_000))
    assert sorted(calls) == sorted(drawn) == [("a", 0), ("b", 1), ("b", 2), ("b", 3)]
    assert abs(drawn["a", 0] - 3_000) < 250
    assert all(abs(drawn["b", number] - 1_000) < 200 for number in (1, 2, 3))


def test_a_real_range_is_drawn_anew_each_time() -> None:
    nodes = [Open("which", Choice((1, 2))), Open("ratio", FloatRange(0.0, 1.0))]
    memo = Memo(nodes, lambda values: (values["which"], values["ratio"]), Uniform(0))
    drawn = [memo.draw() for _ in range(200)]
    assert {which for which, _ in drawn} == {1, 2}
    assert len({ratio for _, ratio in drawn}) == 200


def test_choices_without_any() -> None:
    memo = Memo([], lambda values: 5, Uniform(0))
    assert [memo.draw() for _ in range(3)] == [5, 5, 5]
