"""What a network comes to as a file, and how long it takes on this machine, before any training."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import keras
import numpy as np

from dse.data.images import Images
from dse.network.candidate import Candidate
from dse.quantization.convert import calibration_set, for_conversion, to_float_file, to_int8
from dse.tflite.interpreters import open_litert
from dse.training.model import build_model

IMAGES = 4  # random ones, for ranges that nobody looks at
WARM_UP, RUNS = 3, 15


@dataclass(frozen=True)
class Timed:
    """A file and its latency on LiteRT, on one thread of this machine."""

    num_bytes: int
    milliseconds: float


def time_network(candidate: Candidate) -> dict[bool, Timed]:
    """The int8 file (True) and the float file (False) of a network. Raises ExportError."""
    noise = np.random.default_rng(0).integers(0, 256, (IMAGES, *candidate.input_shape), np.uint8)
    model = for_conversion(candidate, with_plausible_weights(build_model(candidate.network)))
    files = {
        True: to_int8(model, calibration_set(Images(noise, np.zeros(IMAGES, np.int64)))),
        False: to_float_file(model),
    }
    return {quantized: Timed(len(content), time_file(content)) for quantized, content in files.items()}


def time_file(content: bytes) -> float:
    """The median milliseconds of one inference, with LiteRT's optimised kernels on one thread."""
    interpreter = open_litert(content)
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
    taken = []
    for _ in range(WARM_UP + RUNS):
        started = time.perf_counter()
        interpreter.invoke()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken[WARM_UP:])


def with_plausible_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with biases and batch norms as training leaves them: all different.

    Fresh ones are all alike, and the converter stores equal buffers once: the file would be too small.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(0.5, 1.5, channels), *rng.normal(0, 0.3, (2, *channels)), rng.uniform(0.5, 1.5, channels)]
            )
        elif getattr(layer, "use_bias", False):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.3, bias.shape)])
    return model
