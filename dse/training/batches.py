"""The batches of a training: which images come when, and changed in what way, depends on seed and epoch alone."""

from __future__ import annotations

import keras
import numpy as np

from dse.data.images import Images, to_float
from dse.network.training import Training
from dse.training.augmentation import Changes, augment, draw, mirrored_in_turn
from dse.training.distillation import Teacher


class Batches(keras.utils.PyDataset):
    """Augmented batches as Keras takes them."""

    def __init__(self, data: Images, training: Training, seed: int, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.data, self.training, self.seed, self.teacher = data, training, seed, teacher
        self.weights = class_weights(data.labels) if training.class_weight == "balanced" else None
        self.start(0)

    def start(self, epoch: int) -> None:
        """Puts the images in the order of an epoch."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.data) // self.training.batch_size)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Images, class numbers or a teacher's targets, and the weight of each image where classes have one."""
        size = self.training.batch_size
        chosen = self.order[index * size : (index + 1) * size]
        images = augment(self.data.images[chosen], self.changes(index, chosen))
        labels = self.data.labels[chosen]
        targets = self.teacher.targets(images, labels) if self.teacher else labels
        batch = to_float(images), targets
        return batch if self.weights is None else (*batch, self.weights[labels])

    def changes(self, index: int, chosen: np.ndarray) -> Changes:
        """What is done to the images of a batch."""
        how = self.training.augment
        rng = np.random.default_rng((self.seed, self.epoch, index))
        mirrored = mirrored_in_turn(chosen, self.seed, self.epoch) if how.startswith("alternate") else None
        height, width = self.data.images.shape[1:3]
        return draw(how, len(chosen), (height, width), rng, mirrored)

    def one_target(self) -> np.ndarray:
        """What one image is to come to, (1, ...)."""
        images, labels = self.data.images[:1], self.data.labels[:1]
        return self.teacher.targets(images, labels) if self.teacher else labels


def class_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for every class, (classes,) float32: all classes together weigh the same, images 1 in the mean."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)
