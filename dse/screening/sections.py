"""The cost of a candidate put together from that of its blocks, for looking at very many candidates.

A block takes one tensor and gives one, so what it costs depends on its own values and the shape of its input only, and
the network is cut between any two blocks. Parameters, MACs, operators and bytes of flash add up; the bytes alive at the
worst are the largest of the blocks', in place too; for the plan the lifetimes stand behind one another. The result is
that of `estimate` on the whole network: a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import NamedTuple

from dse.cost.flash import OPERATOR_CODE, file_bytes, operator_bytes, tensor_bytes
from dse.cost.formulas import layer_costs
from dse.cost.tflm.arena import Arena
from dse.cost.tflm.arrange import better_plan
from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.cost.tflm.graph import OperatorGraph, Tensor, renumbered
from dse.cost.tflm.lowering import is_shared, lower
from dse.cost.tflm.order import better_order
from dse.cost.tflm.planner import BEFORE, Lifetime, arena_bytes, greedy_offsets, head_of, lifetimes, peak
from dse.cost.tflm.structs import layout
from dse.cost.tflm.tail import TailParts, starting_bytes, tail_of, tail_parts
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
    build: Build
    sections: Sequence[Section]
    plan: tuple[int, ...] | None  # that stands in the file; empty where TFLM finds its own, None where nobody looked

    @property
    def arena_bytes(self) -> int:
        """What an arena must have; see `CostReport`."""
        return arena_bytes(self.arena_head_bytes, self.arena_tail_bytes, self.arena_starting_bytes)

    def on(self, build: Build) -> SectionCost:
        """The same with another library, which takes another arena."""
        if build == self.build:
            return self
        if self.plan is None:
            return roughly(self.sections, build)
        arena = _arena(self.sections, build, self.plan)
        return self._replace(
            arena_head_bytes=arena.head_bytes,
            arena_tail_bytes=arena.tail_bytes,
            arena_starting_bytes=arena.starting_bytes,
            build=build,
        )


class SectionMemory(NamedTuple):
    """What a section takes with one library."""

    scratch: tuple[tuple[int, int], ...]  # bytes and step of every buffer that a kernel asks for
    peak_bytes: int  # alive at the worst, its input included
    tail: TailParts  # without the constants that it shares with other sections
    tail_bytes: int  # what that takes of the tail


@dataclass(frozen=True, slots=True)
class Section:
    """What one block, or the head, costs behind an input of one shape."""

    shape: Shape  # of what comes out
    params: int
    macs: int
    work: Work
    flash: float  # without the constants that it shares with other sections
    shared: frozenset[tuple[str, Tensor]]
    kinds: frozenset[str]
    num_steps: int
    written: tuple[tuple[int, int, int], ...]  # bytes, first and last step of every tensor that it writes
    input_bytes: int
    input_last: int  # the last step that reads its input
    engine: EngineParts
    make: Callable[[], Network] = field(repr=False, compare=False)
    memory: dict[Build, SectionMemory] = field(repr=False, compare=False)  # those that were asked for

    def on(self, build: Build) -> SectionMemory:
        """What it takes with a library, found once."""
        if build not in self.memory:
            self.memory[build] = _memory(_graph(self.make()), build)
        return self.memory[build]


@cache
def _tail_bytes(parts: TailParts, build: Build) -> int:
    return tail_of(parts, build, (), ()) - tail_of(TailParts(), build, (), ())


@cache
def _least_tail(build: Build) -> tuple[int, int]:
    """Bytes of the tail of no operators, and for each tensor."""
    return tail_of(TailParts(), build, (1,), (1,)), layout("TfLiteEvalTensor", build)[0]


def block_section(block: Block, shape: Shape) -> Section:
    """The cost of a block behind an input of this shape. Raises NetworkError where it does not fit."""
    return _section(partial(_network, block, shape, 0))


def head_section(head: Head, shape: Shape, classes: int) -> Section:
    """The cost of the head behind an input of this shape."""
    return _section(partial(_network, head, shape, classes))


def _network(part: Block | Head, shape: Shape, classes: int) -> Network:
    builder = NetworkBuilder(shape)
    if isinstance(part, Head):
        within_limits(part.canonical(), "head").lower(builder, "input", classes)
    else:
        within_limits(part.canonical(shape), "").lower(builder, "input")
    return builder.network()


def _graph(network: Network) -> OperatorGraph:
    graph = lower(network)
    order = better_order(graph)
    # In the old order its tensors have their numbers already.
    return graph if order == list(range(len(order))) else renumbered(graph, order)[0]


def _memory(graph: OperatorGraph, build: Build) -> SectionMemory:
    alive = lifetimes(graph, build)
    own = sum(not is_shared(t) and index not in graph.inputs for index, t in enumerate(graph.tensors))
    tail = replace(tail_parts(graph, build), num_tensors=own)
    scratch = tuple((t.num_bytes, t.first) for t in alive if t.tensor >= len(graph.tensors))
    return SectionMemory(scratch, peak(alive).num_bytes, tail, _tail_bytes(tail, build))


def _section(make: Callable[[], Network]) -> Section:
    network = make()
    graph = _graph(network)
    alive = lifetimes(graph)
    source = next(t for t in alive if t.tensor in graph.inputs)
    own = [t for index, t in enumerate(graph.tensors) if not is_shared(t) and index not in graph.inputs]
    costs = [cost for _, cost in layer_costs(network)]
    work = graph_work(graph)
    return Section(
        shape=network.output.shape,
        params=sum(cost.params for cost in costs),
        macs=work.macs,
        work=work,
        flash=sum(map(tensor_bytes, own)) + sum(map(operator_bytes, graph.operators)),
        shared=frozenset((tensor.name, tensor) for tensor in graph.tensors if is_shared(tensor)),
        kinds=frozenset(graph.counts()),
        num_steps=len(graph.operators),
        written=tuple(t[1:] for t in alive if t.tensor < len(graph.tensors) and t is not source),
        input_bytes=source.num_bytes,
        input_last=source.last,
        engine=engine_parts(graph),
        make=make,
        memory={MICROCONTROLLER: _memory(graph, MICROCONTROLLER)},
    )


def together(sections: Sequence[Section], build: Build = MICROCONTROLLER) -> SectionCost:
    """The cost of a network of these sections with a library; the last section is the head."""
    plan, head = _plan(sections)
    arena = _arena(sections, build, plan, head if build == MICROCONTROLLER else None)
    shared = frozenset[tuple[str, Tensor]]().union(*(section.shared for section in sections))
    image = Tensor("INT8", (1, 1, 1, 1))  # of the input only the number of axes counts
    kinds = frozenset[str]().union(*(section.kinds for section in sections))
    num_tensors = 1 + len(shared) + sum(section.on(MICROCONTROLLER).tail.num_tensors for section in sections)
    flash = (
        file_bytes(kinds, num_tensors if plan else 0)
        + tensor_bytes(image)
        + sum(tensor_bytes(tensor) for _, tensor in shared)
        + sum(section.flash for section in sections)
    )
    return SectionCost(
        sum(section.params for section in sections),
        sum(section.macs for section in sections),
        arena.head_bytes,
        arena.tail_bytes,
        arena.starting_bytes,
        round(flash),
        *engine_memory([section.engine for section in sections]),
        sum(section.num_steps for section in sections),
        sum((section.work for section in sections), Work()),
        build,
        sections,
        plan,
    )


def roughly(sections: Sequence[Section], build: Build = MICROCONTROLLER) -> SectionCost:
    """Nearly the same in a fraction of the time: the memory that is alive at the worst, without a plan of where, and
    what sections share counted with each of them."""
    least, each = _least_tail(build)
    memory = [section.on(build) for section in sections]
    shared = 1 + max(len(section.shared) for section in sections)
    return SectionCost(
        sum(section.params for section in sections),
        sum(section.macs for section in sections),
        max(one.peak_bytes for one in memory),
        least + sum(one.tail_bytes for one in memory) + shared * each,
        0,
        round(file_bytes(()) + sum(section.flash + OPERATOR_CODE for section in sections)),
        *engine_memory([section.engine for section in sections]),
        sum(section.num_steps for section in sections),
        sum((section.work for section in sections), Work()),
        build,
        sections,
        None,
    )


def _plan(sections: Sequence[Section]) -> tuple[tuple[int, ...], int]:
    """The plan that stands in the file, made for the reference kernels, and the head that it takes with them; the plan
    is empty where TFLM's own is as good."""
    tensors, num_planned = _lifetimes(sections, MICROCONTROLLER)
    head = head_of(tensors, greedy_offsets(tensors))
    least = max(section.on(MICROCONTROLLER).peak_bytes for section in sections)
    if head > least and (plan := better_plan(tensors, num_planned)):
        fixed = tuple(plan[index] for index in range(num_planned))
        return fixed, head_of(tensors, greedy_offsets(tensors, fixed))
    return (), head


def _arena(sections: Sequence[Section], build: Build, plan: tuple[int, ...], head: int | None = None) -> Arena:
    """The arena with a library, as `arena_of` has it for the whole graph; its head may be known."""
    memory = [section.on(build) for section in sections]
    if head is None:
        tensors, _ = _lifetimes(sections, build)
        head = head_of(tensors, greedy_offsets(tensors, plan))
    shared = frozenset[tuple[str, Tensor]]().union(*(section.shared for section in sections))
    tail = sum((one.tail for one in memory), TailParts(1 + len(shared)))
    num_buffers = 1 + sum(len(section.written) for section in sections) + sum(len(one.scratch) for one in memory)
    return Arena(head, tail_of(tail, build, (1,), (1,)), starting_bytes(tail, num_buffers, build))


def _lifetimes(sections: Sequence[Section], build: Build) -> tuple[list[Lifetime], int]:
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
        scratch += [(num_bytes, start + step) for num_bytes, step in section.on(build).scratch]
        start = end
    num_tensors = len(tensors)
    tensors += [Lifetime(num_tensors + i, size, step, step) for i, (size, step) in enumerate(scratch)]
    return tensors, num_tensors
