"""Trains a model on a split: augmentation in NumPy, so that every Keras backend sees the same images.

Checkpoints after every epoch, so that a killed training goes on where it was. A loss that is no longer a number
ends the training with its reason.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dse.data.images import Images, to_float
from dse.errors import TornCheckpointError, TrialError
from dse.network.training import Training
from dse.training.context import TrainingContext
from dse.training.distillation import Teacher, accuracy, distilled

CROP_PADDING = 4  # pixels at 32x32 (He et al. 2016, section 4.2), in proportion at other sizes


class Batches(keras.utils.PyDataset):
    """Augmented batches in an order that depends on the seed and the epoch alone."""

    def __init__(self, data: Images, training: Training, seed: int, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.data, self.training, self.seed, self.teacher = data, training, seed, teacher
        self.weights = class_weights(data.labels) if training.class_weight == "balanced" else None
        self.start(0)

    def start(self, epoch: int) -> None:
        """Puts the images in the order of an epoch."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    def __len__(self) -> int:
        return -(-len(self.data) // self.training.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Images, class numbers or a teacher's targets, and the weight of each image where classes have one."""
        size = self.training.batch_size
        chosen = self.order[index * size : (index + 1) * size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        images = augment(self.data.images[chosen], self.training.augment, rng)
        labels = self.data.labels[chosen]
        targets = self.teacher.targets(images, labels) if self.teacher else labels
        batch = to_float(images), targets
        return batch if self.weights is None else (*batch, self.weights[labels])


def class_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for every class, (classes,) float32: all classes together weigh the same, images 1 in the mean."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)


def augment(images: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    """Images mirrored with probability 1/2 (`flip`) and moved by up to an eighth (`flip_crop`)."""
    if how == "none":
        return images
    count, height, width, _ = images.shape
    mirrored = np.asarray(rng.random(count) < 0.5)[:, None, None, None]
    flipped = np.where(mirrored, images[:, :, ::-1], images)
    if how == "flip":
        return flipped
    pad = max(1, CROP_PADDING * height // 32)
    padded = np.pad(flipped, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows = rng.integers(0, 2 * pad + 1, count)[:, None] + np.arange(height)
    columns = rng.integers(0, 2 * pad + 1, count)[:, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def make_optimizer(training: Training, steps: int) -> Any:
    """The optimizer of these settings for a training of `steps` steps."""
    rate: Any = training.learning_rate
    match training.schedule:
        case "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        case "step":
            ends = [max(1, steps // 2), max(2, steps * 3 // 4)]
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, [rate, rate / 10, rate / 100])
    match training.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate)
        case "adamw":
            return keras.optimizers.AdamW(rate)
        case "nadam":
            return keras.optimizers.Nadam(rate)
        case "sgd":
            return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)


class _Watch(keras.callbacks.Callback):
    """Tells the batches which epoch it is, reports it when it ends, stops at a loss that is not a number."""

    def __init__(self, batches: Batches, context: TrainingContext) -> None:
        super().__init__()
        self.batches, self.context = batches, context
        self.broken: int | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.batches.start(epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if logs and not np.isfinite(logs.get("loss", 0.0)):
            self.broken = batch
            self.model.stop_training = True
        else:
            self.context.check_time(self.batches.epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.broken is None:
            metrics = {key: float(value) for key, value in (logs or {}).items()}
            self.context.epoch_ended(epoch + 1, self.params["epochs"], metrics)


def train(
    model: keras.Model,
    data: Images,
    training: Training,
    context: TrainingContext,
    *,
    validation: Images | None = None,
    teacher: Teacher | None = None,
    patience: int | None = None,
) -> dict[str, list[float]]:
    """Train `model` in place; loss and accuracy of the epochs that it ran, by name.

    With `patience` it ends when the validation loss has not become less for so many epochs, and the weights are those
    of the least. A training that was killed resumes after the last epoch in the context's checkpoint.

    Raises TrialError when the loss is no longer a number or the time is over, TornCheckpointError when the checkpoint
    cannot be read.
    """
    keras.utils.set_random_seed(context.seed)
    batches = Batches(data, training, context.seed, teacher)
    loss = _loss(training, model.output_shape[-1])
    model.compile(
        optimizer=make_optimizer(training, training.epochs * len(batches)),
        loss=distilled(loss, training) if teacher else loss,
        metrics=[accuracy if teacher else "accuracy"],
        jit_compile=False,  # on a CPU, XLA takes longer to compile these networks than it saves
    )
    watch = _Watch(batches, context)
    callbacks: list[Any] = [watch]
    if checkpoint := context.checkpoint:
        checkpoint.mkdir(parents=True, exist_ok=True)
        # Kept until the trial is recorded: a kill after the last epoch must not cost all of them.
        callbacks.append(_Checkpoint(str(checkpoint), delete_checkpoint=False))
    if patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True))
    held_out = None
    if validation:
        targets = teacher.targets(validation.images, validation.labels) if teacher else validation.labels
        held_out = to_float(validation.images), targets
    history = model.fit(
        batches,
        epochs=training.epochs,
        validation_data=held_out,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    if watch.broken is not None:
        raise TrialError(
            f"the loss became {history.history['loss'][-1]} in epoch {batches.epoch + 1}, batch {watch.broken + 1}"
            f" (learning rate {training.learning_rate:g})"
        )
    return {name: [float(v) for v in values] for name, values in history.history.items()}


class _Checkpoint(keras.callbacks.BackupAndRestore):
    """Keras' own backup, which says so when what it finds was cut off while it was written."""

    def on_train_begin(self, logs: Any = None) -> None:
        try:
            super().on_train_begin(logs)
        except (OSError, ValueError, KeyError) as error:
            raise TornCheckpointError(f"torn checkpoint: {error}") from None


def _loss(training: Training, classes: int) -> Any:
    """The loss on class numbers, one value for each image."""

    def loss(labels: Any, logits: Any) -> Any:
        if not training.label_smoothing:
            return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        hot = keras.ops.one_hot(keras.ops.cast(labels, "int32"), classes)
        return keras.losses.categorical_crossentropy(
            hot, logits, from_logits=True, label_smoothing=training.label_smoothing
        )

    return loss
