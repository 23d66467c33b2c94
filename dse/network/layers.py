"""A network as plain data: layers in order, each with its inputs and output shape. No TensorFlow.

Cost, Keras model and operator list are all read from it. `NetworkBuilder` writes one down: every method appends
layers and returns the name of the tensor that comes out. Shapes are (height, width, channels) without the
batch; after the global pooling of the head they are (channels,).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]
Padding = Literal["same", "valid"]
Activation = Literal["relu", "relu6", "hswish", "mish", "none"]
Order = Literal["norm_first", "activation_first"]  # of batch norm and activation


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; a tensor has the name of the layer that writes it."""

    name: str
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Input(Layer):
    """The image."""


@dataclass(frozen=True, slots=True)
class Conv2D(Layer):
    """A convolution; `kernel` is (height, width)."""

    kernel: tuple[int, int]
    stride: int
    groups: int
    padding: Padding
    bias: bool


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Layer):
    """One filter per input channel and multiplier."""

    kernel: tuple[int, int]
    stride: int
    multiplier: int
    padding: Padding
    bias: bool


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """A fully connected layer with bias."""


@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """Batch normalisation, folded into the convolution right before it when the network is deployed."""


@dataclass(frozen=True, slots=True)
class Activate(Layer):
    """A function of each value: relu, relu6, hswish, mish, hard_sigmoid."""

    function: str


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """The sum of two tensors of one shape."""


@dataclass(frozen=True, slots=True)
class Multiply(Layer):
    """A tensor times a (1, 1, channels) gate."""


@dataclass(frozen=True, slots=True)
class Concat(Layer):
    """Tensors side by side in the channel axis."""


@dataclass(frozen=True, slots=True)
class MaxPool(Layer):
    """The largest value of each window."""

    kernel: tuple[int, int]
    stride: int
    padding: Padding


@dataclass(frozen=True, slots=True)
class AvgPool(Layer):
    """The mean of each window."""

    kernel: tuple[int, int]
    stride: int
    padding: Padding


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Layer):
    """The mean over height and width; (1, 1, channels) or, in the head, (channels,)."""


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """(1, 1, channels) as (channels,)."""


@dataclass(frozen=True, slots=True)
class ChannelShuffle(Layer):
    """Channels transposed between groups (ShuffleNet, section 3.1)."""

    groups: int


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Active in training only."""

    rate: float


LAYER_KINDS: tuple[type[Layer], ...] = (
    Input, Conv2D, DepthwiseConv2D, Dense, BatchNorm, Activate, Add, Multiply, Concat, MaxPool, AvgPool,
    GlobalAvgPool, Flatten, ChannelShuffle, Dropout,
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """Layers in the order in which they run; the first is the input, the last the output."""

    layers: tuple[Layer, ...]

    @property
    def input_shape(self) -> Shape:
        return self.layers[0].shape

    @property
    def output(self) -> Layer:
        return self.layers[-1]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def window_output(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Length of one axis after a window moved over it; TensorFlow's rule.

    >>> window_output(32, 3, 2, "same"), window_output(32, 3, 2, "valid"), window_output(2, 3, 1, "valid")
    (16, 15, 0)
    """
    return -(-size // stride) if padding == "same" else max(0, (size - kernel) // stride + 1)
