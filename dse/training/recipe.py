"""How a candidate is trained, by its settings: from fresh weights or another network's, with a teacher or without.

From other weights it is the recipe of transfer learning in two phases: what is new is trained alone with early
stopping, then all of it with a small learning rate, batch norm as it was. Where nothing is new there is no first phase,
and batch norm learns too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import keras

from dse._util.files import write_atomic
from dse.data.images import Images
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.training.distillation import Teacher
from dse.training.loop import Check, EpochReport, train
from dse.training.model import build_model
from dse.training.sources import WeightSource
from dse.training.sparsity import make_sparse
from dse.training.transfer import Taken, start_from

HEAD_WEIGHTS, HEAD_DONE = "head.weights.h5", "head.json"


def train_candidate(
    candidate: Candidate,
    data: Images,
    validation: Images,
    *,
    seed: int,
    sources: Mapping[str, WeightSource],
    checkpoint: Path | None = None,
    report: EpochReport | None = None,
    check: Check | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """A trained model, and loss and accuracy of the epochs that ran. Raises as `train`.

    `say` hears what it begins with.
    """
    settings = candidate.training
    model = build_model(candidate.network, seed=seed, l2=settings.l2, residual_gamma=settings.residual_gamma)
    teacher = Teacher(sources[settings.teacher], candidate.classes) if settings.teacher else None
    taken = start_from(model, sources[settings.pretrained]) if settings.pretrained else None
    if taken:
        say(_what_is_taken(taken, settings))
    fit = partial(train, model, data, seed=seed, validation=validation, teacher=teacher)
    head_epochs = 0

    def telling(before: int, after: int) -> EpochReport:
        """Tells of a part of the training with the epochs before and after it."""

        def tell(number: int, epochs: int, metrics: dict[str, float]) -> None:
            if report:
                report(before + number, before + epochs + after, metrics)

        return tell

    history: dict[str, list[float]] = {}
    if taken and taken.new and settings.head_epochs:
        _freeze(model, taken.taken)
        fit_head = partial(fit, report=telling(0, settings.epochs), check=check)
        head_epochs, history = _train_head(model, settings, checkpoint, fit_head)
    if taken:
        settings = settings.model_copy(update={"learning_rate": settings.learning_rate * settings.fine_tuning_rate})
        _freeze(model, [name for name in taken.taken if taken.new and _is_batch_norm(model.get_layer(name))])
        if settings.sparsity:
            make_sparse(model, settings.sparsity)

    def in_time(number: int) -> None:
        if check:
            check(head_epochs + number)

    last = fit(settings, checkpoint=checkpoint, report=telling(head_epochs, 0), check=in_time)
    _freeze(model, [])
    return model, {name: history.get(name, []) + values for name, values in last.items()}


def _train_head(
    model: keras.Model, settings: Training, checkpoint: Path | None, fit: Callable[..., dict[str, list[float]]]
) -> tuple[int, dict[str, list[float]]]:
    """Trains what has no weights of another network yet; how many epochs that took, and what they were like.

    Killed, it begins anew, as its early stopping does: it is the smaller part. Once done it is not done again.
    """
    if checkpoint and (checkpoint / HEAD_DONE).is_file():
        model.load_weights(checkpoint / HEAD_WEIGHTS)
        return int(json.loads((checkpoint / HEAD_DONE).read_text(encoding="utf-8"))["epochs"]), {}
    alone = settings.model_copy(update={"epochs": settings.head_epochs, "schedule": "constant"})
    history = fit(alone, patience=settings.head_patience)
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
