"""Every reference network for images of CIFAR's size learns on the bundled ones, with the settings of its own file."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from dse.data.datasets import Data
from dse.references.networks import load_reference
from dse.space.space import list_references
from dse.training.context import TrainingContext
from dse.training.loop import to_float, train
from dse.training.model import build_model

pytestmark = pytest.mark.keras

CIFAR_SIZED = [
    path.stem for path in list_references() if load_reference(path.stem).candidate().input_shape == (32, 32, 3)
]
STEPS, BATCH = 250, 32  # batches no larger than this
STARTING_LOSS = math.log(10)  # of a network that knows nothing of ten classes


@pytest.mark.parametrize("name", CIFAR_SIZED)
def test_it_says_how_it_is_trained(name: str) -> None:
    assert "learning_rate" in load_reference(name).space.tree["training"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CIFAR_SIZED)
def test_it_learns(name: str, sample_data: Data) -> None:
    """A few hundred small steps lower the loss on the training images well below that of knowing nothing."""
    candidate = load_reference(name).candidate()
    images = sample_data.train
    batch = min(BATCH, candidate.training.batch_size)
    epochs = math.ceil(STEPS * batch / len(images))
    training = candidate.training.model_copy(update={"batch_size": batch, "epochs": epochs, "augment": "none"})
    keras.backend.clear_session()
    model = build_model(candidate.network, l2=training.l2, residual_gamma=training.residual_gamma)
    train(model, images, training, TrainingContext(0))
    logits = model.predict(to_float(images.images), batch_size=64, verbose=0)
    loss = float(np.mean(keras.losses.sparse_categorical_crossentropy(images.labels, logits, from_logits=True)))
    print(f"{name}: loss {loss:.2f}")
    assert loss < 0.85 * STARTING_LOSS
