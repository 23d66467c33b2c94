"""Lifetimes, TFLM's greedy plan, better orders of operators and better plans, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dse.cost.tflm.arrange import arranged, better_plan
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor, renumbered
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.order import better_order
from dse.cost.tflm.planner import ONLINE, Lifetime, Peak, aligned, greedy_offsets, head_of, lifetimes, peak
from dse.network.candidate import Candidate
from tests.helpers.networks import family_space, only_candidate
from tests.helpers.tflm import head_bytes


def graph_of(sizes: list[int], operators: list[tuple[tuple[int, ...], int]], outputs: tuple[int, ...]) -> OperatorGraph:
    """Tensors of so many bytes; operators as (inputs, output); tensor 0 is the input."""
    return OperatorGraph(
        tuple(Tensor("INT8", (1, size)) for size in sizes),
        tuple(Operator("ADD", inputs, (output,)) for inputs, output in operators),
        (0,),
        outputs,
    )


def test_lifetimes_of_a_shortcut() -> None:
    """0 -> a -> b, and 0 is added to b at the end; sizes are rounded up to 16."""
    graph = graph_of([10, 20, 30, 40], [((0,), 1), ((1,), 2), ((0, 2), 3)], (3,))
    assert lifetimes(graph) == [  # the input is there before the first operator
        Lifetime(0, 16, -1, 2),
        Lifetime(1, 32, 0, 1),
        Lifetime(2, 32, 1, 2),
        Lifetime(3, 48, 2, 2),
    ]
    assert peak(lifetimes(graph)) == Peak(2, (0, 2, 3), 96)


def test_what_nobody_reads_lives_while_it_is_written_and_outputs_to_the_end() -> None:
    graph = graph_of([16, 16, 16, 16], [((0,), 1), ((0,), 2), ((2,), 3)], (1, 3))
    assert [(t.first, t.last) for t in lifetimes(graph)] == [(-1, 1), (0, 2), (1, 2), (2, 2)]
    unread = graph_of([16, 16, 16], [((0,), 1), ((0,), 2)], (2,))
    assert [(t.first, t.last) for t in lifetimes(unread)] == [(-1, 1), (0, 0), (1, 1)]


def test_what_no_operator_knows_takes_room_before_all_others() -> None:
    """It meets nothing, so the head is the larger of it and the rest; no operator is to blame for the peak."""
    graph = graph_of([16, 16, 4000], [((0,), 1)], (1,))
    assert lifetimes(graph)[2] == Lifetime(2, 4000, -2, -2)
    assert head_bytes(graph) == 4000
    assert peak(lifetimes(graph)) == Peak(0, (2,), 4000)


def test_constants_take_no_arena_and_a_mean_takes_scratch() -> None:
    """A mean over two axes of (1, 4, 4, 8): 4 bytes for each of 8 sums, of 4 axes of the input, of 2 axes."""
    tensors = (Tensor("INT8", (1, 4, 4, 8)), Tensor("INT32", (2,), constant=True), Tensor("INT8", (1, 8)))
    graph = OperatorGraph(tensors, (Operator("MEAN", (0, 1), (2,)),), (0,), (2,))
    assert [(t.tensor, t.num_bytes) for t in lifetimes(graph)] == [(0, 128), (2, 16), (3, 32), (4, 16), (5, 16)]
    assert head_bytes(graph) == 128 + 16 + 32 + 16 + 16


def test_greedy_plan_by_hand() -> None:
    """Four tensors in a chain of three operators, with a shortcut over the middle one.

    Largest first: a (64) at 0; c before b (the later of two equals): it meets a -> 64; b meets a and c -> 96; d meets
    c only -> 0.
    """
    plan = [Lifetime(0, 64, 0, 1), Lifetime(1, 32, 0, 1), Lifetime(2, 32, 1, 2), Lifetime(3, 16, 2, 2)]
    assert greedy_offsets(plan) == {0: 0, 2: 64, 1: 96, 3: 0}
    assert head_of(plan, greedy_offsets(plan)) == 128


def test_greedy_plan_uses_the_lowest_gap_that_fits() -> None:
    """big 64 at 0; mid 48 meets big -> 64; small 16 meets mid only, so it lies in big's place."""
    plan = [Lifetime(0, 64, 0, 0), Lifetime(1, 48, 0, 2), Lifetime(2, 16, 1, 2)]
    assert greedy_offsets(plan) == {0: 0, 1: 64, 2: 0}


def test_an_offline_plan_is_placed_first() -> None:
    """The small tensor is fixed in the middle, so the large one, which TFLM places, has to lie above it."""
    plan = [Lifetime(0, 64, 0, 1), Lifetime(1, 16, 0, 1)]
    assert greedy_offsets(plan, (ONLINE, 32)) == {0: 48, 1: 32}


# Greedy by size wastes a gap here. Sizes 2, 3, 4 units of 16: three tensors of which only neighbours meet, then a large
# one that meets the last: greedy puts c (64) at 0, b (48) meets c -> 64, a (32) meets b -> 0, d (64) meets c -> 64.
GAPPED = [
    Lifetime(0, 64, 0, 0), Lifetime(1, 48, 0, 1), Lifetime(2, 64, 1, 2), Lifetime(3, 80, 2, 3), Lifetime(4, 64, 3, 3),
]  # fmt: skip


def test_a_better_plan_is_found_and_is_a_plan() -> None:
    """Greedy: 3 (80) at 0; 4 (64) -> 80; 2 (64) -> 80; 0 (64) -> 0; 1 (48) meets 0 and 2: -> 144, in all 192.

    No step needs more than 3 and 4, or 2 and 3, which is 144.
    """
    assert head_of(GAPPED, greedy_offsets(GAPPED)) == 192
    assert peak(GAPPED).num_bytes == 144
    plan = better_plan(GAPPED, len(GAPPED))
    assert head_of(GAPPED, plan) == 144
    assert_no_overlap(GAPPED, plan)


def test_no_plan_where_tflm_wastes_nothing() -> None:
    assert better_plan([Lifetime(0, 64, 0, 0), Lifetime(1, 48, 0, 1)], 2) == {}


def assert_no_overlap(tensors: list[Lifetime], offsets: dict[int, int]) -> None:
    for one in tensors:
        for other in tensors:
            if one.tensor < other.tensor and one.first <= other.last and other.first <= one.last:
                a, b = offsets[one.tensor], offsets[other.tensor]
                assert a + one.num_bytes <= b or b + other.num_bytes <= a, (one, other)


def test_the_larger_branch_first_where_that_needs_less() -> None:
    """Two branches of an input of 16: A makes 16, B makes 160 and shrinks it to 16; then both are added.

    A first: the input, A and 160 are alive together, 16 + 16 + 160 (and 160 + 16 + 16 after). B first: 16 + 160, then
    160 + 16 + 16 while B shrinks and the input waits for A.
    """
    sizes = [16, 16, 160, 16, 16]
    graph = graph_of(sizes, [((0,), 1), ((0,), 2), ((2,), 3), ((1, 3), 4)], (4,))
    assert peak(lifetimes(graph)).num_bytes == 16 + 16 + 160
    assert better_order(graph) == [0, 1, 2, 3]  # no order needs less: the present one stays
    # With a large tensor in A too, which shrinks: A's large one must not wait for B's.
    sizes = [16, 160, 16, 320, 48, 16]
    worse = graph_of(sizes, [((0,), 3), ((3,), 4), ((0,), 1), ((1,), 2), ((4, 2), 5)], (5,))
    # As it is: 16 + 320 + 48 at the second operator, 16 + 48 + 160, then 48 + 160 + 16.
    # The other branch first: 16 + 160 + 16, then 16 + 16 + 320 and, the input being dropped, 16 + 320 + 48.
    assert peak(lifetimes(worse)).num_bytes == 16 + 320 + 48
    assert better_order(worse) == [0, 1, 2, 3, 4]
    # A wide tensor that a second branch reads while it waits: what is read last is read first instead.
    sizes = [320, 320, 16, 16, 16]
    waits = graph_of(sizes, [((0,), 1), ((1,), 2), ((0,), 3), ((2, 3), 4)], (4,))
    # As it is: 320 + 320 + 16, the input being kept for the third. The third first: 320 + 16, then 320 + 320 + 16, and
    # then the input is gone: 320 + 16 + 16.
    assert better_order(waits) == [0, 1, 2, 3]
    sizes = [320, 16, 320, 16, 16]
    gains = graph_of(sizes, [((0,), 2), ((2,), 3), ((0,), 1), ((3, 1), 4)], (4,))
    assert peak(lifetimes(gains)).num_bytes == 320 + 320 + 16
    # What stays large is made last: 160 waits beside 16 + 160 as it is, and beside no more than 16 + 16 otherwise.
    sizes = [16, 160, 160, 16, 16]
    turned = graph_of(sizes, [((0,), 1), ((0,), 2), ((2,), 3), ((1, 3), 4)], (4,))
    assert peak(lifetimes(turned)).num_bytes == 16 + 160 + 160
    assert better_order(turned) == [1, 2, 0, 3]
    assert peak(lifetimes(renumbered(turned, [1, 2, 0, 3])[0])).num_bytes == 16 + 160 + 16


@pytest.mark.parametrize("seed", range(40))
def test_no_order_is_better_than_the_one_found(seed: int) -> None:
    """Small random graphs: the order found is as good as the best of all orders, and is one."""
    rng = np.random.default_rng(seed)
    num_operators = int(rng.integers(4, 8))
    sizes = [16 * int(n) for n in rng.integers(1, 40, num_operators + 1)]
    operators = []
    for step in range(num_operators - 1):
        count = min(step + 1, int(rng.integers(1, 3)))
        operators.append((tuple(int(i) for i in rng.choice(step + 1, count, replace=False)), step + 1))
    unread = sorted(set(range(num_operators)) - {i for inputs, _ in operators for i in inputs})
    graph = graph_of(sizes, [*operators, (tuple(unread), num_operators)], (num_operators,))
    best = min(peak(lifetimes(replace(graph, operators=order))).num_bytes for order in orders(graph))
    found = better_order(graph)
    assert sorted(found) == list(range(num_operators))
    reordered = replace(graph, operators=tuple(graph.operators[i] for i in found))
    assert_runs(reordered)
    assert peak(lifetimes(reordered)).num_bytes == best


def orders(graph: OperatorGraph) -> list[tuple[Operator, ...]]:
    """Every order in which the operators can run."""
    found: list[tuple[Operator, ...]] = []

    def go_on(done: tuple[Operator, ...], written: set[int]) -> None:
        if len(done) == len(graph.operators):
            found.append(done)
        for operator in graph.operators:
            if operator not in done and set(operator.inputs) <= written:
                go_on((*done, operator), written | set(operator.outputs))

    go_on((), set(graph.inputs))
    return found


def assert_runs(graph: OperatorGraph) -> None:
    written = set(graph.inputs)
    for operator in graph.operators:
        assert set(operator.inputs) <= written
        written |= set(operator.outputs)


def test_many_branches_are_ordered_in_bounded_time() -> None:
    """Forty branches of three operators: far too many orders to weigh; one is found, and it is no worse."""
    sizes, operators, ends = [64], [], []
    for branch in range(40):
        first = len(sizes)
        sizes += [64 * (1 + branch % 5), 16 * (1 + branch % 7), 16]
        operators += [((0,), first), ((first,), first + 1), ((first + 1,), first + 2)]
        ends.append(first + 2)
    graph = graph_of([*sizes, 16], [*operators, (tuple(ends), len(sizes))], (len(sizes),))
    reordered = replace(graph, operators=tuple(graph.operators[i] for i in better_order(graph)))
    assert_runs(reordered)
    assert peak(lifetimes(reordered)).num_bytes <= peak(lifetimes(graph)).num_bytes


def test_renumbering_keeps_the_graph() -> None:
    graph = graph_of([16, 32, 48, 64], [((0,), 2), ((2,), 1), ((1, 0), 3)], (3,))
    moved, numbers = renumbered(graph)
    assert numbers == [0, 2, 1, 3]
    assert [tensor.num_bytes for tensor in moved.tensors] == [16, 48, 32, 64]
    assert [operator.inputs for operator in moved.operators] == [(0,), (1,), (2, 0)]


def test_arranging_never_needs_more(random_candidates: list[Candidate]) -> None:
    better = 0
    for candidate in random_candidates:
        plain = lower(candidate.network)
        graph, order, numbers = arranged(plain)
        assert sorted(order) == list(range(len(plain.operators)))
        assert sorted(numbers) == list(range(len(plain.tensors)))
        tensors = lifetimes(graph)
        assert head_bytes(graph) >= peak(tensors).num_bytes
        assert head_bytes(graph) <= head_bytes(plain)
        assert bool(graph.offline) == (head_bytes(graph) < head_bytes(replace(graph, offline=())))
        assert_no_overlap(tensors, greedy_offsets(tensors, graph.offline))
        better += head_bytes(graph) < head_bytes(plain)
    assert better > len(random_candidates) // 20  # a tenth at the time of writing


def test_a_residual_keeps_its_input_alive() -> None:
    graph = lower(only_candidate(family_space("bneck", "{expansion: 1}")).network)
    add = next(step for step, operator in enumerate(graph.operators) if operator.kind == "ADD")
    alive = {t.tensor: (t.first, t.last) for t in lifetimes(graph)}
    assert alive[graph.operators[add].inputs[0]][1] == add
    assert alive[0] == (-1, 0)


def test_alignment() -> None:
    assert [aligned(n) for n in (1, 16, 17)] == [16, 16, 32]
