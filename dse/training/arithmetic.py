"""How a training is computed: as Keras has it, or by what is faster on a processor or a GPU, with or without bfloat16.

The arithmetic is no setting of a candidate: it decides how long a training takes, and its results only within the
noise of another seed (`results/training`). What was taken is recorded with each trial.
"""

from __future__ import annotations

import keras

from dse.network.training import Training
from dse.training.model import Builder
from dse.training.names import Arithmetic, Asked


def arithmetic(asked: Asked = "auto", training: Training = Training()) -> Arithmetic:
    """What a training computes with: what is asked for, or the fastest that works here."""
    match keras.backend.backend():
        case "tensorflow":
            if asked != "auto":
                return asked
            from dse.training.fast.bfloat16 import bfloat16_pays

            return "bf16" if bfloat16_pays() else "fused"
        case "jax" if not training.teacher:  # a teacher answers on the host
            if asked != "auto":
                return asked
            import jax

            return "fused" if jax.default_backend() == "cpu" else "bf16"
    return "plain"


def builder_of(chosen: Arithmetic) -> type[Builder]:
    """Who makes the model."""
    if chosen == "plain":
        return Builder
    if keras.backend.backend() == "jax":
        from dse.training.device.model import Bfloat16DeviceBuilder, DeviceBuilder

        return Bfloat16DeviceBuilder if chosen == "bf16" else DeviceBuilder
    from dse.training.fast.layers import Bfloat16Builder, FastBuilder

    return Bfloat16Builder if chosen == "bf16" else FastBuilder
