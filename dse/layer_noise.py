"""Where int8 loses what float knows: signal to noise of every operator's output, from the two files alone.

Both files come from one model, so the converter wrote the same operators in the same order; the int8 one was put into a
better order since, and the network on paper knows which. A layer's noise is what has come together so far; what it adds
itself is the difference to the noisiest of its inputs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dse.cost.arrange import arranged
from dse.cost.lowering import lower
from dse.datasets import to_float
from dse.network import Network
from dse.runtimes import int8_input, open_litert
from dse.tflite_file import read_tflite

# What eight bits give a signal that fills their range (6.02 * 8 + 1.76); stands for a tensor without any error too.
NO_NOISE_DB = 49.9
IMAGES = 64


@dataclass(frozen=True)
class LayerNoise:
    """Decibels of the signal over the error at the output of one operator, and how many of them it lost."""

    layer: str
    operator: str
    snr_db: float
    lost_db: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def layer_noise(network: Network, int8: bytes, float_file: bytes, images: np.ndarray) -> list[LayerNoise]:
    """The noise of every operator of the int8 file in the order in which it runs, over uint8 `images`.

    Empty when the two files do not have the same operators, so that nothing can be compared.
    """
    paper = lower(network)
    named, order, _ = arranged(paper)
    quantized, exact = read_tflite(int8), read_tflite(float_file)
    kinds = [operator.kind for operator in paper.operators]
    if [o.kind for o in exact.operators] != kinds or [o.kind for o in quantized.operators] != [kinds[i] for i in order]:
        return []
    pairs = [(o.outputs[0], exact.operators[i].outputs[0]) for o, i in zip(quantized.operators, order, strict=True)]
    signal, noise = _energies(int8, float_file, images, pairs)
    snr = {quantized.inputs[0]: NO_NOISE_DB}
    found = []
    for step, (operator, tensor) in enumerate(zip(quantized.operators, named.operators, strict=True)):
        decibels = NO_NOISE_DB
        if noise[step] > 0 and signal[step] > 0:
            decibels = min(NO_NOISE_DB, 10 * float(np.log10(signal[step] / noise[step])))
        snr[operator.outputs[0]] = decibels
        before = min((snr[index] for index in operator.inputs if index in snr), default=NO_NOISE_DB)
        layer = named.tensors[tensor.outputs[0]].name
        found.append(LayerNoise(layer, operator.kind, round(decibels, 1), round(max(0.0, before - decibels), 1)))
    return found


def worst(noise: list[LayerNoise], count: int = 3) -> list[LayerNoise]:
    """The layers that lose most, the worst first."""
    return sorted(noise, key=lambda one: (-one.lost_db, one.snr_db))[:count]


def _energies(
    int8: bytes, float_file: bytes, images: np.ndarray, pairs: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares over all images: of the float values, and of the error, for each pair of tensors."""
    first, second = (open_litert(content, reference=True, keep_all=True) for content in (int8, float_file))
    scales = {detail["index"]: detail["quantization"] for detail in first.get_tensor_details()}
    inputs = first.get_input_details()[0]["index"], second.get_input_details()[0]["index"]
    signal, noise = np.zeros(len(pairs)), np.zeros(len(pairs))
    for quantized, exact in zip(int8_input(images), to_float(images), strict=True):
        first.set_tensor(inputs[0], quantized[None])
        second.set_tensor(inputs[1], exact[None])
        first.invoke()
        second.invoke()
        for index, (mine, theirs) in enumerate(pairs):
            scale, zero_point = scales[mine]
            values = second.get_tensor(theirs).astype(np.float64)
            error = scale * (first.get_tensor(mine).astype(np.float64) - zero_point) - values
            signal[index] += np.sum(values**2)
            noise[index] += np.sum(error**2)
    return signal, noise
