"""Peak activation memory: tensor lifetimes, and TFLM's greedy plan over them.

The plan is that of `GreedyMemoryPlanner` in TensorFlow Lite Micro: sizes rounded up to 16 bytes, the largest
first (among equals the later tensor first), each at the lowest offset where it overlaps no tensor alive with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dse.cost.operators import Operator

ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A tensor with the first and last operator during which it is alive."""

    name: str
    num_bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every tensor lies, how much that takes, and which operator needs most."""

    head_bytes: int
    offsets: dict[str, int]
    peak_operator: int


def lifetimes(operators: list[Operator], input_name: str, input_bytes: int) -> list[Lifetime]:
    """Every activation tensor, in the order in which the file numbers them."""
    last = {operators[-1].output: len(operators) - 1}
    for index, operator in enumerate(operators):
        for name in operator.inputs:
            last[name] = max(last.get(name, 0), index)
    found = [Lifetime(input_name, input_bytes, 0, last.get(input_name, 0))]
    for index, operator in enumerate(operators):
        found.append(Lifetime(operator.output, operator.output_bytes, index, last.get(operator.output, index)))
    return found


def greedy_plan(tensors: list[Lifetime]) -> Plan:
    """TFLM's plan for these tensors.

    >>> greedy_plan([Lifetime("a", 100, 0, 0), Lifetime("b", 60, 0, 1), Lifetime("c", 30, 1, 1)]).head_bytes
    176
    """
    sizes = [-(-t.num_bytes // ALIGNMENT) * ALIGNMENT for t in tensors]
    order = sorted(range(len(tensors)), key=lambda index: (-sizes[index], -index))
    offsets: dict[int, int] = {}
    for index in order:
        tensor, size = tensors[index], sizes[index]
        busy = sorted(
            (offset, offset + sizes[other])
            for other, offset in offsets.items()
            if tensors[other].first <= tensor.last and tensor.first <= tensors[other].last
        )
        place = 0
        for start, end in busy:
            if place + size <= start:
                break
            place = max(place, end)
        offsets[index] = place
    head = max((offset + sizes[index] for index, offset in offsets.items()), default=0)
    alive: dict[int, int] = {}
    for index, tensor in enumerate(tensors):
        for step in range(tensor.first, tensor.last + 1):
            alive[step] = alive.get(step, 0) + sizes[index]
    return Plan(head, {tensors[i].name: o for i, o in offsets.items()}, max(alive, key=lambda step: alive[step]))
