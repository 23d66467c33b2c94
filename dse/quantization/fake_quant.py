"""Layers that round as int8 does, for training with it: kernels per channel, activations in a range.

Rounding is TensorFlow's own operator, which the TFLite converter reads the scales from; so the backend has to be
TensorFlow's.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dse.training.model import SplitConv2D

STEPS = 255  # of an int8 activation, from the lowest to the highest
# A range is its first value times exp(GAIN * weight). Adam moves a weight by about the learning rate in a step: at
# 3e-4 a range by 0.3 %, whatever its size; within a few hundred steps it can halve.
GAIN = 10.0


def nudged(low: float, high: float) -> tuple[float, float]:
    """The range moved so that zero is one of its steps, as TensorFlow's operator does it by itself.

    >>> nudged(-1.0, 1.5)
    (-1.0, 1.5)
    >>> nudged(-0.004, 2.55 - 0.004)
    (0.0, 2.55)
    """
    scale = (high - low) / STEPS
    zero = round(-low / scale)
    return -zero * scale, (STEPS - zero) * scale


@tf.custom_gradient  # type: ignore[untyped-decorator]
def fake_quantize(x: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """`x` at the steps of a range; with the gradient of the range.

    TensorFlow's own gradient sees the values outside only, so a range would only ever grow. Here it also sees what
    rounding does to those inside (Esser et al. 2020, Learned Step Size Quantization, section 2.1).
    """
    y = tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        inside, to_low, to_high = tf.raw_ops.FakeQuantWithMinMaxVarsGradient(
            gradients=upstream, inputs=x, min=low, max=high
        )
        rounding = tf.reduce_sum(inside * (y - x)) / (high - low)
        return inside, to_low - rounding, to_high + rounding

    return y, gradient


def fake_quantize_kernel(kernel: Any, channels: int) -> Any:
    """The kernel rounded with a scale for every output channel, which are its last axes; straight-through gradient."""
    flat = tf.reshape(kernel, (-1, channels))
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(flat), axis=0))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -largest, largest, narrow_range=True)
    return tf.reshape(rounded, kernel.shape)


def fake_quantize_vector(values: Any) -> Any:
    """A constant that is not a kernel, rounded with one scale for all of it."""
    low, high = (tf.stop_gradient(end) for end in (tf.reduce_min(values), tf.reduce_max(values)))
    return tf.quantization.fake_quant_with_min_max_vars(values, tf.minimum(low, 0.0), tf.maximum(high, 0.0))


class LearnedRange(keras.layers.Layer):
    """Rounds activations to a range that training moves; `start` is kept with the weights."""

    def build(self, shape: Any) -> None:
        self.start = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="start")
        self.moved = self.add_weight(shape=(2,), initializer="zeros", name="moved")

    def set_start(self, low: float, high: float) -> None:
        """Begins anew with this range."""
        self.start.assign([low, high])
        self.moved.assign([0.0, 0.0])

    def ends(self) -> Any:
        """The lowest and the highest value, (2,)."""
        return self.start * keras.ops.exp(GAIN * self.moved)

    def call(self, x: Any) -> Any:
        low, high = tf.unstack(self.ends())
        return fake_quantize(x, low, high)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


class FixedRange(keras.layers.Layer):
    """Rounds activations to a range that stays."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self.low, self.high = low, high

    def call(self, x: Any) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(x, self.low, self.high)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


class _Rounded:
    """A convolution with its kernel rounded."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, fake_quantize_kernel(kernel, kernel.shape[-1]))  # type: ignore[misc]


class RoundedConv2D(_Rounded, keras.layers.Conv2D):
    """A convolution with its kernel rounded."""


class RoundedSplitConv2D(_Rounded, SplitConv2D):
    """A grouped convolution with its kernel rounded."""


class RoundedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution with its kernel rounded."""

    def call(self, inputs: Any) -> Any:
        kernel = fake_quantize_kernel(self.kernel, self.kernel.shape[-2] * self.kernel.shape[-1])
        y = keras.ops.depthwise_conv(inputs, kernel, strides=self.strides, padding=self.padding)
        return y + self.bias if self.use_bias else y


class RoundedDense(keras.layers.Dense):
    """A fully connected layer with its kernel rounded."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.matmul(inputs, fake_quantize_kernel(self.kernel, self.units)) + self.bias


class PerChannel(keras.layers.Layer):
    """A value for every channel, for a factor or an offset."""

    def __init__(self, channels: int, rounded: bool, **options: Any) -> None:
        super().__init__(**options)
        self.rounded = rounded
        self.values = self.add_weight(shape=(channels,), initializer="zeros", name="values")

    def current(self) -> Any:
        """The values as they are computed with."""
        values = keras.ops.convert_to_tensor(self.values)
        return fake_quantize_vector(values) if self.rounded else values

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


class Factor(PerChannel):
    """Every channel times its factor."""

    def call(self, x: Any) -> Any:
        return x * self.current()


class Offset(PerChannel):
    """Every channel plus its offset."""

    def call(self, x: Any) -> Any:
        return x + self.current()


def as_rounded(layer: keras.layers.Layer) -> list[np.ndarray]:
    """The weights of a layer of this file with kernels and constants rounded: those that are deployed."""
    weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in layer.weights]
    if isinstance(layer, PerChannel):
        return [np.asarray(fake_quantize_vector(tf.constant(weights[0])))]
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    channels = int(np.prod(weights[0].shape[-2:])) if depthwise else weights[0].shape[-1]
    return [np.asarray(fake_quantize_kernel(tf.constant(weights[0]), channels)), *weights[1:]]
