"""Network to Keras model. Backend-agnostic; the only reader of a network that knows Keras.

Every Keras layer has the name of its network layer, so shapes can be compared one for one. A forward-only
model for conversion has batch size 1: only then does the converter know every shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

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
)

# Mish as it deploys: x * sigmoid(1.2626 x + 0.5739), a fit whose largest error on Mish is 0.031. The exact form
# needs EXP and LOG, which TFLM does not have in int8; so dse trains the form that it will run.
MISH_SCALE, MISH_SHIFT = 1.2626, 0.5739
BN_MOMENTUM, BN_EPSILON = 0.9, 1e-3


def mish(x: Any) -> Any:
    """The single-sigmoid form of Mish."""
    return x * keras.ops.sigmoid(x * MISH_SCALE + MISH_SHIFT)


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6, written so that the converter folds the 3 into the bias before it."""
    return keras.ops.relu6(x + 3.0) * (1.0 / 6.0)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": keras.ops.relu,
    "relu6": keras.ops.relu6,
    "hswish": keras.ops.hard_silu,
    "mish": mish,
    "hard_sigmoid": hard_sigmoid,
}


class SplitConv2D(keras.layers.Conv2D):
    """A grouped convolution computed group by group: ten times as fast to train on a CPU as TensorFlow's own."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        parts = zip(
            keras.ops.split(inputs, self.groups, axis=-1), keras.ops.split(kernel, self.groups, axis=-1), strict=True
        )
        return keras.ops.concatenate(
            [keras.ops.conv(x, k, strides=list(self.strides), padding=self.padding) for x, k in parts], axis=-1
        )


def build_model(
    network: Network,
    *,
    seed: int = 0,
    l2: float = 0.0,
    residual_gamma: float = 1.0,
    for_conversion: bool = False,
    builder: type[Builder] | None = None,
) -> keras.Model:
    """A model with fresh weights: images in [0, 1] to logits. Same seed, same weights.

    `residual_gamma` is the scale of a batch norm that ends a residual branch; every other has 1.
    `for_conversion` fixes the batch to 1 and keeps a grouped convolution one operator; the weights are the same.
    `builder` makes the layers, those of the fast arithmetic for one.
    """
    return (builder or Builder)(network, seed, l2, residual_gamma, for_conversion).model()


class Builder:
    """Reads a network layer by layer; `tensors` has what comes out of each."""

    whole = keras.Model
    convolution, split_convolution = keras.layers.Conv2D, SplitConv2D
    depthwise_convolution, fully_connected = keras.layers.DepthwiseConv2D, keras.layers.Dense
    normalization, functions = keras.layers.BatchNormalization, FUNCTIONS

    def __init__(
        self, network: Network, seed: int, l2: float = 0.0, residual_gamma: float = 1.0, for_conversion: bool = False
    ) -> None:
        self.rng_seed = seed
        self.count = 0
        self.regularizer = keras.regularizers.L2(l2) if l2 else None
        self.for_conversion = for_conversion
        # A block adds the shortcut to the branch, so what ends the branch comes second.
        ends = {layer.inputs[1] for layer in network if isinstance(layer, Add)}
        self.gammas = dict.fromkeys(ends, residual_gamma)
        self.network = network
        self.tensors: dict[str, Any] = {}
        for layer in network:
            self.tensors[layer.name] = self.build(layer, *(self.tensors[name] for name in layer.inputs))

    def model(self) -> keras.Model:
        """The model from the image to the last layer."""
        return self.whole(self.images, self.tensors[self.network.output.name])

    def build(self, layer: Layer, *inputs: Any) -> Any:
        """What comes out of a layer."""
        return BUILDERS[type(layer)](self, layer, *inputs)

    def initializer(self) -> Any:
        """A fresh initializer: each layer has a seed of its own, all derived from one."""
        self.count += 1
        return keras.initializers.HeNormal(seed=self.rng_seed * 100_003 + self.count)

    def input(self, layer: Input) -> Any:
        self.images = keras.Input(layer.shape, batch_size=1 if self.for_conversion else None, name=layer.name)
        return self.images

    def conv2d(self, layer: Conv2D, x: Any) -> Any:
        convolution = self.split_convolution if layer.groups > 1 and not self.for_conversion else self.convolution
        return convolution(
            layer.shape[-1], layer.kernel, layer.stride, layer.padding, groups=layer.groups, use_bias=layer.bias,
            kernel_initializer=self.initializer(), kernel_regularizer=self.regularizer, name=layer.name,
        )(x)  # fmt: skip

    def depthwise(self, layer: DepthwiseConv2D, x: Any) -> Any:
        return self.depthwise_convolution(
            layer.kernel, layer.stride, layer.padding, layer.multiplier, use_bias=layer.bias,
            depthwise_initializer=self.initializer(), depthwise_regularizer=self.regularizer, name=layer.name,
        )(x)  # fmt: skip

    def dense(self, layer: Dense, x: Any) -> Any:
        return self.fully_connected(
            layer.shape[-1], kernel_initializer=self.initializer(), kernel_regularizer=self.regularizer,
            name=layer.name,
        )(x)  # fmt: skip

    def batch_norm(self, layer: BatchNorm, x: Any) -> Any:
        gamma = keras.initializers.Constant(self.gammas.get(layer.name, 1.0))
        return self.normalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON, gamma_initializer=gamma, name=layer.name)(x)

    def activate(self, layer: Activate, x: Any) -> Any:
        return keras.layers.Activation(self.functions[layer.function], name=layer.name)(x)

    def add(self, layer: Add, x: Any, y: Any) -> Any:
        return keras.layers.Add(name=layer.name)([x, y])

    def multiply(self, layer: Multiply, x: Any, y: Any) -> Any:
        return keras.layers.Multiply(name=layer.name)([x, y])

    def concat(self, layer: Concat, *tensors: Any) -> Any:
        return keras.layers.Concatenate(name=layer.name)(list(tensors))

    def max_pool(self, layer: MaxPool, x: Any) -> Any:
        return keras.layers.MaxPooling2D(layer.kernel, layer.stride, layer.padding, name=layer.name)(x)

    def avg_pool(self, layer: AvgPool, x: Any) -> Any:
        return keras.layers.AveragePooling2D(layer.kernel, layer.stride, layer.padding, name=layer.name)(x)

    def global_avg_pool(self, layer: GlobalAvgPool, x: Any) -> Any:
        return keras.layers.GlobalAveragePooling2D(keepdims=len(layer.shape) == 3, name=layer.name)(x)

    def flatten(self, layer: Flatten, x: Any) -> Any:
        return keras.layers.Reshape(layer.shape, name=layer.name)(x)

    def shuffle(self, layer: ChannelShuffle, x: Any) -> Any:
        # Height and width are merged: with the batch the tensors then have four axes, the most that is safe.
        height, width, channels = layer.shape
        x = keras.layers.Reshape((height * width, layer.groups, channels // layer.groups))(x)
        x = keras.layers.Permute((1, 3, 2))(x)
        return keras.layers.Reshape((height, width, channels), name=layer.name)(x)

    def dropout(self, layer: Dropout, x: Any) -> Any:
        self.count += 1
        return keras.layers.Dropout(layer.rate, seed=self.rng_seed * 100_003 + self.count, name=layer.name)(x)


BUILDERS: dict[type[Layer], Callable[..., Any]] = {
    Input: Builder.input,
    Conv2D: Builder.conv2d,
    DepthwiseConv2D: Builder.depthwise,
    Dense: Builder.dense,
    BatchNorm: Builder.batch_norm,
    Activate: Builder.activate,
    Add: Builder.add,
    Multiply: Builder.multiply,
    Concat: Builder.concat,
    MaxPool: Builder.max_pool,
    AvgPool: Builder.avg_pool,
    GlobalAvgPool: Builder.global_avg_pool,
    Flatten: Builder.flatten,
    ChannelShuffle: Builder.shuffle,
    Dropout: Builder.dropout,
}
