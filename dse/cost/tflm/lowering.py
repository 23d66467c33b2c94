"""A network on paper as the graph that the TFLite converter makes of it, tensor by tensor. TensorFlow is not needed.

Batch norm is folded into the convolution before it, and behind an activation becomes MUL, ADD; relu and relu6 are
fused into the operator that feeds them; dropout is gone, and so is the flattening of a single pixel. hswish is one
HARD_SWISH; hard_sigmoid becomes a fused relu6 (its +3 is folded into the bias) and a MUL; mish, in the sigmoid form
that dse trains, is MUL, ADD, LOGISTIC, MUL; a channel shuffle is RESHAPE, TRANSPOSE, RESHAPE. Constants of one value
stand in the file once.
"""

from __future__ import annotations

import math

from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.network.layers import (
    Activate,
    Add,
    AvgPool,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Input,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Shape,
)

FUSED = {"relu": "RELU", "relu6": "RELU6", "hard_sigmoid": "RELU6"}
PLAIN_OPERATORS: dict[type[Layer], str] = {
    Add: "ADD",
    Multiply: "MUL",
    Concat: "CONCATENATION",
    MaxPool: "MAX_POOL_2D",
    AvgPool: "AVERAGE_POOL_2D",
}
WEIGHTS, BIAS = "/weights", "/bias"
FUSING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D")


def lower(network: Network) -> OperatorGraph:
    """The graph in the converter's order of operators; a tensor is numbered where it is first used.

    The converter writes what feeds an operator before it, and of two branches the one whose layers come first by name.
    That is not the order in which Keras runs the layers, and the order decides the peak memory. Here the first operand
    comes first: NOTE: so a block has to name its layers such that the first operand's come first by name too. The
    comparison with converted files shows where one does not.
    """
    lowering = Lowering(network)
    producer = {operator.output: operator for operator in lowering.operators}
    ordered: list[NamedOperator] = []
    written: set[str] = set()
    last = lowering.operators[-1].output
    waiting = [last]
    while waiting:
        operator = producer[waiting[-1]]
        needed = next((name for name in operator.inputs if name in producer and name not in written), None)
        if needed is not None:
            waiting.append(needed)
        else:
            written.add(waiting.pop())
            ordered.append(operator)
    first = network.layers[0].name
    numbers = {first: 0}
    for operator in ordered:
        for name in (*operator.inputs, operator.output):
            numbers.setdefault(name, len(numbers))
    return OperatorGraph(
        tuple(lowering.tensors[name] for name in numbers),
        tuple(
            Operator(o.kind, tuple(numbers[n] for n in o.inputs), (numbers[o.output],), o.fused, (o.stride, o.stride))
            for o in ordered
        ),
        (0,),
        (numbers[last],),
    )


def is_shared(tensor: Tensor) -> bool:
    """Whether it is a constant of a known value, which the file has once, however many operators read it."""
    return tensor.constant and not tensor.name.endswith((WEIGHTS, BIAS))


class NamedOperator:
    """An operator before its tensors have numbers."""

    __slots__ = ("fused", "inputs", "kind", "output", "stride")

    def __init__(self, kind: str, inputs: tuple[str, ...], output: str, stride: int) -> None:
        self.kind, self.inputs, self.output, self.fused, self.stride = kind, inputs, output, "", stride


class Lowering:
    """Operators in the order of the layers, the tensors by name, and the one that holds each layer's values."""

    def __init__(self, network: Network) -> None:
        self.operators: list[NamedOperator] = []
        self.tensors: dict[str, Tensor] = {}
        self.tensor: dict[str, str] = {}  # layer name -> the tensor that holds its values
        self.layers = {layer.name: layer for layer in network}
        self.shapes = {layer.name: layer.shape for layer in network}
        self.uses: dict[str, int] = {}
        for layer in network:
            for name in layer.inputs:
                self.uses[name] = self.uses.get(name, 0) + 1
        for layer in network:
            self._layer(layer)

    def _layer(self, layer: Layer) -> None:
        source = self.shapes[layer.inputs[0]] if layer.inputs else layer.shape
        channels = layer.shape[-1]
        match layer:
            case Input():
                self.tensor[layer.name] = self._add(layer.name, "INT8", (1, *layer.shape))
            case Conv2D():
                weights = (channels, *layer.kernel, source[-1] // layer.groups)
                self._kernel("CONV_2D", layer, weights, channels)
            case DepthwiseConv2D():
                self._kernel("DEPTHWISE_CONV_2D", layer, (1, *layer.kernel, channels), channels)
            case Dense():
                self._kernel("FULLY_CONNECTED", layer, (channels, source[-1]), channels)
            case BatchNorm() if not isinstance(self.layers[layer.inputs[0]], Conv2D | DepthwiseConv2D | Dense):
                # Behind an activation there is nothing to fold it into: a factor and an offset for every channel.
                factor = self._add(layer.name + "/factor" + WEIGHTS, "INT8", (channels,), True)
                offset = self._add(layer.name + "/offset" + WEIGHTS, "INT8", (channels,), True)
                scaled = self._emit("MUL", layer, (*self._inputs(layer), factor), "/scaled")
                self._emit("ADD", layer, (scaled, offset))
            case Flatten() if math.prod(source[:2]) > 1:
                self._reshape(layer, (1, channels), "")
            case BatchNorm() | Dropout() | Flatten():
                self.tensor[layer.name] = self.tensor[layer.inputs[0]]
            case GlobalAvgPool() if source[:2] == (1, 1) and len(layer.shape) == 3:
                self.tensor[layer.name] = self.tensor[layer.inputs[0]]  # the mean of one value
            case GlobalAvgPool():
                self._emit("MEAN", layer, (*self._inputs(layer), self._constant("axes", (2,))))
            case Add() if layer.shape[:2] == (1, 1) and channels > 1:
                # What the converter does with two maps of one pixel: the second becomes a plain vector.
                first, second = self._inputs(layer)
                self.tensor[layer.name] = second
                self._reshape(layer, (channels,), "/vector")
                self._emit("ADD", layer, (first, self.tensor[layer.name]))
            case Activate():
                self._activate(layer)
            case ChannelShuffle():
                height, width, _ = layer.shape
                split = (1, height * width, layer.groups, channels // layer.groups)
                turned = (1, height * width, channels // layer.groups, layer.groups)
                self._reshape(layer, split, "/split")
                self._emit("TRANSPOSE", layer, (self.tensor[layer.name], self._constant("turn", (4,))), "/turn", turned)
                self._reshape(layer, (1, *layer.shape), "")
            case _:
                self._emit(PLAIN_OPERATORS[type(layer)], layer, self._inputs(layer))

    def _activate(self, layer: Activate) -> None:
        source = self.tensor[layer.inputs[0]]
        match layer.function:
            case "relu" | "relu6" | "hard_sigmoid" as function:
                last = self.operators[-1]
                alone = self.uses[layer.inputs[0]] == 1
                if last.output == source and last.kind in FUSING and alone and not last.fused:
                    last.fused = FUSED[function]
                    self.tensor[layer.name] = source
                else:
                    self._emit(FUSED[function], layer, (source,))
                if function == "hard_sigmoid":
                    self._scalar("MUL", layer, self.tensor[layer.name], "sixth", "/sixth")
            case "hswish":
                self._emit("HARD_SWISH", layer, (source,))
            case "mish":
                scaled = self._scalar("MUL", layer, source, "mish_scale", "/scale")
                shifted = self._scalar("ADD", layer, scaled, "mish_shift", "/shift")
                gate = self._emit("LOGISTIC", layer, (shifted,), "/gate")
                self._emit("MUL", layer, (source, gate))
            case other:
                raise AssertionError(f"no operators for activation {other!r}")

    def _inputs(self, layer: Layer) -> tuple[str, ...]:
        return tuple(self.tensor[name] for name in layer.inputs)

    def _kernel(self, kind: str, layer: Layer, weights: Shape, channels: int) -> None:
        """An operator with weights and a bias, both with a scale for every output channel."""
        kernel = self._add(layer.name + WEIGHTS, "INT8", weights, True, channels)
        bias = self._add(layer.name + BIAS, "INT32", (channels,), True, channels)
        self._emit(kind, layer, (*self._inputs(layer), kernel, bias))

    def _scalar(self, kind: str, layer: Layer, source: str, value: str, suffix: str) -> str:
        """An operator with a constant of one value; `value` is its name, by which it is shared."""
        constant = value if value in self.tensors else self._add(value, "INT8", (), True)
        return self._emit(kind, layer, (source, constant), suffix)

    def _constant(self, value: str, shape: Shape) -> str:
        return value if value in self.tensors else self._add(value, "INT32", shape, True, 0)

    def _reshape(self, layer: Layer, shape: Shape, suffix: str) -> None:
        source = self.tensor.get(layer.name, self.tensor[layer.inputs[0]])
        target = self._constant(f"shape {'x'.join(map(str, shape))}", (len(shape),))
        self._emit("RESHAPE", layer, (source, target), suffix, shape)

    def _emit(
        self, kind: str, layer: Layer, inputs: tuple[str, ...], suffix: str = "", shape: Shape | None = None
    ) -> str:
        output = self._add(layer.name + suffix, "INT8", shape or (1, *layer.shape))
        self.operators.append(NamedOperator(kind, inputs, output, getattr(layer, "stride", 1)))
        self.tensor[layer.name] = output
        return output

    def _add(self, name: str, kind: str, shape: Shape, constant: bool = False, num_scales: int = 1) -> str:
        self.tensors[name] = Tensor(kind, shape, constant, num_scales, name)
        return name
