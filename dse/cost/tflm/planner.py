"""Activation memory: how long tensors live, what that needs at least, and where TFLM puts them.

TFLM's plan is that of `GreedyMemoryPlanner` (tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc): sizes
rounded up to 16 bytes, the largest first (among equals the later tensor first), each at the lowest offset where it
overlaps no tensor alive with it. Tensors that the file gives a place of their own are put there before.
"""

from __future__ import annotations

import itertools
from bisect import insort
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.cost.tflm.graph import Operator, OperatorGraph
from dse.cost.tflm.scratch import scratch_bytes

if TYPE_CHECKING:
    import numpy as np

ALIGNMENT = 16
LONG = 16  # steps; a life of more is one of few
BEFORE, UNUSED = -1, -2  # the steps before the first operator, which has step 0
ONLINE = -1  # in an offline plan: TFLM finds the place
Bytes = TypeVar("Bytes", int, "np.ndarray[Any, Any]")


class Lifetime(NamedTuple):
    """A tensor of the arena, with the first and the last operator during which it is alive."""

    tensor: int  # its number in the file; those behind the last are scratch buffers of kernels
    num_bytes: int  # rounded up to ALIGNMENT
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Peak:
    """The operator during which most bytes are alive, these tensors, and their bytes. No plan needs less."""

    operator: int
    tensors: tuple[int, ...]
    num_bytes: int


def aligned(num_bytes: Bytes) -> Bytes:
    """Bytes rounded up to TFLM's alignment; the size of an arena is a multiple of it too.

    >>> aligned(1), aligned(16)
    (16, 16)
    """
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT


def arena_bytes(head: Bytes, tail: Bytes, starting: Bytes, larger: Callable[[Bytes, Bytes], Bytes] = max) -> Bytes:
    """What an arena must have: head and tail, or what TFLM takes while it starts where that is more; aligned.

    For arrays of many networks `larger` is NumPy's maximum.

    >>> arena_bytes(1024, 300, 900), arena_bytes(16, 300, 900)
    (1328, 912)
    """
    return aligned(larger(head + tail, starting))


def lifetimes(graph: OperatorGraph, build: Build = MICROCONTROLLER) -> list[Lifetime]:
    """Every tensor that takes arena, in the order in which the file numbers them, then the scratch buffers of a build's
    kernels.

    Inputs live from before the first operator, outputs to the last; what nothing reads lives while it is written, and
    what no operator knows before all others: it takes room all the same. Those of other subgraphs are numbered behind.
    """
    if graph.others:
        return Walk(graph, build).lifetimes()
    first = dict.fromkeys((i for i, tensor in enumerate(graph.tensors) if tensor.is_planned), UNUSED)
    first |= dict.fromkeys(graph.inputs, BEFORE)
    last = dict(first)
    scratch: list[tuple[int, int]] = []
    for step, operator in enumerate(graph.operators):
        for index in operator.inputs:
            last[index] = step
        for index in operator.outputs:
            first[index] = last[index] = step
        scratch += [(num_bytes, step) for num_bytes in scratch_bytes(operator, graph.tensors, build)]
    for index in graph.outputs:
        last[index] = len(graph.operators) - 1
    found = [
        Lifetime(index, aligned(graph.tensors[index].num_bytes), first[index], last[index])
        for index in sorted(first)
        if graph.tensors[index].is_planned
    ]
    behind = len(graph.tensors)
    return found + [Lifetime(behind + i, aligned(size), step, step) for i, (size, step) in enumerate(scratch)]


class Walk:
    """Goes through a file of several subgraphs as it is run, a step for every operator and for every subgraph that one
    enters (micro_allocation_info.cc, MarkAllocationLifetimes)."""

    def __init__(self, graph: OperatorGraph, build: Build) -> None:
        self.graphs = graph.subgraphs
        self.starts = [0, *itertools.accumulate(len(one.tensors) for one in self.graphs)]  # of each, in the numbering
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.operators: dict[int, tuple[int, int]] = {}  # by step: its subgraph, and its number there
        self.step = BEFORE
        self.scratch: list[tuple[int, int, int]] = []  # bytes, and whose: its subgraph, and its number there
        for number, one in enumerate(self.graphs):
            for place, operator in enumerate(one.operators):
                self.scratch += [(size, number, place) for size in scratch_bytes(operator, one.tensors, build)]
        self._visit(0)

    def lifetimes(self) -> list[Lifetime]:
        """Every tensor that takes arena, then the scratch buffers."""
        tensors = [tensor for one in self.graphs for tensor in one.tensors]
        found = [
            Lifetime(index, aligned(tensor.num_bytes), self.first.get(index, UNUSED), self.last.get(index, UNUSED))
            for index, tensor in enumerate(tensors)
            if tensor.is_planned and tensor.num_bytes
        ]
        behind = len(tensors)
        for number, (size, *_) in enumerate(self.scratch):
            index = behind + number
            found.append(Lifetime(index, aligned(size), self.first.get(index, UNUSED), self.last.get(index, UNUSED)))
        return found

    def operator_at(self, step: int) -> tuple[OperatorGraph, int, Operator]:
        """The subgraph that runs in a step, where its tensors begin in the numbering, and the operator."""
        number, place = self.operators[max(min(self.operators), step)]
        return self.graphs[number], self.starts[number], self.graphs[number].operators[place]

    def _visit(self, number: int) -> None:
        graph, start = self.graphs[number], self.starts[number]
        for index in graph.inputs:
            self._used(start + index, self.step)
        for place, operator in enumerate(graph.operators):
            self.step += 1
            began = self.step
            self.operators[began] = number, place
            for index in operator.outputs:
                self.first.setdefault(start + index, began)
            for called in operator.calls:
                self.step += 1
                self.operators[self.step] = number, place
                self._visit(called)
            for index in (*operator.inputs, *operator.outputs):
                if index >= 0:
                    self.last[start + index] = self.step
            for scratch, (_, *whose) in enumerate(self.scratch):
                if whose == [number, place]:
                    self._used(self.starts[-1] + scratch, began)
                    self.last[self.starts[-1] + scratch] = self.step
        for index in graph.outputs:
            self._used(start + index, self.step)

    def _used(self, index: int, step: int) -> None:
        self.first.setdefault(index, step)
        self.last[index] = step


def peak(tensors: list[Lifetime]) -> Peak:
    """The first operator at which most bytes are alive; operator 0 also for what is alive before it.

    >>> peak([Lifetime(0, 64, 0, 1), Lifetime(1, 32, 1, 2), Lifetime(2, 16, 2, 2)])
    Peak(operator=1, tensors=(0, 1), num_bytes=96)
    """
    end = 1 + max(tensor.last for tensor in tensors)
    change = dict.fromkeys(range(UNUSED, end + 1), 0)
    for tensor in tensors:
        change[tensor.first] += tensor.num_bytes
        change[tensor.last + 1] -= tensor.num_bytes
    alive = most = where = 0
    for step in range(UNUSED, end):
        alive += change[step]
        if alive > most:
            most, where = alive, step
    return Peak(max(0, where), tuple(t.tensor for t in tensors if t.first <= where <= t.last), most)


def greedy_offsets(tensors: list[Lifetime], fixed: tuple[int, ...] = ()) -> dict[int, int]:
    """TFLM's offset for every tensor; `fixed` is an offline plan by tensor number.

    >>> greedy_offsets([Lifetime(0, 112, 0, 0), Lifetime(1, 64, 0, 1), Lifetime(2, 32, 1, 1)])
    {0: 0, 1: 112, 2: 0}
    """
    placed = {t: fixed[t.tensor] for t in tensors if t.tensor < len(fixed) and fixed[t.tensor] != ONLINE}
    return place(sorted((t for t in tensors if t not in placed), key=by_size), placed)


def by_size(tensor: Lifetime) -> tuple[int, int]:
    """TFLM's order of placing: the largest first, among equals the later one."""
    return -tensor.num_bytes, -tensor.tensor


def place(order: list[Lifetime], placed: dict[Lifetime, int] | None = None) -> dict[int, int]:
    """Each tensor in turn at the lowest offset that is free during its life, by tensor number."""
    done: list[tuple[int, int, int, int]] = []  # all: from where to where, and when
    lasting: list[tuple[int, int, int, int]] = []  # those of long lives
    by_step: defaultdict[int, list[tuple[int, int, int, int]]] = defaultdict(list)  # the others
    offsets: dict[int, int] = {}

    def put(tensor: Lifetime, offset: int) -> None:
        entry = (offset, offset + tensor.num_bytes, tensor.first, tensor.last)
        offsets[tensor.tensor] = offset
        insort(done, entry)
        if tensor.last - tensor.first >= LONG:
            lasting.append(entry)
            return
        for step in range(tensor.first, tensor.last + 1):
            by_step[step].append(entry)

    for tensor, offset in (placed or {}).items():
        put(tensor, offset)
    for tensor in order:
        size, first, last, offset = tensor.num_bytes, tensor.first, tensor.last, 0
        near = done
        if last - first < LONG:  # what shares no step with it is not looked at: most lives are short
            near = sorted({*itertools.chain(*(by_step[step] for step in range(first, last + 1))), *lasting})
        for start, end, other_first, other_last in near:
            if other_first <= last and first <= other_last:
                if offset + size <= start:
                    break
                if end > offset:
                    offset = end
        put(tensor, offset)
    return offsets


def head_of(tensors: list[Lifetime], offsets: dict[int, int]) -> int:
    """Bytes of arena that a plan takes."""
    return max(offsets[t.tensor] + t.num_bytes for t in tensors)
