"""The layers of a training as TensorFlow computes them fastest on a processor. Only training runs them.

What differs from Keras' own is how a step is computed, not what: names, weights and all that is evaluated stay. A
class has the name of Keras' class, of which the paths inside a checkpoint are made: a training may go on with either.

Keras computes a batch norm operator by operator; in oneDNN a depthwise convolution with a multiplier, or one whose
kernel is larger than its image, and the gradient of a depthwise kernel above 3x3, run in no fast kernel; 1x1 is a
matrix product. `benchmarks/bench_training.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dse.training import model
from dse.training.model import FUNCTIONS, MISH_SCALE, MISH_SHIFT, Builder

# Products for each value that goes in or out, from which bfloat16 gains more than it costs to convert them. Of 16, 24,
# 32 and 48 the best for six networks on Zen 4, by little.
FEWEST_PRODUCTS = 32
MOST_GROUPED = 64 * 64  # inputs by outputs of a grouped 1x1; at 96 by 96 its groups one by one are faster
DEPTHWISE_SIZE = 3  # of the largest depthwise kernel of which oneDNN's fast kernel computes the gradient


class BatchNormalization(keras.layers.BatchNormalization):
    """One kernel each for the forward and the backward pass."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not training or not self.trainable or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=tf.zeros(0), variance=tf.zeros(0),
            epsilon=self.epsilon, is_training=True,
        )  # fmt: skip
        # The kernel gives N/(N-1) of the variance that Keras keeps, where N is the number of values of a channel.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        variance *= (count - 1) / count
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs


class Conv2D(keras.layers.Conv2D):
    """1x1 as a matrix product."""

    bfloat16 = False

    def call(self, inputs: Any, training: Any = None) -> Any:
        height, width = inputs.shape[1:3]
        if not training or self.groups > 1 or height * width < 2:
            return super().call(inputs)
        x, kernel = inputs, tf.convert_to_tensor(self.kernel)
        if self.bfloat16 and _products(kernel.shape) >= FEWEST_PRODUCTS:
            x, kernel = tf.cast(x, tf.bfloat16), tf.cast(kernel, tf.bfloat16)
        if _is_pointwise(self):
            y = _pointwise(x, kernel[0, 0])
        else:
            y = tf.nn.conv2d(x, kernel, self.strides, self.padding.upper())
        y = tf.cast(y, tf.float32)
        return y + self.bias if self.use_bias else y


def _is_pointwise(layer: Any) -> bool:
    """Whether a convolution is 1x1 without a stride."""
    return bool(tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1))


def _pointwise(images: Any, kernel: Any) -> Any:
    """A 1x1 convolution with a kernel (in, out), as a matrix product."""
    height, width, channels = images.shape[1:]
    return tf.reshape(tf.matmul(tf.reshape(images, (-1, channels)), kernel), (-1, height, width, kernel.shape[1]))


def _products(kernel: Any) -> float:
    """Of a kernel (height, width, in, out), for each value of its input and output."""
    height, width, channels, filters = kernel
    return height * width * channels * filters / (channels + filters)


class Bfloat16Conv2D(Conv2D):
    """Products in bfloat16, where a processor computes them at twice the speed; weights, sums and all else float32."""

    bfloat16 = True


# The class that Keras finds in the path of a checkpoint is the same.
Bfloat16Conv2D.__name__ = Conv2D.__name__


class SplitConv2D(model.SplitConv2D):
    """A grouped 1x1 of few channels as one matrix product, with zeros between the groups: cutting the image into groups
    and putting it together again takes longer than to multiply by them."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        channels = inputs.shape[-1]
        if not (training and _is_pointwise(self) and channels * self.filters <= MOST_GROUPED):
            return super().call(inputs)
        group_of_input = np.arange(channels) // (channels // self.groups)
        group_of_output = np.arange(self.filters) // (self.filters // self.groups)
        same_group = tf.constant(group_of_input[:, None] == group_of_output[None], tf.float32)
        kernel = tf.tile(tf.convert_to_tensor(self.kernel)[0, 0], (self.groups, 1)) * same_group
        y = _pointwise(inputs, kernel)
        return y + self.bias if self.use_bias else y


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A multiplier as so many convolutions without one; a kernel larger than its image on an image padded before; the
    gradient of a kernel above 3x3 in parts."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not training:
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        padding = self.padding.upper()
        if padding == "SAME" and max(self.kernel_size) > min(inputs.shape[1:3]):
            inputs = _padded(inputs, self.kernel_size, self.strides)
            padding = "VALID"
        convolve = _depthwise(tuple(self.kernel_size), tuple(self.strides), padding)
        parts = [convolve(inputs, part) for part in tf.split(kernel, self.depth_multiplier, axis=3)]
        y = parts[0]
        if len(parts) > 1:  # the channels that come of one stand side by side
            y = tf.stack(parts, axis=4)
            y = tf.reshape(y, (-1, y.shape[1], y.shape[2], y.shape[3] * y.shape[4]))
        return y + self.bias if self.use_bias else y


def _depthwise(size: tuple[int, int], strides: tuple[int, int], padding: str) -> Callable[[Any, Any], Any]:
    """A depthwise convolution without a multiplier, of which the gradient of a large kernel is computed in parts."""
    options = {"strides": [1, *strides, 1], "padding": padding}

    def convolve(x: Any, kernel: Any) -> Any:
        return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, **options)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def in_parts(x: Any, kernel: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            of_input = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, **options
            )
            return of_input, _kernel_gradient(x, upstream, size, strides, padding)

        return convolve(x, kernel), gradient

    return in_parts if max(size) > DEPTHWISE_SIZE else convolve


def _kernel_gradient(x: Any, upstream: Any, size: tuple[int, int], strides: tuple[int, int], padding: str) -> Any:
    """The gradient of a depthwise kernel (height, width, channels, 1): each part of it is that of a smaller kernel on a
    part of the image."""
    if padding == "SAME":
        x = _padded(x, size, strides)

    def part(top: int, left: int) -> Any:
        height, width = min(DEPTHWISE_SIZE, size[0] - top), min(DEPTHWISE_SIZE, size[1] - left)
        bottom = top + (upstream.shape[1] - 1) * strides[0] + height
        right = left + (upstream.shape[2] - 1) * strides[1] + width
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x[:, top:bottom, left:right], filter_sizes=[height, width, x.shape[3], 1], out_backprop=upstream,
            strides=[1, *strides, 1], padding="VALID",
        )  # fmt: skip

    rows = [
        tf.concat([part(top, left) for left in range(0, size[1], DEPTHWISE_SIZE)], axis=1)
        for top in range(0, size[0], DEPTHWISE_SIZE)
    ]
    return tf.concat(rows, axis=0)


def _padded(images: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any:
    """Images with what 'same' adds to them."""
    return tf.pad(images, [(0, 0), *map(_same_padding, images.shape[1:3], size, strides), (0, 0)])


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Before and after: what 'same' adds along an axis of the image."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@tf.custom_gradient  # type: ignore[untyped-decorator]
def mish(x: Any) -> Any:
    """The single-sigmoid form of Mish, its gradient in closed form."""
    gate = tf.sigmoid(x * MISH_SCALE + MISH_SHIFT)
    return x * gate, lambda upstream: upstream * gate * (1 + MISH_SCALE * x * (1 - gate))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def hswish(x: Any) -> Any:
    """x * relu6(x + 3) / 6, its gradient in closed form."""
    gate = tf.nn.relu6(x + 3) * (1 / 6)
    return x * gate, lambda upstream: upstream * (gate + x * tf.cast(tf.abs(x) < 3, x.dtype) * (1 / 6))


class FastBuilder(Builder):
    """Reads a network into these layers."""

    convolution, split_convolution = Conv2D, SplitConv2D
    depthwise_convolution = DepthwiseConv2D
    normalization = BatchNormalization
    functions = FUNCTIONS | {"mish": mish, "hswish": hswish}


class Bfloat16Builder(FastBuilder):
    """The same with convolutions in bfloat16."""

    convolution = Bfloat16Conv2D
