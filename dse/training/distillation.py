"""A teacher: a trained network whose scores a smaller one learns to give (Hinton, Vinyals, Dean 2015).

The loss is a share of the cross-entropy between both networks' softened scores, times the temperature squared, and the
rest of the ordinary one. The teacher sees the same augmented images as its student (Beyer et al. 2022).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dse.data.images import Images, as_input, to_float
from dse.errors import TrialError
from dse.network.training import Training
from dse.training.sources import WeightSource
from dse.training.transfer import model_of

BATCH = 256
PROBES = 8


class Teacher:
    """Gives the scores of a trained network for uint8 images of its student."""

    def __init__(self, source: WeightSource, classes: int) -> None:
        self.model, self.name = model_of(source), source.name
        self.shape = tuple(self.model.inputs[0].shape[1:])
        ranks = len(self.shape), len(self.model.outputs[0].shape)
        if ranks != (3, 2):
            raise TrialError(f"teacher {source.name}: expected a model from images to one score per class")
        found = self.model.outputs[0].shape[-1]
        if found != classes:
            raise TrialError(f"teacher {source.name}: it knows {found} classes, this task has {classes}")
        # A model that ends in a softmax gives probabilities, whose logarithms are as good as the scores. What comes out
        # tells which: a softmax may stand in many places.
        noise = np.random.default_rng(0).random((PROBES, *self.shape)).astype(np.float32)
        probe = keras.ops.convert_to_numpy(self.model(noise, training=False))
        self.softmax = bool(np.all(probe >= 0) and np.allclose(probe.sum(1), 1, atol=1e-3))

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Logits, (count, classes) float32, of uint8 images (count, height, width, channels)."""
        fitting = as_input(Images(images, np.zeros(len(images), np.int64)), self.shape).images
        if fitting.shape[1:] != self.shape:
            raise TrialError(f"teacher {self.name}: it takes images of {self.shape}, these are {fitting.shape[1:]}")
        parts = [
            keras.ops.convert_to_numpy(self.model(to_float(fitting[start : start + BATCH]), training=False))
            for start in range(0, len(fitting), BATCH)
        ]
        found = np.concatenate(parts)
        return np.log(np.maximum(found, 1e-9)) if self.softmax else found

    def targets(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What a student is trained on: its class and the teacher's logits, (count, 1 + classes) float32."""
        return np.concatenate([labels[:, None].astype(np.float32), self.scores(images)], axis=1)


def distilled(labels_loss: Any, training: Training) -> Any:
    """The loss of a student on `Teacher.targets`; `labels_loss` is that on class numbers."""
    weight, temperature = training.teacher_weight, training.temperature

    def loss(targets: Any, logits: Any) -> Any:
        soft = keras.ops.softmax(targets[:, 1:] / temperature)
        student = keras.ops.log_softmax(logits / temperature)
        from_teacher = -keras.ops.sum(soft * student, axis=-1) * temperature**2
        return weight * from_teacher + (1 - weight) * labels_loss(targets[:, 0], logits)

    return loss


def accuracy(targets: Any, logits: Any) -> Any:
    """The share of right classes on `Teacher.targets`, as Keras reports it."""
    return keras.metrics.sparse_categorical_accuracy(targets[:, 0], logits)
