"""Trains a model on a split.

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
from dse.training.batches import Batches
from dse.training.context import TrainingContext
from dse.training.distillation import Teacher, accuracy, distilled
from dse.training.names import Arithmetic
from dse.training.optimizers import make_optimizer

VALIDATION_BATCH = 250  # images at a time, without gradients


class _Watch(keras.callbacks.Callback):
    """Tells the batches which epoch it is, reports it when it ends, stops at a loss that is not a number."""

    def __init__(self, batches: Batches, context: TrainingContext) -> None:
        super().__init__()
        self.batches, self.context = batches, context
        self.broken: int | None = None
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch = epoch
        self.batches.start(self.context.epochs_earlier + epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if logs and not np.isfinite(logs.get("loss", 0.0)):
            self.broken = batch
            self.model.stop_training = True
        else:
            self.context.check_time(self.epoch)

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
    chosen = arithmetic(context.arithmetic, training)
    batches = make_batches(chosen, data, training, context.seed, teacher)
    compile_model(model, batches, chosen)
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
        validation_batch_size=VALIDATION_BATCH,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    if watch.broken is not None:
        batch = (watch.broken + 1) * (batches.steps // len(batches))
        raise TrialError(
            f"the loss became {history.history['loss'][-1]} in epoch {batches.epoch + 1}, batch {batch}"
            f" (learning rate {training.learning_rate:g})"
        )
    return {name: [float(v) for v in values] for name, values in history.history.items()}


def make_batches(
    chosen: Arithmetic, data: Images, training: Training, seed: int, teacher: Teacher | None = None
) -> Batches:
    """The batches for a model that was built for this arithmetic."""
    if chosen == "plain" or keras.backend.backend() != "jax":
        return Batches(data, training, seed, teacher)
    from dse.training.device.chunks import Chunks

    return Chunks(data, training, seed)


def compile_model(model: keras.Model, batches: Batches, chosen: Arithmetic) -> None:
    """Compile `model` for training on these batches, with the optimizers of this arithmetic."""
    backend = keras.backend.backend()
    training, teacher = batches.training, batches.teacher
    loss = _loss(training, model.output_shape[-1])
    model.compile(
        optimizer=make_optimizer(
            training, training.epochs * batches.steps, fast=chosen != "plain" and backend == "tensorflow"
        ),
        loss=distilled(loss, training) if teacher else loss,
        metrics=[accuracy if teacher else "accuracy"],
        # On a CPU, XLA takes longer to compile these networks than it saves; JAX has nothing else.
        jit_compile=backend == "jax",
    )
    # Made within the first step, the variables of optimizer and metrics cost more than all the rest of its tracing, and
    # a second tracing of it.
    model.optimizer.build(model.trainable_variables)
    target = keras.ops.convert_to_tensor(batches.one_target())
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
