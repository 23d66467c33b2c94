"""Prints what the int8 file of MobileNetV2 0.35 for Visual Wake Words takes, and how much of it are names of tensors.

    python -m benchmarks.mobilenet_size

Three ways to the same network at 96x96 with one logit: as dse exports it, as the converter leaves it, and the model of
keras.applications inside another, as the authors of the QnA paper convert it. Weights are made up.
"""

from __future__ import annotations

import keras
import numpy as np

from dse._util.quiet import quiet_tensorflow
from dse.data.images import Images
from dse.quantization.convert import as_converted, calibration_set
from dse.quantization.timing import with_plausible_weights
from dse.references.networks import load_reference
from dse.tflite.interpreters import open_litert
from dse.tflite.writer import for_device
from dse.training.model import build_model

SIZE = 96


def authors_model() -> keras.Model:
    """keras.applications' network, pooled, with one logit. Images come in [0, 1], which changes no size."""
    base = with_plausible_weights(
        keras.applications.MobileNetV2((SIZE, SIZE, 3), alpha=0.35, include_top=False, weights=None)
    )
    image = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base(image))
    return with_plausible_weights(keras.Model(image, keras.layers.Dense(1)(keras.layers.Dropout(0.2)(pooled))))


def row(title: str, content: bytes) -> str:
    """Bytes of a file, and of the names of its tensors."""
    tensors = open_litert(content).get_tensor_details()
    return f"| {title} | {len(content):,} | {sum(len(tensor['name']) for tensor in tensors):,} |"


def main() -> None:
    """Prints the table."""
    quiet_tensorflow()
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (200, SIZE, SIZE, 3), np.uint8), np.zeros(200, np.int64))
    candidate = load_reference("mobilenet_v2_vww").candidate(width=0.35, resolution=SIZE)
    own = as_converted(
        with_plausible_weights(build_model(candidate.network, for_conversion=True)), calibration_set(images)
    )
    theirs = as_converted(authors_model(), calibration_set(images))
    print("| | bytes | of them names of tensors |")
    print("|---|---|---|")
    print(row("as dse exports it", for_device(own)))
    print(row("the same, as the converter leaves it", own))
    print(row("keras.applications' model, as the converter leaves it", theirs))
    print(row("the same without names, as dse would export it", for_device(theirs)))


if __name__ == "__main__":
    main()
