"""What the ways to write one layer come to on the device: `python -m tools.lowering_forms`.

Each form stands between two convolutions, is converted to int8 with real images, and is compared with what it should compute
in float. The table says which operators it becomes, what TensorFlow Lite Micro makes of it, the arena's head, the bytes that
are written for one image, and the signal over the error behind the form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from dse._util.quiet import quiet_tensorflow
from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import greedy_offsets, head_of, lifetimes
from dse.data.datasets import load_data
from dse.data.images import to_float
from dse.errors import ExportError
from dse.quantization.convert import as_converted, calibration_set
from dse.tasks import load_task
from dse.tflite.interpreters import end_scales, run_litert, run_tflm
from dse.tflite.reader import read_tflite
from dse.tflite.writer import for_device
from dse.training.model import hard_sigmoid, mish

CHANNELS = 32
IMAGES = 32
layers, ops = keras.layers, keras.ops
Form = Callable[[Any], Any]


def exact_mish(x: Any) -> Any:
    """Mish as Keras has it."""
    return layers.Activation("mish")(x)


def two_sigmoids(x: Any) -> Any:
    """A closer fit of Mish, of two sigmoids; largest error 0.0065."""
    return x * (0.6948 * ops.sigmoid(1.676 * x - 0.0172) + 0.3052 * ops.sigmoid(1.1347 * x + 1.6397))


def shuffled(x: Any, axes: int) -> Any:
    """A channel shuffle of four groups, with height and width apart (five axes) or merged (four)."""
    _, height, width, channels = x.shape
    front = (height, width) if axes == 5 else (height * width,)
    last = len(front) + 1
    x = layers.Reshape((*front, 4, channels // 4))(x)
    return layers.Reshape((height, width, channels))(layers.Permute((*range(1, last), last + 1, last))(x))


def split_and_joined(x: Any) -> Any:
    """A channel shuffle of slices: every channel by itself, joined in the new order."""
    order = np.arange(CHANNELS).reshape(4, -1).T.reshape(-1)
    parts = ops.split(x, CHANNELS, axis=-1)
    return layers.Concatenate()([parts[index] for index in order])


def permuting(x: Any) -> Any:
    """A channel shuffle as a 1x1 convolution with a permutation for weights."""
    order = np.arange(CHANNELS).reshape(4, -1).T.reshape(-1)
    kernel = np.eye(CHANNELS, dtype=np.float32)[:, order][None, None]
    return layers.Conv2D(CHANNELS, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(kernel))(x)


def grouped(x: Any) -> Any:
    return layers.Conv2D(CHANNELS, 3, padding="same", groups=4, kernel_initializer=keras.initializers.HeNormal(seed=3))(
        x
    )


def grouped_by_hand(x: Any) -> Any:
    parts = ops.split(x, 4, axis=-1)
    convolution = [
        layers.Conv2D(CHANNELS // 4, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(seed=3))
        for _ in parts
    ]
    return layers.Concatenate()([one(part) for one, part in zip(convolution, parts, strict=True)])


FORMS: dict[str, list[tuple[str, Form, Form | None]]] = {
    "Mish": [
        ("x * tanh(softplus(x)), as Keras converts it", exact_mish, exact_mish),
        ("x * sigmoid(1.2626 x + 0.5739), ours", mish, exact_mish),
        ("two sigmoids", two_sigmoids, exact_mish),
        ("h-swish instead", ops.hard_silu, exact_mish),
    ],
    "h-swish": [
        ("one HARD_SWISH, ours", ops.hard_silu, ops.hard_silu),
        ("x * sixth of relu6(x + 3)", lambda x: x * hard_sigmoid(x), ops.hard_silu),
        ("swish instead", ops.silu, ops.hard_silu),
    ],
    "hard sigmoid": [
        ("relu6(x + 3) * 1/6, ours", hard_sigmoid, ops.hard_sigmoid),
        ("sigmoid instead", ops.sigmoid, ops.hard_sigmoid),
    ],
    "channel shuffle": [
        ("four axes, ours", lambda x: shuffled(x, 4), lambda x: shuffled(x, 5)),
        ("five axes", lambda x: shuffled(x, 5), lambda x: shuffled(x, 5)),
        ("1x1 convolution", permuting, lambda x: shuffled(x, 5)),
        ("slices, joined", split_and_joined, lambda x: shuffled(x, 5)),
    ],
    "grouped convolution": [
        ("one CONV_2D, ours", grouped, None),
        ("a convolution for each group", grouped_by_hand, None),
    ],
}


def model_of(form: Form) -> tuple[keras.Model, keras.Model]:
    """A network with the form between two convolutions, and the first part alone, which ends behind the form."""
    source = keras.Input((32, 32, 3), batch_size=1)
    first = layers.Conv2D(
        CHANNELS, 3, 2, "same", kernel_initializer=keras.initializers.HeNormal(seed=1), bias_initializer="normal"
    )(source)
    behind = form(first * 4.0)
    last = layers.Conv2D(8, 3, 2, "same", kernel_initializer=keras.initializers.HeNormal(seed=2))(behind)
    return keras.Model(source, last), keras.Model(source, behind)


def written_bytes(graph: OperatorGraph) -> int:
    """Bytes of all that operators write for one image."""
    return sum(graph.tensors[index].num_bytes for operator in graph.operators for index in operator.outputs)


def row(form: Form, exact: Form | None, train: Any, images: np.ndarray) -> list[str]:
    """One line of the table."""
    keras.utils.set_random_seed(0)
    whole, part = model_of(form)
    try:
        content = for_device(as_converted(whole, calibration_set(train)))
        behind = for_device(as_converted(part, calibration_set(train)))
    except ExportError as error:
        return [f"does not convert: {str(error)[:40]}", "", "", "", ""]
    graph = read_tflite(content)
    counts = graph.counts()
    counts["CONV_2D"] = counts.get("CONV_2D", 0) - 2
    operators = ", ".join(f"{count} {name}" for name, count in counts.items() if count > 0) or "none"
    tensors = lifetimes(graph)
    head = head_of(tensors, greedy_offsets(tensors, graph.offline))
    try:
        run_tflm(content, images[:2], processes=1)
        runs = "runs"
    except ExportError:
        runs = "fails"
    snr = ""
    if exact:
        keras.utils.set_random_seed(0)
        wanted = model_of(exact)[1].predict(to_float(images), batch_size=1, verbose=0).reshape(len(images), -1)
        (_, _), (scale, zero) = end_scales(behind)
        found = scale * (run_litert(behind, images, reference=True).astype(float) - zero)
        snr = f"{10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)):.1f}"
    return [operators, runs, f"{head:,}", f"{written_bytes(graph):,}", snr]


def main() -> None:
    """Prints the table."""
    quiet_tensorflow()
    data = load_data(load_task("cifar10"), "sample")
    print(
        "| layer | form | operators | TFLM, int8 | head, bytes | written, bytes | SNR, dB |\n|---|---|---|---|---|---|---|"
    )
    for layer, forms in FORMS.items():
        for name, form, exact in forms:
            print(
                "|",
                " | ".join([layer, name, *row(form, exact, data.train, data.test.images[:IMAGES])]),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    main()
