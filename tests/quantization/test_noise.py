"""Where int8 loses: found by name, in the two files alone."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from dse.data.datasets import Data
from dse.export.bundle import read_bundle
from dse.quantization.convert import calibration_set, for_conversion, to_float_file, to_int8
from dse.quantization.noise import LayerNoise, layer_noise, worst
from dse.quantization.timing import with_plausible_weights
from dse.training.model import build_model
from tests.helpers.networks import FAMILIES, family_space, only_candidate

pytestmark = [pytest.mark.keras, pytest.mark.tflm]

SOME = ("bneck", "dpd", "fire", "shuffle")


@pytest.mark.parametrize(
    "family", [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in sorted(FAMILIES)]
)
def test_every_operator_of_a_family_is_named(family: str, sample_data: Data) -> None:
    candidate = only_candidate(family_space(family, FAMILIES[family]))
    keras.backend.clear_session()
    model = with_plausible_weights(build_model(candidate.network))
    fixed = for_conversion(candidate, model)
    int8 = to_int8(fixed, calibration_set(sample_data.train))
    noise = layer_noise(candidate.network, int8, to_float_file(fixed), sample_data.test.images[:4])
    names = {layer.name for layer in candidate.network}
    assert noise
    assert noise[-1].layer == "head_classes"
    assert all(any(one.layer.startswith(name) for name in names) for one in noise)
    assert all(0 < one.snr_db < 99 for one in noise)


def test_the_layer_that_is_to_blame_is_found(sample_data: Data) -> None:
    """Channels a thousand times as large as the others leave those no bits; all behind suffers, one layer is to blame."""
    candidate = only_candidate(family_space("separable"))
    keras.backend.clear_session()
    model = with_plausible_weights(build_model(candidate.network))
    guilty = model.get_layer("b2_separable_pointwise_bn")
    gamma, *others = guilty.get_weights()
    gamma[:8] *= 1000
    guilty.set_weights([gamma, *others])
    # The next layer does not listen to those channels, so that float does not mind.
    following = model.get_layer("b3_separable_depthwise")
    kernel = following.get_weights()[0]
    kernel[:, :, :8] = 0
    following.set_weights([kernel])
    fixed = for_conversion(candidate, model)
    int8 = to_int8(fixed, calibration_set(sample_data.train))
    noise = layer_noise(candidate.network, int8, to_float_file(fixed), sample_data.test.images[:8])
    first, *_ = worst(noise)
    # What it wrote is exact where it is large; the depthwise convolution behind it is the first to hear the rest.
    assert first.layer == "b3_separable_depthwise"
    assert first.added > 0.01


def test_files_of_two_networks_are_not_compared(bundle: Path, sample_data: Data) -> None:
    models = read_bundle(bundle).models
    other = only_candidate(family_space("conv")).network
    assert layer_noise(other, models.int8, models.float32, sample_data.test.images[:1]) == []


def test_the_worst_come_first() -> None:
    layers = [LayerNoise(name, "ADD", snr, lost) for name, snr, lost in (("a", 30, 1), ("b", 20, 9), ("c", 10, 9))]
    assert [one.layer for one in worst(layers, 2)] == ["c", "b"]
