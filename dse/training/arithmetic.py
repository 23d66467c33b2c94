"""How a training is computed: as Keras has it, or by the fast layers and optimizers, with or without bfloat16.

The arithmetic is no setting of a candidate: it decides how long a training takes, and its results only within the
noise of another seed (`results/training`). What was taken is recorded with each trial.
"""

from __future__ import annotations

import keras

from dse.training.model import Builder
from dse.training.names import Arithmetic, Asked


def arithmetic(asked: Asked = "auto") -> Arithmetic:
    """What a training computes with: what is asked for, or the fastest that works here."""
    if keras.backend.backend() != "tensorflow":
        return "plain"
    if asked != "auto":
        return asked
    from dse.training.fast.bfloat16 import bfloat16_pays

    return "bf16" if bfloat16_pays() else "fused"


def builder_of(chosen: Arithmetic) -> type[Builder]:
    """Who makes the model."""
    if chosen == "plain":
        return Builder
    from dse.training.fast.layers import Bfloat16Builder, FastBuilder

    return Bfloat16Builder if chosen == "bf16" else FastBuilder
