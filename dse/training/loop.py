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
from dse.training.arithmetic import arithmetic
from dse.training.augmentation import augment, mirrored_in_turn
from dse.training.context import TrainingContext
from dse.training.distillation import Teacher, accuracy, distilled
from dse.training.optimizers import make_optimizer


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
        how = self.training.augment
        mirrored = mirrored_in_turn(chosen, self.seed, self.epoch) if how.startswith("alternate") else None
        images = augment(self.data.images[chosen], how, rng, mirrored)
        labels = self.data.labels[chosen]
        targets = self.teacher.targets(images, labels) if self.teacher else labels
        batch = to_float(images), targets
        return batch if self.weights is None else (*batch, self.weights[labels])


def class_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for every class, (classes,) float32: all classes together weigh the same, images 1 in the mean."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)


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
    compile_model(model, batches, fast=arithmetic(context.arithmetic) != "plain")
    watch = _Watch(batches, context)
    callbacks: list[Any] = [watch]
    if training.ema:
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
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


def compile_model(model: keras.Model, batches: Batches, *, fast: bool) -> None:
    """Compile `model` for training on these batches, with the fast optimizers or Keras' own."""
    training, teacher = batches.training, batches.teacher
    loss = _loss(training, model.output_shape[-1])
    model.compile(
        optimizer=make_optimizer(training, training.epochs * len(batches), fast=fast),
        loss=distilled(loss, training) if teacher else loss,
        metrics=[accuracy if teacher else "accuracy"],
        jit_compile=False,  # on a CPU, XLA takes longer to compile these networks than it saves
    )
    # Made within the first step, the variables of optimizer and metrics cost more than all the rest of its tracing, and
    # a second tracing of it.
    model.optimizer.build(model.trainable_variables)
    target = keras.ops.convert_to_tensor(batches[0][1][:1])
    logits = keras.ops.zeros((1, model.output_shape[-1]))
    model.compute_metrics(None, target, logits)
    model.compute_loss(None, target, logits)
    model.reset_metrics()


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
