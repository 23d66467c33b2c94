"""Training on JAX: the same images and steps as in NumPy and Keras, and all that a training promises.

Keras has one backend in a process, so what needs the model runs in a process of its own: this file once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dse.data.datasets import Data
from dse.data.images import Images
from dse.errors import TrialError
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.training.augmentation import augment, draw
from tests.helpers.networks import family_space, only_candidate

pytestmark = pytest.mark.keras

ON_JAX = os.environ.get("KERAS_BACKEND") == "jax"
on_jax = pytest.mark.skipif(not ON_JAX, reason="is run on JAX by test_on_jax")
BASE = {"epochs": 2, "batch_size": 32, "learning_rate": 2e-3}


@pytest.mark.process
@pytest.mark.skipif(ON_JAX, reason="starts itself")
def test_on_jax() -> None:
    """All others of this file, in a process in which Keras computes with JAX."""
    command = [sys.executable, "-m", "pytest", "--quiet", "-rA", __file__, "-k", "not test_on_jax"]
    done = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("how", ["none", "flip", "flip_crop", "flip_crop_cutout"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (12, 10, 1)])
def test_a_device_changes_images_as_numpy_does(how: str, shape: tuple[int, int, int]) -> None:
    from dse.training.device.augmentation import augment as on_device

    images = np.random.default_rng(3).integers(0, 256, (40, *shape)).astype(np.uint8)
    changes = draw(how, 40, shape[:2], np.random.default_rng(5))
    given = {name: part for name, part in vars(changes).items() if part is not None}
    assert np.array_equal(np.asarray(on_device(images, given)), augment(images, changes))


def trained(
    data: Data, how: str, candidate: Candidate | None = None, count: int = 128, **context: object
) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """History and weights of a training on the first images."""
    from dataclasses import replace

    from dse.training.context import TrainingContext
    from dse.training.recipe import train_candidate

    candidate = candidate or small()
    around = TrainingContext(1, arithmetic=how, **context)  # type: ignore[arg-type]
    data = replace(data, train=data.train.first(count), validation=data.validation.first(100))
    model, history = train_candidate(candidate, data.train, data.validation, around)
    return history, model.get_weights()


def small(**training: object) -> Candidate:
    from dataclasses import replace

    candidate = only_candidate(family_space("conv"))
    return replace(candidate, training=Training(**BASE | training))  # type: ignore[arg-type]


@on_jax
@pytest.mark.parametrize(
    "settings",
    [
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-3, "schedule": "linear", "warmup": 0.3},
    ],
    ids=["weights", "sgd"],
)
def test_it_learns_as_keras_does(settings: dict[str, object], sample_data: Data) -> None:
    """128 images are whole batches, so that both see the same steps."""
    plain, _ = trained(sample_data, "plain", small(**settings))
    fused, _ = trained(sample_data, "fused", small(**settings))
    assert fused["loss"] == pytest.approx(plain["loss"], rel=2e-3)
    assert fused["val_loss"] == pytest.approx(plain["val_loss"], rel=5e-3)


@on_jax
@pytest.mark.parametrize("family", ["dpd", "shuffle"])
def test_bfloat16_learns_as_float32_does(family: str, sample_data: Data) -> None:
    from dataclasses import replace

    candidate = replace(only_candidate(family_space(family)), training=Training(**BASE | {"epochs": 1}))  # type: ignore[arg-type]
    fused, _ = trained(sample_data, "fused", candidate, count=64)
    half, _ = trained(sample_data, "bf16", candidate, count=64)
    assert half["loss"] == pytest.approx(fused["loss"], rel=0.02)
    assert half["loss"] != fused["loss"]


@on_jax
def test_many_steps_in_one_program_are_the_same_steps(sample_data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    from dse.training.device import chunks

    candidate = small(epochs=1, batch_size=16)
    alone, _ = trained(sample_data, "fused", candidate, count=100)
    monkeypatch.setattr(chunks, "STEPS", 3)
    made = chunks.Chunks(sample_data.train.first(100), candidate.training, 1)
    assert (len(made), made.steps_each, made.steps) == (2, 4, 8)  # of 7 whole batches; the last ones begin anew
    monkeypatch.setattr(chunks, "STEPS", 7)
    together, _ = trained(sample_data, "fused", candidate, count=100)
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-3)


@on_jax
def test_the_same_seed_gives_the_same_weights(sample_data: Data) -> None:
    (history, weights), (again, others) = (trained(sample_data, "fused", small(epochs=1)) for _ in "12")
    assert history == again
    assert all(map(np.array_equal, weights, others))


@on_jax
def test_a_training_that_was_killed_goes_on(sample_data: Data, tmp_path: Path) -> None:
    whole, _ = trained(sample_data, "fused", small(epochs=3))

    class Killed(Exception):
        pass

    def kill(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(sample_data, "fused", small(epochs=3), checkpoint=tmp_path, on_epoch=kill)
    rest, _ = trained(sample_data, "fused", small(epochs=3), checkpoint=tmp_path)
    assert len(rest["loss"]) < 3
    assert rest["loss"][-1] == pytest.approx(whole["loss"][-1], rel=1e-5)


@on_jax
def test_a_loss_that_is_no_number_ends_it(sample_data: Data) -> None:
    with pytest.raises(TrialError, match="the loss became"):
        trained(sample_data, "fused", small(optimizer="sgd", learning_rate=10.0, schedule="constant", l2=1.0, epochs=3))


@on_jax
def test_what_takes_tensorflow_is_left_out(sample_data: Data) -> None:
    from dse.search.workers.trial import run_trial
    from dse.training.context import TrainingContext

    part = Images(sample_data.train.images[:64], sample_data.train.labels[:64])
    data = Data(sample_data.classes, part, part, part, "", "")
    result = run_trial(small(epochs=1), data, TrainingContext(1), accuracy="int8")
    assert result.accuracy_int8 is None
    assert result.arithmetic == "fused"
    assert 0 <= result.accuracy_float <= 1
