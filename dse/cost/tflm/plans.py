"""Which tensor lies where in an arena, and when: by TFLM's own plan, and by a file's offline plan beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import greedy_offsets, head_of, lifetimes, peak


class Placed(NamedTuple):
    """A tensor, or what a kernel asks for beside it, in the head of an arena."""

    name: str  # of its writer and itself, such as 'CONV_2D model/relu'; 'scratch' for what a kernel asks for
    first: int  # the operators during which it is alive: -1 is before the first
    last: int
    offset: int
    num_bytes: int


@dataclass(frozen=True)
class Plan:
    """A head as it is laid out."""

    title: str  # 'greedy' or 'offline'
    placed: tuple[Placed, ...]
    head_bytes: int
    peak_step: int  # the operator during which most bytes are alive
    peak_bytes: int  # what no plan can do without

    @property
    def num_steps(self) -> int:
        """Operators, and the subgraphs that they enter."""
        return 1 + max(one.last for one in self.placed)

    def alive(self, step: int) -> list[Placed]:
        """What is alive during an operator, from the lowest offset on."""
        return sorted((one for one in self.placed if one.first <= step <= one.last), key=lambda one: one.offset)


def plans_of(graph: OperatorGraph, build: Build) -> tuple[Plan, ...]:
    """TFLM's plan, and the file's own behind it where it has one."""
    tensors = lifetimes(graph, build)
    most = peak(tensors)
    called = names_of(graph)
    plans = []
    for title, fixed in (("greedy", ()), ("offline", graph.offline)):
        if title == "offline" and not fixed:
            continue
        offsets = greedy_offsets(tensors, fixed)
        placed = tuple(Placed(called(t.tensor), t.first, t.last, offsets[t.tensor], t.num_bytes) for t in tensors)
        plans.append(Plan(title, placed, head_of(tensors, offsets), most.operator, most.num_bytes))
    return tuple(plans)


def names_of(graph: OperatorGraph) -> Callable[[int], str]:
    """What a tensor is called, by its number among those of all subgraphs: its writer and its name."""
    names = [tensor.name for one in graph.subgraphs for tensor in one.tensors]
    writers, start = dict[int, str](), 0
    for one in graph.subgraphs:
        writers |= {start + index: operator.kind for operator in one.operators for index in operator.outputs}
        start += len(one.tensors)

    def called(index: int) -> str:
        if index >= len(names):
            return "scratch"
        return f"{writers.get(index, 'input')} {names[index].split(';')[0]}".strip()

    return called


def map_lines(plan: Plan, width: int = 72, height: int = 12) -> list[str]:
    """A plan as text: time from left to right, the arena from below upwards, '^' under the operator with most alive.

    A letter stands for each tensor where it fills most of a cell; its neighbours in time and place have others.
    """
    columns = min(width, plan.num_steps)
    rows = []
    for row in reversed(range(height)):
        line = ""
        for column in range(columns):
            step = column * plan.num_steps // columns
            if column == plan.peak_step * columns // plan.num_steps:
                step = plan.peak_step
            middle = (row + 0.5) * plan.head_bytes / height
            here = [i for i, one in enumerate(plan.placed) if _covers(one, step, middle)]
            line += LETTERS[here[0] % len(LETTERS)] if here else "·"
        rows.append(line)
    return [*rows, " " * (plan.peak_step * columns // plan.num_steps) + "^"]


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _covers(one: Placed, step: int, place: float) -> bool:
    return one.first <= step <= one.last and one.offset <= place < one.offset + one.num_bytes
