"""Keras model to TFLite bytes: full integer (int8 in and out) or float. Always TensorFlow.

The input scale is 1/255 and its zero point -128, so a device feeds `pixel - 128`: the calibration images
always include a black and a white one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from dse._util.quiet import quiet_native
from dse.data.images import Images, to_float
from dse.errors import ExportError, FileError
from dse.network.candidate import Candidate
from dse.tflite.writer import for_device, with_signature
from dse.training.model import build_model

CALIBRATION_IMAGES = 200


def for_conversion(candidate: Candidate, trained: keras.Model) -> keras.Model:
    """A copy of a trained model in the form that the converter wants."""
    model = build_model(candidate.network, for_conversion=True)
    model.set_weights(trained.get_weights())
    return model


def calibration_set(train: Images) -> np.ndarray:
    """Images, (count, height, width, 3) float32, whose activations set the int8 ranges."""
    images = to_float(train.images[:CALIBRATION_IMAGES])
    ends = np.stack([np.zeros_like(images[0]), np.ones_like(images[0])])
    return np.concatenate([images, ends])


def to_int8(model: keras.Model, calibration: np.ndarray) -> bytes:
    """A full-integer TFLite file as it is flashed: int8 weights per channel, int8 in and out. Raises ExportError."""
    try:
        return for_device(as_converted(model, calibration))
    except FileError as error:
        raise ExportError(str(error)) from None


def as_converted(model: keras.Model, calibration: np.ndarray) -> bytes:
    """The same file as the converter writes it. Raises ExportError."""
    import tensorflow as tf

    def images() -> Iterator[list[np.ndarray]]:
        for image in calibration:
            yield [image[None]]

    converter = converter_of(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return run_converter(converter)


def to_float_file(model: keras.Model) -> bytes:
    """The float TFLite file of the same model. Raises ExportError."""
    return run_converter(converter_of(model))


def converter_of(model: keras.Model) -> Any:
    """A converter of a model of one input of fixed shape and one output.

    It reads the model as a function. TensorFlow's own way, by a saved model, writes the same file and takes three to
    five times as long.
    """
    import tensorflow as tf

    image = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    function = tf.function(lambda images: model(images, training=False), input_signature=[image], autograph=False)
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])


def run_converter(converter: Any) -> bytes:
    """What a converter makes of its model. Raises ExportError."""
    try:
        with quiet_native():  # it prints a banner
            return with_signature(converter.convert())
    except Exception as error:  # the converter raises many kinds, ConverterError among them
        raise ExportError(f"the TFLite converter refused the model: {str(error)[:500]}") from None
