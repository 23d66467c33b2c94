"""Parameters and multiply-accumulates, one small function per layer kind.

A MAC is one multiply-accumulate of a convolution, depthwise convolution or dense layer; nothing else is
counted. Parameters are what Keras counts: kernels, biases and batch norm's scale and offset are trainable, its
two running statistics are not. A layer kind without a row in `FORMULAS` cannot be costed: a test compares the
tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Trainable parameters, other parameters (running statistics) and MACs of one layer on one image."""

    trainable: int = 0
    statistics: int = 0
    macs: int = 0

    @property
    def params(self) -> int:
        return self.trainable + self.statistics


FREE = LayerCost()


def conv2d_macs(output: Shape, kernel: tuple[int, int], in_channels: int, groups: int = 1) -> int:
    """Multiply-accumulates of a 2-D convolution on one image.

    >>> conv2d_macs((32, 32, 8), kernel=(3, 3), in_channels=3)
    221184
    """
    height, width, out_channels = output
    return height * width * out_channels * kernel[0] * kernel[1] * (in_channels // groups)


def depthwise_macs(output: Shape, kernel: tuple[int, int]) -> int:
    """Multiply-accumulates of a depthwise convolution on one image.

    >>> depthwise_macs((16, 16, 24), kernel=(5, 5))
    153600
    """
    height, width, out_channels = output
    return height * width * out_channels * kernel[0] * kernel[1]


def conv2d_weights(layer: Conv2D, source: Shape) -> int:
    """Values in the kernel of a convolution of an input of shape `source`."""
    return layer.kernel[0] * layer.kernel[1] * (source[-1] // layer.groups) * layer.shape[-1]


def depthwise_weights(layer: DepthwiseConv2D) -> int:
    """Values in the kernel of a depthwise convolution."""
    return layer.kernel[0] * layer.kernel[1] * layer.shape[-1]


def _conv2d(layer: Conv2D, source: Shape) -> LayerCost:
    bias = layer.shape[-1] if layer.bias else 0
    return LayerCost(
        conv2d_weights(layer, source) + bias, 0, conv2d_macs(layer.shape, layer.kernel, source[-1], layer.groups)
    )


def _depthwise(layer: DepthwiseConv2D, source: Shape) -> LayerCost:
    bias = layer.shape[-1] if layer.bias else 0
    return LayerCost(depthwise_weights(layer) + bias, 0, depthwise_macs(layer.shape, layer.kernel))


def _dense(layer: Dense, source: Shape) -> LayerCost:
    return LayerCost(source[-1] * layer.shape[-1] + layer.shape[-1], 0, source[-1] * layer.shape[-1])


def _batch_norm(layer: BatchNorm, source: Shape) -> LayerCost:
    return LayerCost(2 * source[-1], 2 * source[-1], 0)


def _free(layer: Layer, source: Shape) -> LayerCost:
    return FREE


FORMULAS: dict[type[Layer], Callable[[Any, Shape], LayerCost]] = {
    Conv2D: _conv2d,
    DepthwiseConv2D: _depthwise,
    Dense: _dense,
    BatchNorm: _batch_norm,
    **dict.fromkeys(
        (Input, Activate, Add, Multiply, Concat, MaxPool, AvgPool, GlobalAvgPool, Flatten, ChannelShuffle, Dropout),
        _free,
    ),
}


def layer_costs(network: Network) -> list[tuple[Layer, LayerCost]]:
    """Every layer with its cost, in order."""
    shapes = {layer.name: layer.shape for layer in network}
    return [
        (layer, FORMULAS[type(layer)](layer, shapes[layer.inputs[0]] if layer.inputs else layer.shape))
        for layer in network
    ]
