"""Optimizers of one TensorFlow kernel for each variable, where Keras has about ten operators.

Values and state are those of Keras' optimizers of the same name: a training may go on with either. There is none of
Nadam: TensorFlow's kernel has its momentum without the schedule that is what Nadam is.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class _Adam:
    """A step of Adam; weights have decayed before."""

    def build(self: Any, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)  # type: ignore[misc]
            self.states = _states(self, variables, "momentum", "velocity")

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum, velocity = self.states[_raw(variable).ref()]
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=_raw(variable).handle, m=momentum.value.handle, v=velocity.value.handle,
            beta1_power=tf.pow(self.beta_1, step), beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32), beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )  # fmt: skip


class Adam(_Adam, keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015)."""


class AdamW(_Adam, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""


class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum."""

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.states = _states(self, variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        (momentum,) = self.states[_raw(variable).ref()]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_raw(variable).handle, accum=momentum.value.handle, lr=tf.cast(learning_rate, tf.float32),
            grad=tf.convert_to_tensor(gradient), momentum=self.momentum, use_nesterov=self.nesterov,
        )  # fmt: skip


def _states(optimizer: Any, variables: list[Any], *names: str) -> dict[Any, list[Any]]:
    """What an optimizer keeps of each variable, by the variable."""
    kept = [[state for state in optimizer.variables if state.path.endswith(f"_{name}")] for name in names]
    return {_raw(variable).ref(): list(states) for variable, *states in zip(variables, *kept, strict=True)}


def _raw(variable: Any) -> Any:
    """TensorFlow's variable in Keras', or itself."""
    return variable.value if isinstance(variable, keras.Variable) else variable
