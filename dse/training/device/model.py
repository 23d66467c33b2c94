"""The model of a training on a device: a chunk of steps is one compiled program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from dse.data.images import to_float
from dse.training.device.augmentation import augment
from dse.training.model import Builder, SplitConv2D


class CompiledModel(keras.Model):
    """A Keras model of which one training step takes a whole chunk (`chunks.py`)."""

    def train_step(self, state: Any, data: Any) -> Any:
        """The metrics after the last step, and the state that the optimizer leaves."""
        given = data[0]
        if not isinstance(given, dict):
            return super().train_step(state, data)
        resident, like = given["data"], jax.tree.map(jnp.result_type, state)

        def step(state: Any, changes: Any) -> Any:
            chosen = changes["chosen"]
            images = augment(jnp.take(resident["images"], chosen, axis=0), changes)
            labels = jnp.take(resident["labels"], chosen)
            batch = [to_float(images), labels]
            if "weights" in resident:
                batch.append(jnp.take(resident["weights"], labels))
            _, state = super(CompiledModel, self).train_step(state, tuple(batch))
            return jax.tree.map(jnp.asarray, state, like), None

        if len(given["steps"]["chosen"]) == 1:
            state, _ = step(state, jax.tree.map(lambda part: part[0], given["steps"]))
        else:
            state, _ = jax.lax.scan(step, state, given["steps"])
        variables = list(zip(self.metrics_variables, state[3], strict=True))
        with keras.StatelessScope(state_mapping=variables):
            return self.get_metrics_result(), state


class _Bfloat16Products:
    """Products in bfloat16 while training; weights, sums over a batch and all that is evaluated stay float32."""

    def product(self, inputs: Any, kernel: Any) -> Any:
        layer: Any = self
        return layer.convolution_op(inputs, kernel)

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not training:
            return super().call(inputs)  # type: ignore[misc]
        layer: Any = self
        kernel = keras.ops.cast(layer.kernel, "bfloat16")
        outputs = keras.ops.cast(layer.product(keras.ops.cast(inputs, "bfloat16"), kernel), "float32")
        return outputs + layer.bias if layer.use_bias else outputs


class Bfloat16Conv2D(_Bfloat16Products, keras.layers.Conv2D):
    """A convolution."""


class Bfloat16SplitConv2D(_Bfloat16Products, SplitConv2D):
    """A grouped convolution."""


class Bfloat16DepthwiseConv2D(_Bfloat16Products, keras.layers.DepthwiseConv2D):
    """A depthwise convolution."""

    def product(self, inputs: Any, kernel: Any) -> Any:
        return keras.ops.depthwise_conv(inputs, kernel, strides=self.strides, padding=self.padding)


# The classes that Keras finds in the path of a checkpoint are the same.
for _class, _keras in (
    (Bfloat16Conv2D, keras.layers.Conv2D),
    (Bfloat16SplitConv2D, SplitConv2D),
    (Bfloat16DepthwiseConv2D, keras.layers.DepthwiseConv2D),
):
    _class.__name__ = _keras.__name__


class DeviceBuilder(Builder):
    """Reads a network into a model that trains by chunks, in float32."""

    whole = CompiledModel


class Bfloat16DeviceBuilder(DeviceBuilder):
    """The same with products in bfloat16."""

    convolution, split_convolution = Bfloat16Conv2D, Bfloat16SplitConv2D
    depthwise_convolution = Bfloat16DepthwiseConv2D
