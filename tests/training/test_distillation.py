"""A teacher: its targets, the loss on them, and a student that learns from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from dse.data.datasets import Data
from dse.data.images import Images, as_input, to_float
from dse.errors import TrialError
from dse.network.training import Training
from dse.search.workers.trial import run_trial
from dse.training.context import TrainingContext
from dse.training.distillation import Teacher, distilled
from dse.training.loop import train
from dse.training.model import build_model
from dse.training.sources import WeightSource, read_source
from dse.training.weights import weights_bytes
from tests.helpers.networks import family_space, only_candidate

pytestmark = pytest.mark.keras


def source_of(model: keras.Model, folder: Path) -> WeightSource:
    model.save(folder / "teacher.keras")
    return read_source(str(folder / "teacher.keras"))


def small_model(shape: tuple[int, int, int], classes: int, softmax: bool) -> keras.Model:
    image = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    keras.utils.set_random_seed(0)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax" if softmax else None)(pooled))


@pytest.mark.parametrize("softmax", [False, True])
def test_targets_are_the_class_and_the_teachers_scores(sample_data: Data, tmp_path: Path, softmax: bool) -> None:
    model = small_model((16, 16, 1), 10, softmax)
    teacher = Teacher(source_of(model, tmp_path), 10)
    some = sample_data.test.first(5)
    targets = teacher.targets(some.images, some.labels)
    scores = model.predict(to_float(as_input(some, (16, 16, 1)).images), verbose=0)
    assert targets[:, 0].tolist() == some.labels.tolist()
    np.testing.assert_allclose(targets[:, 1:], np.log(scores) if softmax else scores, atol=1e-5)


def test_a_teacher_of_other_classes_or_colours_is_refused(sample_data: Data, tmp_path: Path) -> None:
    with pytest.raises(TrialError, match=r"teacher.keras: it knows 3 classes, this task has 10"):
        Teacher(source_of(small_model((16, 16, 3), 3, True), tmp_path), 10)
    teacher = Teacher(source_of(small_model((16, 16, 3), 10, True), tmp_path), 10)
    with pytest.raises(
        TrialError, match=r"teacher .*teacher.keras: it takes images of \(16, 16, 3\), these are \(16, 16, 1\)"
    ):
        teacher.scores(as_input(sample_data.test.first(2), (16, 16, 1)).images)


def test_the_loss_is_hintons() -> None:
    rng = np.random.default_rng(0)
    logits, scores = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    labels = np.array([0, 2, 1, 1])

    def softmax(values: np.ndarray) -> np.ndarray:
        powers = np.exp(values)
        return np.asarray(powers / powers.sum(1, keepdims=True))

    wanted = 0.25 * -np.log(softmax(logits)[np.arange(4), labels])
    wanted += 0.75 * 2.0**2 * -np.sum(softmax(scores / 2) * np.log(softmax(logits / 2)), axis=1)
    plain = lambda y, x: keras.losses.sparse_categorical_crossentropy(y, x, from_logits=True)  # noqa: E731
    loss = distilled(plain, Training(teacher="t", teacher_weight=0.75, temperature=2.0))
    targets = np.concatenate([labels[:, None], scores], axis=1).astype(np.float32)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loss(targets, logits)), wanted, rtol=1e-5)


def test_a_student_learns_from_its_teacher_alone(sample_data: Data) -> None:
    """Labels that say nothing, and all of the loss the teacher's: the student finds the teacher's classes."""
    candidate = only_candidate(family_space("conv"))
    bright = sample_data.train.images.mean((1, 2, 3))
    truth = (bright > np.median(bright)).astype(np.int64)
    data = Images(sample_data.train.images, truth)
    settings = Training(epochs=3, batch_size=50, augment="none")
    keras.utils.set_random_seed(0)
    teacher_model = build_model(candidate.network, seed=1)
    train(teacher_model, data, settings, TrainingContext(0))
    source = WeightSource("t", weights_bytes(teacher_model), candidate.to_json())
    nonsense = Images(data.images, np.zeros(len(data), np.int64))
    taught = settings.model_copy(update={"teacher": "t", "teacher_weight": 1.0, "class_weight": "balanced"})
    student = build_model(candidate.network, seed=2)
    history = train(
        student, nonsense, taught, TrainingContext(0), teacher=Teacher(source, 10), validation=nonsense.first(100)
    )
    found = student.predict(to_float(sample_data.test.images), verbose=0).argmax(1)
    wanted = teacher_model.predict(to_float(sample_data.test.images), verbose=0).argmax(1)
    assert np.mean(found == wanted) > 0.85
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_a_trial_takes_its_teacher_from_the_run(sample_data: Data, tmp_path: Path) -> None:
    candidate = only_candidate(family_space("conv"))
    settings = Training(epochs=1, teacher="t", batch_size=100, label_smoothing=0.1)
    source = WeightSource("t", weights_bytes(build_model(candidate.network)), candidate.to_json())
    data = dataclasses.replace(sample_data, train=sample_data.train.first(200))
    taught = dataclasses.replace(candidate, training=settings)
    result = run_trial(
        taught, data, TrainingContext(0, sources={"t": source}, checkpoint=tmp_path / "c"), accuracy="int8"
    )
    assert result.accuracy_int8 is not None
    assert len(result.history["accuracy"]) == 1
