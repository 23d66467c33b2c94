"""The cost of a network, before any weight exists, and of a model file.

Both are read from one kind of graph. Parameters, MACs and the arena's head are exact, and so is the tail on the 64-bit
host; the tail on a 32-bit target follows from the layout of TFLM's structs; a candidate's file size is computed to
within a per cent, or a few hundred bytes of a tiny file (`flash`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from dse.cost.flash import flash_bytes
from dse.cost.formulas import layer_costs
from dse.cost.macs import UNCOUNTED, kernel_tensors
from dse.cost.tflm.arena import arena_of
from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.build import HOST, MICROCONTROLLER, Build
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.kernels import KNOWN_OPERATORS, UNPRICED
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import Walk, arena_bytes, lifetimes, peak
from dse.cost.tflm.plans import names_of
from dse.cost.tflm.support import computed_in, refusals
from dse.cost.tflm.tail import tail_bytes
from dse.cost.tinyengine import EngineMemory, engine_memory, engine_parts
from dse.cost.work import Work, graph_work
from dse.errors import OperatorError
from dse.network.layers import Network


@dataclass(frozen=True, slots=True)
class CostReport:
    """What one network costs, deployed in int8 on TFLM. Bytes; the arena is that of a 32-bit microcontroller."""

    params: int  # as Keras counts them, running statistics included; of a file, the deployed ones
    trainable_params: int
    deployed_params: int  # batch norm folded: int8 kernels and int32 biases
    macs: int
    arena_head_bytes: int
    arena_tail_bytes: int
    arena_tail_bytes_host: int  # on the x86-64 build, whose pointers are 8 bytes
    arena_starting_bytes: int  # the whole arena while TFLM prepares operators and plans memory
    flash_bytes: int
    inplace_bytes: int  # of an engine without an interpreter whose depthwise convolutions work in place; `tinyengine`
    fused_bytes: int  # of one that computes every bottleneck as one operation besides
    peak_operator: str  # the operator during which most bytes are alive
    peak_tensors: tuple[tuple[str, int], ...]  # what is alive then, by the operator that wrote it, in bytes
    plan: str  # greedy: as TFLM finds it; offline: as the file says
    operators: dict[str, int]
    work: Work
    computed_in: str  # the type of the values, as TFLite names it
    refusals: tuple[str, ...]  # why TFLM does not run it; empty where it does
    build: Build = field(repr=False)  # the library whose arena that is
    graph: OperatorGraph = field(repr=False, compare=False)

    @property
    def arena_bytes(self) -> int:
        """What an arena must have: head and tail together, or what starting takes where activations are tiny."""
        return arena_bytes(self.arena_head_bytes, self.arena_tail_bytes, self.arena_starting_bytes)

    def on(self, build: Build) -> CostReport:
        """The same with another library, which takes another arena."""
        return self if build == self.build else replace(self, build=build, **_memory(self.graph, build))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        shown = [each.name for each in fields(self) if each.name not in ("build", "graph")]
        values = {name: getattr(self, name) for name in shown} | {"work": asdict(self.work)}
        values["peak_tensors"] = [{"operator": name, "bytes": size} for name, size in self.peak_tensors]
        values["refusals"] = list(self.refusals)
        return values | {"arena_bytes": self.arena_bytes}


def estimate(network: Network) -> CostReport:
    """The cost of a network on any board, as it will be exported: with the order and the plan that its file gets."""
    costs = [cost for _, cost in layer_costs(network)]
    graph, _, _ = arranged(lower(network))
    trainable = sum(cost.trainable for cost in costs)
    return _report(graph, flash_bytes(graph), trainable, trainable + sum(cost.statistics for cost in costs))


def estimate_graph(graph: OperatorGraph, num_bytes: int) -> CostReport:
    """The cost of a model file of `num_bytes` as it stands. Raises OperatorError for operators that are not known."""
    if unknown := set(graph.counts()) - (KNOWN_OPERATORS - UNCOUNTED):
        raise OperatorError(sorted(unknown - UNPRICED), sorted(unknown & UNPRICED))
    params = _deployed_params(graph)
    return _report(graph, num_bytes, params, params)


def _report(graph: OperatorGraph, flash: int, trainable: int, params: int) -> CostReport:
    work = graph_work(graph)
    # No engine without an interpreter runs a file of several subgraphs.
    engine = EngineMemory(0, 0) if graph.others else engine_memory([engine_parts(graph)])
    return CostReport(
        params=params,
        trainable_params=trainable,
        deployed_params=_deployed_params(graph),
        macs=work.macs,
        arena_tail_bytes_host=tail_bytes(graph, HOST),
        flash_bytes=flash,
        inplace_bytes=engine.inplace_bytes,
        fused_bytes=engine.fused_bytes,
        plan="offline" if graph.offline else "greedy",
        operators=graph.counts(),
        work=work,
        computed_in=computed_in(graph),
        refusals=tuple(refusals(graph)),
        build=MICROCONTROLLER,
        graph=graph,
        **_memory(graph, MICROCONTROLLER),
    )


def _memory(graph: OperatorGraph, build: Build) -> dict[str, Any]:
    """The fields of a report that depend on the library."""
    tensors, arena = lifetimes(graph, build), arena_of(graph, build)
    worst = peak(tensors)
    called = names_of(graph)
    running = _running(graph, worst.operator, build)
    sizes = {tensor.tensor: tensor.num_bytes for tensor in tensors}
    return {
        "arena_head_bytes": arena.head_bytes,
        "arena_tail_bytes": arena.tail_bytes,
        "arena_starting_bytes": arena.starting_bytes,
        "peak_operator": running if isinstance(running, str) else called(running),
        "peak_tensors": tuple((called(index), sizes[index]) for index in worst.tensors),
    }


def _running(graph: OperatorGraph, step: int, build: Build) -> int | str:
    """What is written in a step, by its number; the operator where it writes nothing."""
    if not graph.operators:
        return graph.inputs[0]
    first, operator = 0, graph.operators[min(step, len(graph.operators) - 1)]
    if graph.others:
        _, first, operator = Walk(graph, build).operator_at(step)
    return first + operator.outputs[0] if operator.outputs else operator.kind


def _deployed_params(graph: OperatorGraph) -> int:
    """Values of kernels and biases."""
    found = 0
    for one in graph.subgraphs:
        kernels = {index for operator in one.operators for index in kernel_tensors(operator, one.tensors)}
        found += sum(one.tensors[index].num_elements for index in kernels)
    return found
