"""A network on paper as the int8 operators that the TFLite converter makes of it.

Batch norm is folded into the convolution before it; relu and relu6 are fused into the operator that feeds them;
dropout is gone, and so is a flattening before a fully connected layer. hswish is one HARD_SWISH; hard_sigmoid becomes
a fused relu6 (its +3 is folded into the bias) and a MUL; mish, in the sigmoid form that dse trains, is MUL, ADD,
LOGISTIC, MUL; a channel shuffle is RESHAPE, TRANSPOSE, RESHAPE. TensorFlow is not needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dse.cost.formulas import conv2d_weights, depthwise_weights
from dse.network import (
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
)

FUSED = {"relu": "RELU", "relu6": "RELU6", "hard_sigmoid": "RELU6"}
PLAIN_OPERATORS: dict[type[Layer], str] = {
    Add: "ADD",
    Multiply: "MUL",
    Concat: "CONCATENATION",
    MaxPool: "MAX_POOL_2D",
    AvgPool: "AVERAGE_POOL_2D",
    GlobalAvgPool: "MEAN",
}
FUSING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D")


@dataclass(frozen=True, slots=True)
class Operator:
    """One TFLite operator: activations in and out (int8 bytes), and what it keeps in flash."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    output_bytes: int
    weights: int = 0  # int8 values of the kernel
    channels: int = 0  # output channels with a bias and a scale of their own
    fused: str = ""


def lower(network: Network) -> list[Operator]:
    """The operators in the order in which the converter writes them.

    It walks back from the output and writes what feeds an operator before it, first operand first. Where a network
    branches, that is not the order in which Keras runs the layers, and the order decides the peak memory.
    """
    operators = _Lowering(network).operators
    producer = {operator.output: operator for operator in operators}
    ordered: list[Operator] = []
    written: set[str] = set()
    waiting = [operators[-1].output]
    while waiting:
        operator = producer[waiting[-1]]
        needed = next((name for name in operator.inputs if name in producer and name not in written), None)
        if needed is not None:
            waiting.append(needed)
        else:
            written.add(waiting.pop())
            ordered.append(operator)
    return ordered


class _Lowering:
    def __init__(self, network: Network) -> None:
        self.operators: list[Operator] = []
        self.tensor: dict[str, str] = {}  # layer name -> the tensor that holds its values
        self.shapes = {layer.name: layer.shape for layer in network}
        self.uses: dict[str, int] = {}
        for layer in network:
            for name in layer.inputs:
                self.uses[name] = self.uses.get(name, 0) + 1
        for layer in network:
            self._layer(layer)

    def _layer(self, layer: Layer) -> None:
        source = self.shapes[layer.inputs[0]] if layer.inputs else layer.shape
        match layer:
            case Input():
                self.tensor[layer.name] = layer.name
            case Conv2D():
                self._emit("CONV_2D", layer, weights=conv2d_weights(layer, source), channels=layer.shape[-1])
            case DepthwiseConv2D():
                self._emit("DEPTHWISE_CONV_2D", layer, weights=depthwise_weights(layer), channels=layer.shape[-1])
            case Dense():
                self._emit("FULLY_CONNECTED", layer, weights=source[-1] * layer.shape[-1], channels=layer.shape[-1])
            case BatchNorm() | Dropout() | Flatten():
                self.tensor[layer.name] = self.tensor[layer.inputs[0]]
            case Activate():
                self._activate(layer)
            case ChannelShuffle():
                self._emit("RESHAPE", layer, suffix="/split")
                self._emit("TRANSPOSE", layer, source=f"{layer.name}/split", suffix="/turn")
                self._emit("RESHAPE", layer, source=f"{layer.name}/turn")
            case _:
                kind = PLAIN_OPERATORS[type(layer)]
                self._emit(kind, layer)

    def _activate(self, layer: Activate) -> None:
        source = self.tensor[layer.inputs[0]]
        match layer.function:
            case "relu" | "relu6" | "hard_sigmoid" as function:
                last = self.operators[-1]
                alone = self.uses[layer.inputs[0]] == 1
                if last.output == source and last.kind in FUSING and alone and not last.fused:
                    self.operators[-1] = replace(last, fused=FUSED[function])
                    self.tensor[layer.name] = source
                else:
                    self._emit(FUSED[function], layer)
                if function == "hard_sigmoid":
                    self._emit("MUL", layer, source=self.tensor.get(layer.name, layer.name))
            case "hswish":
                self._emit("HARD_SWISH", layer)
            case "mish":
                self._emit("MUL", layer, suffix="/scale")
                self._emit("ADD", layer, source=f"{layer.name}/scale", suffix="/shift")
                self._emit("LOGISTIC", layer, source=f"{layer.name}/shift", suffix="/gate")
                inputs = (source, f"{layer.name}/gate")
                self.operators.append(Operator("MUL", inputs, layer.name, math.prod(layer.shape)))
                self.tensor[layer.name] = layer.name
            case other:
                raise AssertionError(f"no operators for activation {other!r}")

    def _emit(
        self,
        kind: str,
        layer: Layer,
        *,
        source: str | None = None,
        suffix: str = "",
        weights: int = 0,
        channels: int = 0,
    ) -> None:
        inputs = (source,) if source else tuple(self.tensor[name] for name in layer.inputs)
        output = layer.name + suffix
        if output in inputs:
            output += "/out"
        self.operators.append(Operator(kind, inputs, output, math.prod(layer.shape), weights, channels))
        self.tensor[layer.name] = output
