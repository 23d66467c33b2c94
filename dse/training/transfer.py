"""Weights of a trained network into another one: layer by layer, as far as the two are alike.

A network of dse has the same names for the same layers, so those of equal name and shape are taken. Any other model is
followed from its first layer with weights on, as long as kinds and shapes agree: of the MobileNets of
keras.applications that is all but the classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import keras

from dse._util.files import locked
from dse._util.quiet import quiet_native
from dse.data.datasets import data_home
from dse.errors import DseError, TrialError
from dse.network.candidate import Candidate
from dse.training.keras_file import load_keras
from dse.training.sources import IMAGENET, WEIGHTS, WeightSource
from dse.training.weights import load_weights

WEIGHTED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
    keras.layers.BatchNormalization,
)
# The networks of keras.applications that the grammar has too, by the width multipliers and sizes that were trained.
IMAGENET_NETWORKS = {
    keras.applications.MobileNetV2: ((0.35, 0.5, 0.75, 1.0), (96, 128, 160, 192, 224)),
    keras.applications.MobileNet: ((0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224)),
}


@dataclass(frozen=True)
class Taken:
    """The layers of a model that have their weights from another one, and those that have not, by name."""

    taken: list[str]
    new: list[str]


def model_of(source: WeightSource) -> keras.Model:
    """The model of a source, but of `imagenet`. Raises TrialError."""
    with tempfile.TemporaryDirectory(prefix="dse-weights-") as folder:
        path = Path(folder) / (WEIGHTS if source.candidate else "model.keras")
        path.write_bytes(source.content)
        try:
            if source.candidate:
                return load_weights(Candidate.from_json(source.candidate), path)
            return load_keras(path)
        except DseError as error:
            raise TrialError(f"{source.name}: {str(error).removeprefix(f'{path}: ')}") from None


def start_from(model: keras.Model, source: WeightSource) -> Taken:
    """Puts the weights of a source into `model` as far as they fit. Raises TrialError when none do."""
    if source.name == IMAGENET and not source.content:
        return _start_from_imagenet(model)
    return take_weights(model, model_of(source), source.name)


def take_weights(model: keras.Model, source: keras.Model, name: str) -> Taken:
    """The same with a model; `name` is for messages."""
    own, others = list(_weighted(model)), list(_weighted(source))
    by_name = {layer.name: layer for layer in others}
    pairs = [(layer, by_name[layer.name]) for layer in own if _alike(layer, by_name.get(layer.name))]
    # Statistics of batch norm are those of the convolution before it, and mean nothing behind another one.
    same = {layer.name for layer, _ in pairs}
    pairs = [pair for pair in pairs if not pair[0].name.endswith("_bn") or pair[0].name.removesuffix("_bn") in same]
    pairs = pairs or list(takewhile(lambda pair: _alike(*pair), zip(own, others, strict=False)))
    if not pairs:
        first = f"its first layer is {_text(others[0])}, here it is {_text(own[0])}" if others else "it has none"
        raise TrialError(f"{name}: none of its weights fit: {first}")
    for layer, other in pairs:
        layer.set_weights(other.get_weights())
    taken = [layer.name for layer, _ in pairs]
    return Taken(taken, [layer.name for layer in own if layer.name not in taken])


def _start_from_imagenet(model: keras.Model) -> Taken:
    """The weights of the network of keras.applications that `model` begins as, downloaded if need be."""
    size, _, channels = model.inputs[0].shape[1:]
    own = list(_weighted(model))
    for build, (widths, sizes) in IMAGENET_NETWORKS.items():
        for width in widths:
            settings = {"input_shape": (size, size, channels), "alpha": width, "include_top": False, "weights": None}
            if channels == 3 and _begins_as(own, build(**settings)):
                nearest = min(sizes, key=lambda one: abs(one - size))
                settings |= {"weights": IMAGENET, "input_shape": (nearest, nearest, channels)}
                try:
                    # Keras writes a download straight to its place, where another worker would find it half done.
                    with locked(data_home(), wait=True), quiet_native():
                        source = build(**settings)
                except Exception as error:  # Keras raises many kinds: for a failed download, for a file cut short
                    raise TrialError(
                        f"{IMAGENET}: the weights of {build.__name__} at width {width:g} cannot be had: {error} (Keras "
                        "keeps them in ~/.keras/models; a file there that was cut short must be removed)"
                    ) from None
                taken = take_weights(model, source, IMAGENET)
                to_unit_range(own[0], own[1])
                return taken
    known = ", ".join(f"{build.__name__} at widths {widths}" for build, (widths, _) in IMAGENET_NETWORKS.items())
    raise TrialError(f"{IMAGENET}: there are weights of {known}, for colour images; this network is none of them")


def _begins_as(own: list[Any], source: keras.Model) -> bool:
    others = list(_weighted(source))
    return len(others) <= len(own) and all(_alike(*pair) for pair in zip(own, others, strict=False))


def to_unit_range(convolution: Any, batch_norm: Any) -> None:
    """Makes a first layer for images in [-1, 1] one for images in [0, 1].

    With W on 2x - 1 a convolution gives what 2W gives on x, less the sum of W, which goes into the mean that batch norm
    takes off. Where the kernel reaches over the edge it differs: zeros there are black now and were grey.
    """
    (kernel,), (gamma, beta, mean, variance) = convolution.get_weights(), batch_norm.get_weights()
    convolution.set_weights([2 * kernel])
    batch_norm.set_weights([gamma, beta, mean + kernel.sum((0, 1, 2)), variance])


def _weighted(model: keras.Model) -> Iterator[Any]:
    """The layers that have weights, in the order in which they run; those of a model inside the model too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _weighted(layer)
        elif isinstance(layer, WEIGHTED):
            yield layer


def _alike(layer: Any, other: Any) -> bool:
    return (
        other is not None
        and next(kind for kind in WEIGHTED if isinstance(layer, kind))
        is next(kind for kind in WEIGHTED if isinstance(other, kind))
        and [weight.shape for weight in layer.weights] == [weight.shape for weight in other.weights]
    )


def _text(layer: Any) -> str:
    return f"{layer.name} with weights of {', '.join(str(tuple(weight.shape)) for weight in layer.weights)}"
