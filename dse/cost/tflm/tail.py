"""The arena's tail: what TensorFlow Lite Micro allocates for good, exact to the byte for an int8 graph.

The allocator goes down from the end of the arena: every request moves down by its size and on to its alignment. So the
tail is a walk over the requests in the order of `MicroInterpreter::AllocateTensors`, with sizes that follow from the
layout of TFLM's structs in a build: the x86-64 one of the package, whose interpreter records its allocations and can
decompress weights, or a microcontroller's, which does neither, with the reference kernels or those of CMSIS-NN.

Not described: 4-bit weights. File names are those of
tensorflow/tflite-micro, below tensorflow/lite/micro.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dse.cost.tflm.build import Build
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.kernels import ALIGNMENT, kept, kernel_of
from dse.cost.tflm.scratch import scratch_bytes
from dse.cost.tflm.structs import layout, up

# Convolutions are prepared with their input, weights and output, and from there once more with the bias too
# (conv_common.cc, depthwise_conv_common.cc): seven tensors at a time, and only an LSTM has more (lstm_eval_common.cc).
TWICE_PREPARED = ("CONV_2D", "DEPTHWISE_CONV_2D")
TENSORS_OF_A_CONVOLUTION, TENSORS_OF_AN_LSTM = 7, 16
MAX_SCRATCH_PER_OPERATOR = 12  # room for requests that is kept while operators are prepared; micro_allocator.cc


@dataclass(frozen=True, slots=True)
class TailParts:
    """What the tail of a graph follows from; adds up over parts of a network."""

    num_tensors: int = 0  # constant or not
    kinds: tuple[str, ...] = ()  # of the operators, in order
    kept_bytes: int = (
        0  # of what kernels keep beside their structs: multipliers and shifts, say; each buffer rounded up
    )
    first_kept: int = 0  # of them the first one, as it is
    subgraphs: int = 1
    resources: int = 0  # variables that several subgraphs may work on
    variables: tuple[int, ...] = ()  # bytes of tensors that keep their values
    num_scratch: int = 0  # buffers that kernels ask for in the head; the tail has a handle of each
    prepare_bytes: int = 0  # at most while an operator is prepared: what is kept so far, and zero points of its tensors

    def __add__(self, other: TailParts) -> TailParts:
        return TailParts(
            self.num_tensors + other.num_tensors,
            self.kinds + other.kinds,
            self.kept_bytes + other.kept_bytes,
            self.first_kept or other.first_kept,
            self.subgraphs,
            self.resources + other.resources,
            self.variables + other.variables,
            self.num_scratch + other.num_scratch,
            max(self.prepare_bytes, self.kept_bytes + other.prepare_bytes),
        )


def tail_parts(graph: OperatorGraph, build: Build) -> TailParts:
    """The parts of a graph."""
    if not graph.others:
        return _parts(graph, build, set())
    known = set[str]()
    parts = sum((_parts(one, build, known) for one in graph.subgraphs), TailParts())
    return replace(parts, subgraphs=len(graph.subgraphs), resources=len(known))


def _parts(graph: OperatorGraph, build: Build, known: set[str]) -> TailParts:
    """Those of one subgraph; what it assigns for the first time becomes `known`."""
    total = prepare = first = 0
    for operator in graph.operators:
        sizes = kept(operator, graph.tensors, build)
        if operator.kind == "ASSIGN_VARIABLE" and operator.variable and operator.variable not in known:
            known.add(operator.variable)
            sizes = (graph.tensors[operator.inputs[1]].num_bytes,)
        first = first or next(iter(sizes), 0)
        total += sum(up(size, ALIGNMENT) for size in sizes)
        used = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
        if operator.kind in TWICE_PREPARED:
            used += [index for index in (*operator.inputs[:2], *operator.outputs) if index >= 0]
        prepare = max(prepare, total + sum(4 + 4 * graph.tensors[index].num_scales for index in used))
    return TailParts(
        num_tensors=len(graph.tensors),
        kinds=tuple(operator.kind for operator in graph.operators),
        kept_bytes=total,
        first_kept=first,
        resources=len(known),
        variables=tuple(tensor.num_bytes for tensor in graph.tensors if tensor.kept == "variable"),
        num_scratch=sum(len(scratch_bytes(operator, graph.tensors, build)) for operator in graph.operators),
        prepare_bytes=prepare,
    )


def tail_bytes(graph: OperatorGraph, build: Build) -> int:
    """Bytes of the tail in a build. Raises UnknownNameError for an operator that is not in KNOWN_OPERATORS.

    >>> from dse.cost.tflm.build import HOST, MICROCONTROLLER
    >>> graph = OperatorGraph((), (), (), ())
    >>> tail_bytes(graph, HOST), tail_bytes(graph, MICROCONTROLLER)
    (488, 132)
    """
    ends = [[graph.tensors[index].num_scales for index in indices] for indices in (graph.inputs, graph.outputs)]
    return tail_of(tail_parts(graph, build), build, *ends)


def tail_of(parts: TailParts, build: Build, inputs: Sequence[int], outputs: Sequence[int]) -> int:
    """Bytes of the tail of these parts in a build; `inputs` and `outputs` have the number of scales of each.

    The order of requests is that of micro_allocator.cc (Create, StartModelAllocation, FinishModelAllocation) and
    micro_interpreter.cc (AllocateTensors).
    """
    kernels = [kernel_of(kind, build) for kind in parts.kinds]
    used = _walk(0, _objects(build, parts.subgraphs, parts.resources))
    for struct, count in (("TfLiteEvalTensor", parts.num_tensors), ("NodeAndRegistration", len(kernels))):
        size, alignment = layout(struct, build)
        used = up(used + count * size, alignment)
    used = _walk(used, [params for params, _ in kernels])
    used = _walk(used, [(data, ALIGNMENT) for _, data in kernels if data])
    if parts.kept_bytes:  # from the first on all begin at a multiple
        used = up(used + parts.first_kept, ALIGNMENT) + parts.kept_bytes - up(parts.first_kept, ALIGNMENT)
    if parts.num_scratch:
        used = up(used + parts.num_scratch * build.pointer_bytes, build.pointer_bytes)
    used = _walk(used, [(size, ALIGNMENT) for size in parts.variables])
    for scales in (inputs, outputs):
        used = _walk(used, _persistent_tensors(scales, build))
    return used


def starting_bytes(parts: TailParts, num_buffers: int, build: Build) -> int:
    """Bytes of the whole arena while TFLM starts: more than head and tail together where activations are small.

    While an operator is prepared, its tensors lie where the activations will be, with a zero point for every channel
    (micro_allocator.cc, AllocateTempTfLiteTensor); and while memory is planned, a note of every tensor and scratch
    buffer, and the planner's table of the `num_buffers` that it places (CommitStaticMemoryPlan). It may be some hundred
    bytes more than is taken: operators are counted with as many tensors as a convolution has.
    """

    def size(struct: str) -> int:
        return layout(struct, build)[0]

    tail = tail_of(parts, build, (), ())
    requests = size("ScratchBufferRequest") * (parts.num_scratch + MAX_SCRATCH_PER_OPERATOR)
    at_a_time = TENSORS_OF_AN_LSTM if "UNIDIRECTIONAL_SEQUENCE_LSTM" in parts.kinds else TENSORS_OF_A_CONVOLUTION
    temporary = at_a_time * (size("TfLiteTensor") + size("TfLiteAffineQuantization"))
    preparing = tail - parts.kept_bytes + parts.prepare_bytes + temporary
    notes = size("AllocationInfo") * (parts.num_tensors + parts.num_scratch)
    planning = tail + notes + size("PlannedBuffer") * num_buffers
    return max(preparing, planning) + requests + 2 * ALIGNMENT


def _objects(build: Build, subgraphs: int, resources: int) -> Iterator[tuple[int, int]]:
    """Requests for what is there before the first tensor."""
    prefix = "Recording" if build.recording else ""
    for struct in (f"{prefix}SingleArenaBufferAllocator", "GreedyMemoryPlanner", f"{prefix}MicroAllocator"):
        yield layout(struct, build)
    if resources:
        yield layout("MicroResourceVariables", build)[0], ALIGNMENT
        yield resources * layout("MicroResourceVariable", build)[0], ALIGNMENT
    yield layout("MicroBuiltinDataAllocator", build)
    size, alignment = layout("SubgraphAllocations", build)
    yield subgraphs * size, alignment


def _persistent_tensors(scales: Sequence[int], build: Build) -> Iterator[tuple[int, int]]:
    """Requests for the inputs or the outputs; their scales stay in the file, their zero points are copied."""
    if scales:
        yield len(scales) * build.pointer_bytes, ALIGNMENT
    for num_scales in scales:
        yield layout("TfLiteTensor", build)
        if num_scales:
            yield layout("TfLiteAffineQuantization", build)
            yield 4 + 4 * num_scales, 4


def _walk(used: int, requests: Iterable[tuple[int, int]]) -> int:
    """The tail after more requests, each a size and an alignment."""
    for size, alignment in requests:
        used = up(used + size, alignment)
    return used
