"""Where int8 loses what float knows: signal to noise of every operator's output, from the two files alone.

Both files come from one model, so the converter wrote the same operators in the same order; the int8 one was put into a
better order since, and the network on paper knows which. The noise behind a layer is what has come together so far;
what it adds itself is what the noisiest of its inputs did not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.lowering import lower
from dse.data.images import to_float
from dse.network.layers import Network
from dse.tflite.interpreters import int8_input, open_litert
from dse.tflite.reader import read_tflite

NO_NOISE_DB = 99.0  # stands for a tensor without any error
IMAGES = 64


@dataclass(frozen=True)
class LayerNoise:
    """Decibels of the signal over the error behind one operator, and the error that it added, as a share of the signal.

    Both are of energies: an error of 1 % of the amplitude is a share of 0.0001, and leaves 40 dB.
    """

    layer: str
    operator: str
    snr_db: float
    added: float


def layer_noise(network: Network, int8: bytes, float_file: bytes, images: np.ndarray) -> list[LayerNoise]:
    """The noise of every operator of the int8 file in the order in which it runs, over uint8 `images`.

    Empty when the two files do not have the same operators and shapes, so that nothing can be compared.
    """
    paper = lower(network)
    named, order, _ = arranged(paper)
    quantized, exact = read_tflite(int8), read_tflite(float_file)
    kinds = [operator.kind for operator in paper.operators]
    if [o.kind for o in exact.operators] != kinds or [o.kind for o in quantized.operators] != [kinds[i] for i in order]:
        return []
    pairs = [(o.outputs[0], exact.operators[i].outputs[0]) for o, i in zip(quantized.operators, order, strict=True)]
    if any(quantized.tensors[mine].shape != exact.tensors[theirs].shape for mine, theirs in pairs):
        return []
    signal, error = _energies(int8, float_file, images, pairs)
    share = {quantized.inputs[0]: 0.0}
    found = []
    for step, (operator, paper_operator) in enumerate(zip(quantized.operators, named.operators, strict=True)):
        noise = error[step] / signal[step] if signal[step] > 0 else 0.0
        before = max((share[index] for index in operator.inputs if index in share), default=0.0)
        share[operator.outputs[0]] = noise
        decibels = min(NO_NOISE_DB, -10 * math.log10(noise)) if noise > 0 else NO_NOISE_DB
        layer = named.tensors[paper_operator.outputs[0]].name
        found.append(LayerNoise(layer, operator.kind, round(decibels, 1), float(f"{max(0.0, noise - before):.3g}")))
    return found


def worst(noise: list[LayerNoise], count: int = 3) -> list[LayerNoise]:
    """The layers that add most noise, the worst first."""
    return sorted(noise, key=lambda one: (-one.added, one.snr_db))[:count]


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
