"""The fast layers and optimizers against Keras' own: the same values, the same weights, the same checkpoints."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from dse.data.datasets import Data
from dse.network.training import Training
from dse.search.workers.trial import run_trial
from dse.training import arithmetic as arithmetics
from dse.training.arithmetic import arithmetic, builder_of
from dse.training.context import TrainingContext
from dse.training.fast import bfloat16, layers
from dse.training.loop import train
from dse.training.model import FUNCTIONS, build_model
from dse.training.optimizers import make_optimizer
from dse.training.weights import weights_bytes
from tests.helpers.networks import FAMILIES, family_space, only_candidate, wide_candidates

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(0)


def values_and_gradients(layer: keras.layers.Layer, x: np.ndarray) -> list[np.ndarray]:
    """What a layer makes of images in training, the gradients of its weights and its input, and its weights after."""
    image = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(image)
        y = layer(image, training=True)
        loss = tf.reduce_sum(y * tf.constant(np.random.default_rng(1).random(y.shape).astype(np.float32)))
    gradients = tape.gradient(loss, [image, *(weight.value for weight in layer.trainable_weights)])
    return [np.asarray(value) for value in (y, *gradients, *layer.get_weights())]


def pair(kind: str, x: np.ndarray, **options: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of Keras' layer and of ours, with the same weights."""
    theirs, ours = getattr(keras.layers, kind)(**options), getattr(layers, kind)(**options)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    return values_and_gradients(theirs, x), values_and_gradients(ours, x)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_depthwise(size: int, kernel: int, multiplier: int, stride: int, padding: str) -> None:
    if padding == "valid" and kernel > size:
        pytest.skip("no such layer")
    x = RNG.normal(size=(3, size, size, 4)).astype(np.float32)
    options = {"strides": stride, "padding": padding, "depth_multiplier": multiplier}
    theirs, ours = pair("DepthwiseConv2D", x, kernel_size=kernel, **options)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("size", [1, 6])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_convolution(kernel: int, size: int, stride: int, bias: bool) -> None:
    x = RNG.normal(size=(3, size, size, 8)).astype(np.float32)
    options = {"strides": stride, "padding": "same", "use_bias": bias}
    theirs, ours = pair("Conv2D", x, filters=6, kernel_size=kernel, **options)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize(("channels", "filters"), [(8, 12), (64, 68)])  # as one product, and too many for that
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_grouped(groups: int, channels: int, filters: int, kernel: int, stride: int, bias: bool) -> None:
    """Keras' own computes all groups in one operator."""
    x = RNG.normal(size=(3, 6, 5, channels)).astype(np.float32)
    options = {"filters": filters, "kernel_size": kernel, "strides": stride, "padding": "same", "groups": groups}
    theirs, ours = keras.layers.Conv2D(**options, use_bias=bias), layers.SplitConv2D(**options, use_bias=bias)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    for one, other in zip(values_and_gradients(theirs, x), values_and_gradients(ours, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_batch_norm_keeps_the_variance_that_keras_keeps() -> None:
    x = RNG.normal(2, 3, size=(2, 2, 2, 5)).astype(np.float32)  # eight values a channel: N/(N-1) is 8/7
    theirs, ours = pair("BatchNormalization", x, momentum=0.9, epsilon=1e-3)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_frozen_batch_norm_stays() -> None:
    norm = layers.BatchNormalization()
    norm.trainable = False
    x = RNG.normal(2, 3, size=(2, 4, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(norm(x, training=True), x / np.sqrt(1 + norm.epsilon), rtol=1e-5)
    assert np.array_equal(norm.get_weights()[2], np.zeros(5))


@pytest.mark.parametrize("name", ["mish", "hswish"])
def test_gradients_written_out(name: str) -> None:
    x = tf.constant(np.linspace(-6, 6, 1001, dtype=np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        theirs, ours = FUNCTIONS[name](x), layers.FastBuilder.functions[name](x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(theirs, x), tape.gradient(ours, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "adam", "ema": 0.9},
        {"optimizer": "adamw"},
        {"optimizer": "nadam"},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "weight_decay": 0.1, "schedule": "linear", "warmup": 0.5},
    ],
    ids=str,
)
def test_an_optimizer_takes_the_steps_of_keras_and_keeps_its_state(settings: dict[str, Any]) -> None:
    both = []
    for fast in (False, True):
        variables = [keras.Variable(np.full(shape, 0.5, np.float32), name=name) for name, shape in
                     (("kernel", (3, 4)), ("beta", (4,)))]  # fmt: skip
        optimizer = make_optimizer(Training(learning_rate=0.1, **settings), 10, fast=fast)
        optimizer.build(variables)
        rng = np.random.default_rng(2)
        for _ in range(4):
            gradients = [tf.constant(rng.normal(size=v.shape).astype(np.float32)) for v in variables]
            optimizer.apply(gradients, variables)
        both.append([*variables, *optimizer.variables])
    for theirs, ours in zip(*both, strict=True):
        assert theirs.path.partition("/")[2] == ours.path.partition("/")[2]
        np.testing.assert_allclose(np.asarray(theirs), np.asarray(ours), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["dpd", "shuffle"])
def test_a_training_goes_on_with_the_other_arithmetic(family: str, sample_data: Data, tmp_path: Path) -> None:
    """Weights and state are in the same places: what one began, the other ends."""
    network = only_candidate(family_space(family, FAMILIES[family])).network
    data = sample_data.train.first(100)

    def losses(*epochs: tuple[str, int]) -> list[float]:
        found: list[float] = []
        for chosen, until in epochs:
            model = build_model(network, seed=1, l2=1e-5, builder=builder_of(chosen))  # type: ignore[arg-type]
            context = TrainingContext(1, checkpoint=tmp_path / str(epochs), arithmetic=chosen)  # type: ignore[arg-type]
            settings = Training(epochs=until, batch_size=25, learning_rate=1e-3, schedule="constant")
            found += train(model, data, settings, context)["loss"]
        return found

    whole = losses(("plain", 2))
    assert losses(("plain", 1), ("fused", 2)) == pytest.approx(whole, rel=1e-2)
    assert losses(("fused", 1), ("plain", 2)) == pytest.approx(whole, rel=1e-2)


def test_weights_are_in_the_same_places() -> None:
    def places(content: bytes) -> list[tuple[str, tuple[int, ...]]]:
        found: list[tuple[str, tuple[int, ...]]] = []
        with h5py.File(io.BytesIO(content)) as file:
            file.visititems(lambda name, item: found.append((name, getattr(item, "shape", ()))))
        return found

    for candidate in wide_candidates(5):
        plain, fused, half = (
            places(weights_bytes(build_model(candidate.network, builder=builder_of(chosen))))
            for chosen in ("plain", "fused", "bf16")
        )
        assert plain == fused == half


@pytest.mark.parametrize("chosen", ["plain", "fused", "bf16"])
def test_a_trial_says_how_it_was_computed(chosen: str, sample_data: Data) -> None:
    candidate = only_candidate(family_space("bneck", FAMILIES["bneck"]))
    data = Data(
        sample_data.classes, sample_data.train.first(64), sample_data.validation.first(20), sample_data.test, "", ""
    )
    context = TrainingContext(0, arithmetic=chosen)  # type: ignore[arg-type]
    quick = replace(candidate, training=Training(epochs=1))
    result = run_trial(quick, data, context, accuracy="float")
    assert result.arithmetic == chosen
    assert np.isfinite(result.history["loss"]).all()


def test_auto_takes_bfloat16_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(flags: set[str], gain: float) -> str:
        monkeypatch.setattr(bfloat16, "_processor_flags", lambda: flags)
        monkeypatch.setattr(bfloat16, "_gain", lambda: gain)
        bfloat16.bfloat16_pays.cache_clear()
        return arithmetic("auto")

    assert chosen({"avx2"}, 2.0) == "fused"
    assert chosen({"avx2", "avx512_bf16"}, 2.0) == "bf16"
    assert chosen({"amx_bf16"}, 1.1) == "fused"
    bfloat16.bfloat16_pays.cache_clear()


def test_the_gain_is_measured() -> None:
    assert bfloat16._gain() > 0


def test_other_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX computes on a device, on PyTorch Keras does; a teacher answers on the host."""
    taught = Training(teacher="a.keras")
    monkeypatch.setattr(arithmetics.keras.backend, "backend", lambda: "torch")
    assert arithmetic("auto") == arithmetic("fused") == "plain"
    monkeypatch.setattr(arithmetics.keras.backend, "backend", lambda: "jax")
    assert (arithmetic("auto"), arithmetic("bf16"), arithmetic("auto", taught)) == ("fused", "bf16", "plain")
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert arithmetic("auto") == "bf16"
