"""What must never be exported is refused: operators that TFLM lacks or gets wrong, float islands, five axes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dse.data.datasets import Data
from dse.errors import ExportError
from dse.quantization.convert import to_float_file, to_int8
from dse.tflite.deployable import check_deployable
from dse.tflite.interpreters import int8_input, parse_allocations, run_litert, run_tflm
from dse.tflite.reader import read_tflite
from dse.training.weights import load_weights
from tests.helpers.networks import family_space, only_candidate

pytestmark = [pytest.mark.keras, pytest.mark.tflm]

layers, ops = keras.layers, keras.ops
NOISE = np.random.default_rng(0).random((8, 8, 8, 3)).astype(np.float32)


def converted(body) -> bytes:  # type: ignore[no-untyped-def]
    image = keras.Input((8, 8, 3), batch_size=1)
    features = body(layers.Conv2D(4, 3, padding="same")(image))
    return to_int8(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(features))), NOISE)


def test_a_plain_network_passes() -> None:
    file = check_deployable(converted(layers.ReLU()))
    assert file.counts() == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        # exact Mish: EXP has no int8 kernel in TFLM
        (lambda x: layers.Activation("mish")(x), "operator (EXP|LOG|TANH) is not one that TFLM runs in int8"),
        # a lone RELU6 runs there, and is wrong
        (
            lambda x: ops.relu6(layers.Concatenate()([x, layers.MaxPooling2D(3, 1, "same")(x)])),
            "operator RELU6 is not one",
        ),
        # ELU stays in float between DEQUANTIZE and QUANTIZE, silently
        (lambda x: layers.Activation("elu")(x), "operator (DEQUANTIZE|ELU) is not one"),
        # a channel shuffle in five axes
        (
            lambda x: layers.Reshape((8, 8, 4))(layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 2, 2))(x))),
            "has 5 axes, expected at most 4",
        ),
    ],
)
def test_what_does_not_deploy_is_refused(body, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ExportError, match=problem):
        check_deployable(converted(body))


def test_a_float_file_is_not_deployable() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3), batch_size=1), layers.Conv2D(2, 3)])
    content = to_float_file(model)
    with pytest.raises(ExportError, match="is FLOAT32, expected int8 throughout"):
        check_deployable(content)
    assert read_tflite(content).counts() == {"CONV_2D": 1}


def test_a_failing_tflm_is_an_error_not_the_end_of_the_process(sample_data: Data) -> None:
    with pytest.raises(ExportError, match="TensorFlow Lite Micro failed"):
        run_tflm(b"TFL3 is not enough", sample_data.test.images[:2])


def test_tflm_runs_every_image_in_order(sample_data: Data) -> None:
    content = to_int8(_small_model(), NOISE)
    images = sample_data.test.images[:5, :8, :8]
    seen: list[int] = []
    together = run_tflm(content, images, processes=2, progress=seen.append)
    one_by_one = np.concatenate([run_tflm(content, images[i : i + 1]).logits for i in range(5)])
    assert np.array_equal(together.logits, one_by_one)
    assert np.array_equal(together.logits, run_litert(content, images, reference=True))
    assert seen == [3, 5]


def _small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((8, 8, 3), batch_size=1), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()])


def test_an_input_that_is_not_pixel_minus_128_is_refused(sample_data: Data) -> None:
    content = to_int8(_small_model(), 3 * NOISE)
    with pytest.raises(ExportError, match="expected 1/255 and -128"):
        run_litert(content, sample_data.test.images[:1, :8, :8])


def test_pixels_become_int8() -> None:
    assert int8_input(np.array([[0, 127, 128, 255]], np.uint8)).tolist() == [[-128, -1, 0, 127]]


def test_allocations_are_read_from_what_tflm_prints() -> None:
    text = "[RecordingMicroAllocator] Arena allocation total 15 bytes\nx Arena allocation head 8192 bytes\nArena allocation tail 3760 bytes\n"
    assert parse_allocations(text) == (8192, 3760)
    with pytest.raises(ExportError, match="printed no allocations"):
        parse_allocations("nothing")


def test_weights_of_another_candidate_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from dse.training.model import build_model

    path = tmp_path / "model.weights.h5"
    build_model(only_candidate(family_space("conv")).network).save_weights(path)
    with pytest.raises(ExportError, match="not the weights of candidate"):
        load_weights(only_candidate(family_space("bneck")), path)
    path.write_bytes(b"no weights")
    with pytest.raises(ExportError, match="not the weights of candidate"):
        load_weights(only_candidate(family_space("conv")), path)
