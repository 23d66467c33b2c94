"""How a candidate is trained, by its settings: from fresh weights or another network's, with a teacher or without.

From other weights it is the recipe of transfer learning in two phases: what is new is trained alone with early
stopping, then all of it with a small learning rate, batch norm as it was. Where nothing is new there is no first phase,
and batch norm learns too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import keras

from dse._util.files import write_atomic
from dse.data.images import Images
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.training.arithmetic import arithmetic, builder_of
from dse.training.context import TrainingContext
from dse.training.distillation import Teacher
from dse.training.loop import train
from dse.training.model import build_model
from dse.training.sparsity import make_sparse
from dse.training.transfer import Taken, start_from
from dse.training.weights import put_weights

HEAD_WEIGHTS, HEAD_DONE = "head.weights.h5", "head.json"


def train_candidate(
    candidate: Candidate,
    data: Images,
    validation: Images,
    context: TrainingContext,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """A trained model, and loss and accuracy of the epochs that ran. Raises as `train`."""
    settings = candidate.training
    model = build_model(
        candidate.network,
        seed=context.seed,
        l2=settings.l2,
        residual_gamma=settings.residual_gamma,
        builder=builder_of(arithmetic(context.arithmetic, settings)),
    )
    if context.weights:
        put_weights(model, context.weights)
    teacher = Teacher(context.sources[settings.teacher], candidate.classes) if settings.teacher else None
    taken = start_from(model, context.sources[settings.pretrained]) if settings.pretrained else None
    if taken:
        context.note(_what_is_taken(taken, settings))
    fit = partial(train, model, data, validation=validation, teacher=teacher)
    head_epochs, history = 0, dict[str, list[float]]()
    if taken and taken.new and settings.head_epochs:
        _freeze(model, taken.taken)
        head_epochs, history = _train_head(model, settings, context, fit)
    if taken:
        settings = settings.model_copy(update={"learning_rate": settings.learning_rate * settings.fine_tuning_rate})
        _freeze(model, [name for name in taken.taken if taken.new and _is_batch_norm(model.get_layer(name))])
        if settings.sparsity:
            make_sparse(model, settings.sparsity)

    last = fit(training=settings, context=context.phase(before=head_epochs))
    _freeze(model, [])
    return model, {name: history.get(name, []) + values for name, values in last.items()}


def _train_head(
    model: keras.Model, settings: Training, context: TrainingContext, fit: Callable[..., dict[str, list[float]]]
) -> tuple[int, dict[str, list[float]]]:
    """Train what has no weights of another network yet; how many epochs that took, and what they were like.

    Killed, it begins anew, as its early stopping does: it is the smaller part. Once done it is not done again.
    """
    checkpoint = context.checkpoint
    if checkpoint and (checkpoint / HEAD_DONE).is_file():
        model.load_weights(checkpoint / HEAD_WEIGHTS)
        return int(json.loads((checkpoint / HEAD_DONE).read_text(encoding="utf-8"))["epochs"]), {}
    alone = settings.model_copy(update={"epochs": settings.head_epochs, "schedule": "constant"})
    phase = context.phase(after=settings.epochs, resumes=False)
    history = fit(training=alone, context=phase, patience=settings.head_patience)
    epochs = len(history["loss"])
    if checkpoint:
        checkpoint.mkdir(parents=True, exist_ok=True)
        model.save_weights(checkpoint / HEAD_WEIGHTS)
        write_atomic(checkpoint / HEAD_DONE, json.dumps({"epochs": epochs}))
    return epochs, history


def _what_is_taken(taken: Taken, settings: Training) -> str:
    """As a sentence."""
    count = len(taken.taken) + len(taken.new)
    text = f"weights of {len(taken.taken)} of {count} layers are from {settings.pretrained}"
    if not (taken.new and settings.head_epochs):
        return text
    others = ", ".join(taken.new[:3]) + (f" and {len(taken.new) - 3} more" if len(taken.new) > 3 else "")
    return f"{text}; the others ({others}) are trained alone first, for at most {settings.head_epochs} epochs"


def _freeze(model: keras.Model, names: list[str]) -> None:
    """Leaves these layers as they are, and no other."""
    for layer in model.layers:
        layer.trainable = layer.name not in names


def _is_batch_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
