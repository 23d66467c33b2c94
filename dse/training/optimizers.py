"""The optimizer of a training, with its learning rate by step."""

from __future__ import annotations

from typing import Any

import keras

from dse.network.training import Training


class Rise(keras.optimizers.schedules.LearningRateSchedule):
    """Up to the highest rate in a line over the first steps, then as another schedule has it, or constant."""

    def __init__(self, peak: float, warmup: int, then: Any) -> None:
        super().__init__()
        self.peak, self.warmup, self.then = peak, warmup, then

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        after = step - self.warmup
        later = self.then(after) if callable(self.then) else self.then
        return keras.ops.where(after < 0, self.peak * (step + 1) / self.warmup, later)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup": self.warmup, "then": self.then}


def learning_rate(training: Training, steps: int) -> Any:
    """The rate of a training of `steps` steps: a number, or a schedule."""
    peak, warmup = training.learning_rate, round(training.warmup * steps)
    left = max(1, steps - warmup)
    rate: Any = peak
    match training.schedule:
        case "cosine":
            rate = keras.optimizers.schedules.CosineDecay(peak, left)
        case "step":
            ends = [max(1, left // 2), max(2, left * 3 // 4)]
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, [peak, peak / 10, peak / 100])
        case "linear":
            rate = keras.optimizers.schedules.PolynomialDecay(peak, left, end_learning_rate=0.0)
    return Rise(peak, warmup, rate) if warmup else rate


def make_optimizer(training: Training, steps: int, *, fast: bool = False) -> Any:
    """The optimizer of these settings for a training of `steps` steps; `fast` is for TensorFlow only."""
    kinds: Any = keras.optimizers
    if fast:
        from dse.training.fast import optimizers as kinds
    rate = learning_rate(training, steps)
    options: dict[str, Any] = {"weight_decay": training.weight_decay} if training.weight_decay else {}
    if training.ema:
        options |= {"use_ema": True, "ema_momentum": training.ema}
    match training.optimizer:
        case "adam":
            optimizer = (kinds.AdamW if training.weight_decay else kinds.Adam)(rate, **options)
        case "adamw":
            optimizer = kinds.AdamW(rate, **options)
        case "nadam":
            optimizer = keras.optimizers.Nadam(rate, **options)
        case "sgd":
            optimizer = kinds.SGD(rate, momentum=0.9, nesterov=True, **options)
    if training.weight_decay:  # not of scales, offsets and biases (He et al. 2019, section 3.1)
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
