"""Memory of an engine that generates code for one network and works in place, as TinyEngine does.

There is no interpreter, so no tail. What runs decides: the bytes of the tensors alive meanwhile, and two buffers for
the whole network. Tensors take multiples of 4 bytes; their plan may need more than counted where it leaves gaps.

In place (Lin et al. 2020, MCUNet, arXiv 2007.10319, section 3.2): a depthwise convolution with one filter a channel
writes each channel over its input, when nobody reads that later. With one map beside them, N channels take N + 1 maps,
not 2 N. The rest is as TinyEngine's generator has it (mit-han-lab/tinyengine, folder code_generator): the map is padded
and lies in the buffer that convolutions use for their columns (operators/depthwiseConv2d.py, conv2d.py); an activation
of its own overwrites what it reads (conv2d.py, `use_hard_switsh`); QUANTIZE, DEQUANTIZE, RESHAPE, and PAD before a
convolution, do not exist (constant.py, TfliteConvertor.py). Sums, products and pooling could overwrite an operand too,
but the generator gives them an output of their own (GeneralMemoryScheduler.py), so here they have one: what fits here
is to fit there. Whether the engine has every operator of a network is not looked at.

Fused (Sandler et al. 2018, MobileNetV2, arXiv 1801.04381, section 5.1): a bottleneck, which is a 1x1 convolution, a
depthwise one and a 1x1 one again, is one operation that goes through the inner channels one by one. Input and output
are there as a whole, of each inner tensor one channel. So it is where nobody else reads the inner tensors (a
squeeze-excite needs all of their channels first), and where it takes less than the operators by themselves. TinyEngine
does not do it: this is what there is to gain. NOTE: 32-bit sums of outputs that wait for further channels are not
counted, by the paper neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor

Role = Literal["pointwise", "depthwise", "activation", ""]
ACTIVATIONS = frozenset(("HARD_SWISH", "LOGISTIC", "RELU", "RELU6", "TANH", "LEAKY_RELU", "ELU", "RELU_N1_TO_1"))
LEFT_OUT = frozenset(("QUANTIZE", "DEQUANTIZE", "RESHAPE"))
PADDING = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D"))  # what pads its input itself
WITH_BUFFERS = frozenset((*PADDING, "FULLY_CONNECTED"))
ALIGNMENT = 4  # operators/basic_utils.py
HALF_WORD = 2  # bytes of a value in the buffers


class Step(NamedTuple):
    """One operator. Bytes of activations; the network's two buffers come on top."""

    role: Role  # in a bottleneck; empty for what cannot be part of one
    alone: bool  # whether it is the only one to read what the step before has written, and reads no other activation
    before: int  # alive when it begins
    output: int  # what it writes
    channel: int  # one channel of that
    in_place: int  # alive while it runs


class EngineParts(NamedTuple):
    """What the memory of a graph follows from; those of a network's parts make that of the whole."""

    steps: tuple[Step, ...]  # what no bottleneck can have is put together
    columns: int  # bytes of the buffer in which convolutions lay out what is under their kernel, or a padded map
    kernels: int  # bytes of the buffer for a convolution's kernels as 16 bits
    in_place: int  # the most of all steps
    fused: int  # the same, with bottlenecks as one operation
    waiting: Role  # what a bottleneck that is open behind the last step waits for; empty when there is none


class EngineMemory(NamedTuple):
    """What a network takes, buffers included: in place, and with every bottleneck as one operation besides."""

    inplace_bytes: int
    fused_bytes: int


def engine_memory(parts: Sequence[EngineParts]) -> EngineMemory:
    """The memory of a network, of which each part takes the one tensor that the part before it gives.

    A bottleneck on 4x4 pixels, 2 -> 8 -> 8 -> 2 channels, 3x3. In place: the input's 32 bytes beside the 128 of the
    expansion, alike at the projection; the depthwise convolution takes its 128 only. Fused: 32 + 32, and 16 of each
    inner tensor. The buffer: a map of 6x6 pixels, 2 bytes each.

    >>> def plane(channels):
    ...     return Tensor("INT8", (1, 4, 4, channels))
    >>> def weights(*shape):
    ...     return Tensor("INT8", shape, constant=True)
    >>> tensors = plane(2), plane(8), plane(8), plane(2), weights(8, 1, 1, 2), weights(1, 3, 3, 8), weights(2, 1, 1, 8)
    >>> expand, project = Operator("CONV_2D", (0, 4), (1,)), Operator("CONV_2D", (2, 6), (3,))
    >>> depthwise = Operator("DEPTHWISE_CONV_2D", (1, 5), (2,))
    >>> engine_memory([engine_parts(OperatorGraph(tensors, (expand, depthwise, project), (0,), (3,)))])
    EngineMemory(inplace_bytes=232, fused_bytes=168)
    """
    in_place = fused = here = columns = kernels = 0
    waiting: Role = ""
    steps: tuple[Step, ...] = ()
    for part in parts:
        if part.in_place > in_place:
            in_place = part.in_place
        if part.columns > columns:
            columns = part.columns
        if part.kernels > kernels:
            kernels = part.kernels
        if waiting and _continues(waiting, part.steps[0]):  # a bottleneck goes on from one part to the next
            steps += part.steps
            here, waiting = _scan(steps)
        else:
            fused = max(fused, here)
            steps, here, waiting = part.steps, part.fused, part.waiting
    fused = max(fused, here)
    return EngineMemory(in_place + columns + kernels, fused + columns + kernels)


def engine_parts(graph: OperatorGraph) -> EngineParts:
    """The parts of a graph in the order of its operators; its first tensor being what a part before it gives.

    >>> tensors = Tensor("INT8", (1, 4, 4, 8)), Tensor("INT8", (1, 4, 4, 8))
    >>> engine_parts(OperatorGraph(tensors, (Operator("HARD_SWISH", (0,), (1,)),), (0,), (1,))).in_place
    128
    """
    steps = _shortened(_steps(graph))
    fused, waiting = _scan(steps)
    padded = {operator.outputs[0] for operator in graph.operators if operator.kind == "PAD"}
    columns = kernels = 0
    for operator in graph.operators:
        if operator.kind in WITH_BUFFERS:
            own = _buffers(operator, graph.tensors, padded)
            columns, kernels = max(columns, own[0]), max(kernels, own[1])
    return EngineParts(steps, columns, kernels, max(step.in_place for step in steps), fused, waiting)


def _steps(graph: OperatorGraph) -> tuple[Step, ...]:
    """One for every operator that has code of its own; at least one. What no operator knows takes nothing."""
    kept, same, sizes = _kept(graph)
    last: dict[int, int] = {}
    readers: dict[int, int] = {}
    for number, (_, read, written) in enumerate(kept):
        for index in read:
            last[index] = number
            readers[index] = readers.get(index, 0) + 1
        for index in written:
            last[index] = number
    for index in {same.get(index, index) for index in graph.outputs}:
        last[index] = len(kept)
        readers[index] = readers.get(index, 0) + 1  # whoever called
    before = tuple(dict.fromkeys(same.get(index, index) for index in graph.inputs))
    alive = sum(sizes[index] for index in before if index in last)
    steps = []
    for number, (operator, read, written) in enumerate(kept):
        output = sum(sizes[index] for index in written)
        over = read and last[read[0]] == number and _overwrites(operator, graph.tensors)
        steps.append(
            Step(
                _role(operator, graph.tensors),
                len(read) == 1 and read == before and readers[read[0]] == 1,
                alive,
                output,
                output // max((1, *graph.tensors[written[0]].shape[-1:])) if written else 0,
                alive + output - (min(sizes[read[0]], output) if over else 0),
            )
        )
        alive += output - sum(sizes[index] for index in {*read, *written} if last[index] == number)
        before = written
    return tuple(steps) or (Step("", False, alive, 0, 0, alive),)


def _kept(
    graph: OperatorGraph,
) -> tuple[list[tuple[Operator, tuple[int, ...], tuple[int, ...]]], dict[int, int], list[int]]:
    """The operators that have code, each with the activations that it reads and writes; then by tensor: which one it is
    the same as, where an operator between them is left out, and its bytes."""
    sizes = [0 if t.constant else -(-t.num_bytes // ALIGNMENT) * ALIGNMENT for t in graph.tensors]
    same: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        read = tuple(same.get(index, index) for index in operator.inputs if index >= 0 and sizes[index])
        if len(read) == 1 and _left_out(operator, graph):
            target = operator.outputs[0]
            same[target] = read[0]
            sizes[read[0]] = min(sizes[read[0]], sizes[target])
        else:
            kept.append((operator, read, operator.outputs))
    return kept, same, sizes


def _left_out(operator: Operator, graph: OperatorGraph) -> bool:
    if operator.kind != "PAD":
        return operator.kind in LEFT_OUT
    source, target = operator.inputs[0], operator.outputs[0]
    readers = {reader.kind for reader in graph.operators if target in reader.inputs}
    of_pixels = graph.tensors[source].shape[-1:] == graph.tensors[target].shape[-1:]
    return of_pixels and readers <= PADDING and target not in graph.outputs


def _overwrites(operator: Operator, tensors: tuple[Tensor, ...]) -> bool:
    """Whether an operator writes over what it reads, where nobody reads that later."""
    if operator.kind == "DEPTHWISE_CONV_2D":
        return tensors[operator.inputs[0]].shape[-1:] == tensors[operator.outputs[0]].shape[-1:]
    return operator.kind in ACTIVATIONS


def _role(operator: Operator, tensors: tuple[Tensor, ...]) -> Role:
    if operator.kind == "CONV_2D":
        source, weights, target = (tensors[i].shape for i in (*operator.inputs[:2], operator.outputs[0]))
        return "pointwise" if weights[1:3] == (1, 1) and source[:3] == target[:3] else ""
    if operator.kind == "DEPTHWISE_CONV_2D":
        return "depthwise"
    return "activation" if operator.kind in ACTIVATIONS else ""


def _buffers(operator: Operator, tensors: tuple[Tensor, ...], padded: set[int]) -> tuple[int, int]:
    """Bytes of columns, or of a padded map, and of kernels (`get_sbuf_size` and `get_kbuf_size` of each operator)."""
    source, weights = (tensors[index].shape for index in operator.inputs[:2])
    if operator.kind == "FULLY_CONNECTED":
        return 2 * HALF_WORD * weights[1], 0
    filters, height, width, channels = weights
    if operator.kind == "DEPTHWISE_CONV_2D":
        more = 0 if operator.inputs[0] in padded else height // 2 * 2
        return HALF_WORD * math.prod(side + more for side in source[1:3]), 0
    kernels = HALF_WORD * filters * height * width * channels if height > 1 else 0
    return 2 * HALF_WORD * height * width * channels, kernels


def _scan(steps: Sequence[Step]) -> tuple[int, Role]:
    """The most with bottlenecks as one operation, of two that overlap the first; and what an open one waits for."""
    most, number = 0, 0
    waiting: Role = ""
    while number < len(steps):
        if steps[number].role == "pointwise":
            end, wanted = _bottleneck(steps, number)
            waiting = waiting or wanted
            if end > number:
                inside = steps[number : end + 1]
                inner = sum(step.channel for step in inside[:-1] if step.role != "activation")
                fused = inside[0].before + inner + inside[-1].output
                if fused < max(step.in_place for step in inside):
                    most, number = max(most, fused), end + 1
                    continue
        most, number = max(most, steps[number].in_place), number + 1
    return most, waiting


def _shortened(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same with one step for several on end that no bottleneck can have, so that there is less to go through."""
    found: list[Step] = []
    within = False  # of such a stretch
    for step in steps:
        if step.role == "pointwise" or (step.role and step.alone):
            found.append(step)
            within = False
        elif not within:
            found.append(Step("", False, 0, 0, 0, step.in_place))
            within = True
        elif step.in_place > found[-1].in_place:
            found[-1] = Step("", False, 0, 0, 0, step.in_place)
    return tuple(found)


def _bottleneck(steps: Sequence[Step], start: int) -> tuple[int, Role]:
    """The last step of the bottleneck that begins at `start`, or `start`; and what it waits for where it is open."""
    wanted: Role = "depthwise"
    for number in range(start + 1, len(steps)):
        if not _continues(wanted, steps[number]):
            return start, ""
        if steps[number].role == wanted == "pointwise":
            return number, ""
        if steps[number].role == wanted:
            wanted = "pointwise"
    return start, wanted


def _continues(wanted: Role, step: Step) -> bool:
    return step.alone and step.role in (wanted, "activation")
