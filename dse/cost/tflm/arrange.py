"""A graph arranged so that its activations take less memory: the order of its operators, and an offline plan.

TFLM places tensors by their size, which can leave gaps. Where another order of placing needs less, the offsets are
written into the file. What is done to a candidate on paper is done to its file: one function serves both.
"""

from __future__ import annotations

import random
from dataclasses import replace

from dse.cost.tflm.graph import OperatorGraph, renumbered
from dse.cost.tflm.order import better_order
from dse.cost.tflm.planner import ONLINE, Lifetime, by_size, greedy_offsets, head_of, lifetimes, peak, place

MAX_TRIES = 60  # changes of each order of placing
MAX_PLACED = 20_000  # tensors in all of them, so that a network of 2,000 tensors takes a second


def arranged(graph: OperatorGraph) -> tuple[OperatorGraph, list[int], list[int]]:
    """The graph as it is deployed; with it the old number of every operator, and of every tensor."""
    order = better_order(graph)
    moved, numbers = renumbered(graph, order)
    offsets = better_plan(lifetimes(moved), len(numbers))
    plan = tuple(offsets.get(index, ONLINE) for index in range(len(numbers))) if offsets else ()
    return replace(moved, offline=plan), order, numbers


def better_plan(tensors: list[Lifetime], num_tensors: int) -> dict[int, int]:
    """Offsets that take less than TFLM's own plan; empty where none were found. The same tensors, the same answer.

    Numbers from `num_tensors` on are scratch buffers: a file cannot say where they lie, TFLM places them last.
    """
    least = peak(tensors).num_bytes
    best = head_of(tensors, greedy_offsets(tensors))
    if best == least:
        return {}
    scratch = sorted((t for t in tensors if t.tensor >= num_tensors), key=by_size)
    tensors = [t for t in tensors if t.tensor < num_tensors]
    plan: dict[int, int] = {}
    for order in (
        _by_breadth(tensors),
        sorted(tensors, key=lambda t: (t.first - t.last, -t.num_bytes, t.tensor)),
        sorted(tensors, key=lambda t: (t.first, -t.num_bytes, t.tensor)),
        sorted(tensors, key=by_size),
    ):
        head, offsets = _climbed(order, scratch, least)
        if head < best:
            best, plan = head, offsets
        if best == least:
            break
    return plan


def _by_breadth(tensors: list[Lifetime]) -> list[Lifetime]:
    """Step by step from the one with most bytes alive; the largest tensors of a step first.

    Pisarchyk and Lee 2020, Efficient Memory Management for Deep Neural Net Inference, section 4.2.
    """
    alive: list[list[Lifetime]] = [[] for _ in range(1 + max(tensor.last for tensor in tensors))]
    for tensor in tensors:
        for step in range(max(0, tensor.first), tensor.last + 1):
            alive[step].append(tensor)
    alive.sort(key=lambda step: -sum(t.num_bytes for t in step))
    return list(dict.fromkeys(t for step in alive for t in sorted(step, key=by_size)))


def _climbed(order: list[Lifetime], scratch: list[Lifetime], least: int) -> tuple[int, dict[int, int]]:
    """The lowest head found from an order of placing, and its offsets."""
    rng = random.Random(0)
    best, plan = head, offsets = _placed(order, scratch)
    for _ in range(min(MAX_TRIES, MAX_PLACED // len(order))):
        if best == least:
            break
        # The tensor that reaches highest is placed earlier; a way that is not worse is gone on from.
        top = max(range(len(order)), key=lambda index: offsets[order[index].tensor] + order[index].num_bytes)
        tried = list(order)
        tried.insert(rng.randrange(top or 1), tried.pop(top))
        new_head, new_offsets = _placed(tried, scratch)
        if new_head <= head:
            order, head, offsets = tried, new_head, new_offsets
        if new_head < best:
            best, plan = new_head, new_offsets
    return best, plan


def _placed(order: list[Lifetime], scratch: list[Lifetime]) -> tuple[int, dict[int, int]]:
    offsets = place(order + scratch)
    return head_of(order + scratch, offsets), offsets
