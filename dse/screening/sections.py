"""The cost of a candidate put together from that of its blocks, for looking at very many candidates.

A block takes one tensor and gives one, so what it costs depends on its own values and the shape of its input only, and
the network is cut between any two blocks. Parameters, MACs, operators and bytes of flash add up; the bytes alive at the
worst are the largest of the blocks', in place too; for the plan the lifetimes stand behind one another. The result is
that of `estimate` on the whole network: a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from dse.cost.flash import OPERATOR_CODE, file_bytes, operator_bytes, tensor_bytes
from dse.cost.formulas import layer_costs
from dse.cost.tflm.arrange import better_plan
from dse.cost.tflm.build import MICROCONTROLLER
from dse.cost.tflm.graph import Tensor, renumbered
from dse.cost.tflm.lowering import is_shared, lower
from dse.cost.tflm.order import better_order
from dse.cost.tflm.planner import BEFORE, Lifetime, arena_bytes, greedy_offsets, head_of, lifetimes, peak
from dse.cost.tflm.tail import TailParts, layout, starting_bytes, tail_of, tail_parts
from dse.cost.tinyengine import EngineParts, engine_memory, engine_parts
from dse.cost.work import Work, graph_work
from dse.network.blocks import Block
from dse.network.builder import NetworkBuilder
from dse.network.candidate import within_limits
from dse.network.head import Head
from dse.network.layers import Network, Shape


class SectionCost(NamedTuple):
    """The costs of a candidate by the names that a `Budget` has; see `CostReport`."""

    params: int
    macs: int
    arena_head_bytes: int
    arena_tail_bytes: int
    arena_starting_bytes: int
    flash_bytes: int
    inplace_bytes: int
    fused_bytes: int
    num_operators: int
    work: Work

    @property
    def arena_bytes(self) -> int:
        """What an arena must have; see `CostReport`."""
        return arena_bytes(self.arena_head_bytes, self.arena_tail_bytes, self.arena_starting_bytes)


@dataclass(frozen=True, slots=True)
class Section:
    """What one block, or the head, costs behind an input of one shape."""

    shape: Shape  # of what comes out
    params: int
    macs: int
    peak_bytes: int  # alive at the worst, its input included
    work: Work
    flash: float  # without the constants that it shares with other sections
    tail: TailParts  # the same
    tail_bytes: int  # what that takes of the tail
    shared: frozenset[tuple[str, Tensor]]
    kinds: frozenset[str]
    num_steps: int
    written: tuple[tuple[int, int, int], ...]  # bytes, first and last step of every tensor that it writes
    scratch: tuple[tuple[int, int], ...]  # bytes and step of every scratch buffer
    input_bytes: int
    input_last: int  # the last step that reads its input
    engine: EngineParts


NOTHING_TAIL = tail_of(TailParts(), MICROCONTROLLER, (1,), (1,))
TENSOR_TAIL = layout("TfLiteEvalTensor", MICROCONTROLLER)[0]


@cache
def _tail_bytes(parts: TailParts) -> int:
    return tail_of(parts, MICROCONTROLLER, (), ()) - tail_of(TailParts(), MICROCONTROLLER, (), ())


def block_section(block: Block, shape: Shape) -> Section:
    """The cost of a block behind an input of this shape. Raises NetworkError where it does not fit."""
    builder = NetworkBuilder(shape)
    within_limits(block.canonical(shape), "").lower(builder, "input")
    return _section(builder.network())


def head_section(head: Head, shape: Shape, classes: int) -> Section:
    """The cost of the head behind an input of this shape."""
    builder = NetworkBuilder(shape)
    within_limits(head.canonical(), "head").lower(builder, "input", classes)
    return _section(builder.network())


def _section(network: Network) -> Section:
    graph = lower(network)
    order = better_order(graph)
    if order != list(range(len(order))):  # else its tensors have their numbers already
        graph, _ = renumbered(graph, order)
    alive = lifetimes(graph)
    source = next(t for t in alive if t.tensor in graph.inputs)
    num_tensors = len(graph.tensors)
    shared = frozenset((tensor.name, tensor) for tensor in graph.tensors if is_shared(tensor))
    own = [t for index, t in enumerate(graph.tensors) if not is_shared(t) and index not in graph.inputs]
    parts = tail_parts(graph, MICROCONTROLLER)
    tail = replace(parts, num_tensors=len(own))
    costs = [cost for _, cost in layer_costs(network)]
    work = graph_work(graph)
    return Section(
        shape=network.output.shape,
        params=sum(cost.params for cost in costs),
        macs=work.macs,
        peak_bytes=peak(alive).num_bytes,
        work=work,
        flash=sum(map(tensor_bytes, own)) + sum(map(operator_bytes, graph.operators)),
        tail=tail,
        tail_bytes=_tail_bytes(tail),
        shared=shared,
        kinds=frozenset(parts.kinds),
        num_steps=len(graph.operators),
        written=tuple(t[1:] for t in alive if t.tensor < num_tensors and t is not source),
        scratch=tuple((t.num_bytes, t.first) for t in alive if t.tensor >= num_tensors),
        input_bytes=source.num_bytes,
        input_last=source.last,
        engine=engine_parts(graph),
    )


def together(sections: Sequence[Section]) -> SectionCost:
    """The cost of a network of these sections; the last is the head."""
    head, offline = _planned(sections)
    shared = frozenset[tuple[str, Tensor]]().union(*(section.shared for section in sections))
    image = Tensor("INT8", (1, 1, 1, 1))  # of the input only the number of axes counts
    tail = sum((section.tail for section in sections), TailParts(1 + len(shared)))
    kinds = frozenset[str]().union(*(section.kinds for section in sections))
    flash = (
        file_bytes(kinds, tail.num_tensors if offline else 0)
        + tensor_bytes(image)
        + sum(tensor_bytes(tensor) for _, tensor in shared)
        + sum(section.flash for section in sections)
    )
    return SectionCost(
        sum(section.params for section in sections),
        sum(section.macs for section in sections),
        head,
        tail_of(tail, MICROCONTROLLER, (1,), (1,)),
        starting_bytes(tail, 1 + sum(len(one.written) + len(one.scratch) for one in sections), MICROCONTROLLER),
        round(flash),
        *engine_memory([section.engine for section in sections]),
        sum(section.num_steps for section in sections),
        sum((section.work for section in sections), Work()),
    )


def roughly(sections: Sequence[Section]) -> SectionCost:
    """Nearly the same in a fraction of the time: the memory that is alive at the worst, without a plan of where, and
    what sections share counted with each of them."""
    shared = 1 + max(len(section.shared) for section in sections)
    tail = NOTHING_TAIL + sum(section.tail_bytes for section in sections) + shared * TENSOR_TAIL
    return SectionCost(
        sum(section.params for section in sections),
        sum(section.macs for section in sections),
        max(section.peak_bytes for section in sections),
        tail,
        0,
        round(file_bytes(()) + sum(section.flash + OPERATOR_CODE for section in sections)),
        *engine_memory([section.engine for section in sections]),
        sum(section.num_steps for section in sections),
        sum((section.work for section in sections), Work()),
    )


def _planned(sections: Sequence[Section]) -> tuple[int, bool]:
    """The head that the plan takes, and whether that plan stands in the file."""
    tensors, num_planned = _lifetimes(sections)
    head = head_of(tensors, greedy_offsets(tensors))
    least = max(section.peak_bytes for section in sections)
    if head > least and (plan := better_plan(tensors, num_planned)):
        fixed = tuple(plan[index] for index in range(num_planned))
        return head_of(tensors, greedy_offsets(tensors, fixed)), True
    return head, False


def _lifetimes(sections: Sequence[Section]) -> tuple[list[Lifetime], int]:
    """The lifetimes of all sections behind one another; how many of them are tensors, the rest being scratch."""
    tensors = [Lifetime(0, sections[0].input_bytes, BEFORE, sections[0].input_last)]
    scratch = []
    start = 0
    for number, section in enumerate(sections):
        end = start + section.num_steps
        for num_bytes, first, last in section.written:
            tensors.append(Lifetime(len(tensors), num_bytes, start + first, start + last))
        if number + 1 < len(sections):
            # What comes out is the last tensor written, and lives until the next section has read it.
            out = tensors[-1]
            tensors[-1] = Lifetime(out.tensor, out.num_bytes, out.first, end + sections[number + 1].input_last)
        scratch += [(num_bytes, start + step) for num_bytes, step in section.scratch]
        start = end
    num_tensors = len(tensors)
    tensors += [Lifetime(num_tensors + i, size, step, step) for i, (size, step) in enumerate(scratch)]
    return tensors, num_tensors
