"""Whether this processor gains by bfloat16."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}  # of Linux' /proc/cpuinfo
PAYS_FROM = 1.2  # times as fast as float32, or bfloat16 is not worth its rounding
TRIAL_SHAPE, TRIAL_ROUNDS = (32, 16, 16, 64), 5  # of a 3x3 convolution, a few milliseconds each


@functools.cache
def bfloat16_pays() -> bool:
    """Whether this processor multiplies bfloat16, and a convolution gains by it. Tried once in a process."""
    return bool(BFLOAT16_FLAGS & _processor_flags()) and _gain() >= PAYS_FROM


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _gain() -> float:
    """How many times as fast a convolution and its gradients are in bfloat16; of each the best of some rounds."""

    def step(dtype: Any) -> Callable[[], Any]:
        x, kernel = tf.ones(TRIAL_SHAPE, dtype), tf.ones((3, 3, TRIAL_SHAPE[-1], TRIAL_SHAPE[-1]), dtype)

        @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
        def run() -> Any:
            y = tf.nn.conv2d(x, kernel, 1, "SAME")
            return (
                tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=TRIAL_SHAPE, filter=kernel, out_backprop=y, strides=[1] * 4, padding="SAME"
                ),
                tf.raw_ops.Conv2DBackpropFilter(
                    input=x, filter_sizes=kernel.shape, out_backprop=y, strides=[1] * 4, padding="SAME"
                ),
            )

        run()
        return run

    def best(run: Callable[[], Any]) -> float:
        times = []
        for _ in range(TRIAL_ROUNDS):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        return min(times)

    return best(step(tf.float32)) / best(step(tf.bfloat16))
