"""A candidate: one network with its training, as plain data with a canonical JSON and a stable id.

Everything is written out: width applied, repeats unrolled, ratios turned into channels, values without effect
at their defaults. So two spellings of one network are one candidate, and a candidate needs no space to be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dse.blocks import BLOCKS, Block, divisible
from dse.blocks.base import RatioOrOff
from dse.blocks.bneck import canonical_ratio, squeezed
from dse.errors import DseError, FileError, NetworkError, unread
from dse.network import Activation, Graph, Network, Shape
from dse.strict_yaml import complaint, path_text
from dse.training import Training

ID_LENGTH = 12
MAX_CHARACTERS = 1 << 20  # of a file with a candidate
ModelT = TypeVar("ModelT", bound=BaseModel)


class Head(BaseModel):
    """What follows the stages: an optional 1x1 convolution, global pooling, an optional second one, classes.

    With `classifier: conv` the classes are a 1x1 convolution before the pooling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # By key the convolutions whose output channels it counts, as in blocks.
    channel_layers: ClassVar[Mapping[str, tuple[str, ...]]] = {"channels": ("conv",), "features": ("features",)}

    channels: Annotated[int, Field(ge=0, le=4096)] = 0  # 1x1 convolution before the pooling; 0 for none
    squeeze_excite: RatioOrOff = 0.0  # on that convolution
    squeeze_excite_bias: bool = True
    features: Annotated[int, Field(ge=0, le=8192)] = 0  # 1x1 convolution after the pooling; 0 for none
    activation: Activation = "relu"
    features_norm: Literal["batch_norm", "bias", "none"] = "batch_norm"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    classifier: Literal["dense", "conv"] = "dense"  # conv: a 1x1 convolution with ReLU before the pooling (SqueezeNet)
    pooling: Literal["average", "flatten"] = "average"  # flatten: every value of the map goes to the classes
    scaled: bool = True  # whether the width multiplier applies
    widen_only: Literal["none", "channels", "features"] = "none"  # what a width below 1 leaves as it is

    @model_validator(mode="after")
    def _one_ending(self) -> Self:
        if self.classifier == "conv" and self.features:
            raise ValueError(f"came features {self.features} with classifier 'conv', which ends in the pooling")
        if self.pooling == "flatten" and (self.features or self.classifier == "conv"):
            raise ValueError("came pooling 'flatten', expected it without features and with classifier 'dense'")
        return self

    def at_width(self, width: float, divisor: int) -> Self:
        """This head at a width multiplier."""
        factor = width if self.scaled else 1.0
        plain = {"scaled": True, "widen_only": "none"}
        if factor == 1.0:
            return self.model_copy(update=plain)
        sizes = {
            name: divisible(size * factor, divisor)
            for name in ("channels", "features")
            if (size := getattr(self, name)) and not (name == self.widen_only and factor < 1)
        }
        return self.model_copy(update={**sizes, **plain})

    def canonical(self) -> Self:
        """The same head with values without effect at their defaults."""
        values: dict[str, Any] = {"dropout": float(self.dropout)}
        values["squeeze_excite"] = canonical_ratio(self.channels, self.squeeze_excite)
        if not self.channels:
            values["squeeze_excite"] = 0.0
        if not self.channels or not self.squeeze_excite:
            values["squeeze_excite_bias"] = True
        if not self.features:
            values["features_norm"] = "batch_norm"
        if not self.channels and not self.features:
            values["activation"] = "relu"
        return self.model_copy(update=values)

    def lower(self, graph: Graph, x: str, classes: int) -> str:
        """Writes the head; returns the logits. There is no softmax: the class is the largest logit."""
        if self.channels:
            x = graph.conv(x, "conv", self.channels, activation=self.activation)
            x = graph.squeeze_excite(x, squeezed(self.channels, self.squeeze_excite), self.squeeze_excite_bias)
        if self.classifier == "conv":
            x = graph.conv(graph.dropout(x, self.dropout), "classes", classes, activation="relu", batch_norm=False)
            return graph.global_avg_pool(x, "pool", keep_dims=False)
        if self.pooling == "flatten":
            return graph.dense(graph.dropout(graph.flatten(x, "flatten"), self.dropout), "classes", classes)
        x = graph.global_avg_pool(x, "pool", keep_dims=bool(self.features))
        if self.features:
            norm = self.features_norm
            x = graph.conv(
                x, "features", self.features, activation=self.activation, batch_norm=norm == "batch_norm",
                bias=norm == "bias",
            )  # fmt: skip
            x = graph.flatten(x, "flatten")
        return graph.dense(graph.dropout(x, self.dropout), "classes", classes)


@dataclass(frozen=True)
class Candidate:
    """The chosen values, written out. Made by `Candidate.make`, which brings them into canonical form."""

    input_shape: Shape
    classes: int
    blocks: tuple[Block, ...]
    head: Head
    training: Training

    @classmethod
    def make(
        cls, input_shape: Shape, classes: int, blocks: tuple[Block, ...], head: Head, training: Training
    ) -> Candidate:
        """The canonical candidate. Raises NetworkError when the values describe no network."""
        graph = Graph(input_shape)
        x, canonical = "input", []
        for index, block in enumerate(blocks):
            with graph.at(layer_prefix(index, block)):
                canonical.append(within_limits(block.canonical(graph.shapes[x]), graph.where))
                x = canonical[-1].lower(graph, x)
        head = within_limits(head.canonical(), "head")
        candidate = cls(input_shape, classes, tuple(canonical), head, training)
        with graph.at("head"):
            head.lower(graph, x, classes)
        candidate.__dict__["network"] = graph.network()  # it has just been written: fills the cached property
        return candidate

    @cached_property
    def network(self) -> Network:
        """The layers."""
        return Candidate.make(self.input_shape, self.classes, self.blocks, self.head, self.training).network

    def to_dict(self) -> dict[str, Any]:
        """Plain data. A block's and the head's values at their defaults are left out, so that a new key does not change
        old ids; training settings are all written out."""
        return {
            "input": list(self.input_shape),
            "classes": self.classes,
            "blocks": [{"block": b.kind} | b.model_dump(exclude_defaults=True) for b in self.blocks],
            "head": self.head.model_dump(exclude_defaults=True),
            "training": self.training.to_dict(),
        }

    @property
    def architecture(self) -> str:
        """The canonical JSON without the training: equal for two candidates that are one network."""
        return json.dumps(self.to_dict() | {"training": None}, sort_keys=True)

    def to_json(self) -> str:
        """The canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:ID_LENGTH]

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """The candidate in `text`. Raises DseError when it is none."""
        try:
            return cls.from_dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise DseError(f"not a candidate: {error}") from None

    @classmethod
    def from_dict(cls, data: Any) -> Candidate:
        """The candidate in plain data. Raises DseError when it is none."""
        known = {"input", "classes", "blocks", "head", "training"}
        if not isinstance(data, dict) or set(data) != known or not isinstance(data["blocks"], list):
            raise DseError(f"not a candidate: expected an object with the keys {', '.join(sorted(known))}")
        shape, classes = data["input"], data["classes"]
        if not (
            isinstance(shape, list)
            and len(shape) == 3
            and all(type(v) is int and 1 <= v <= 4096 for v in [*shape, classes])
        ):
            raise DseError("not a candidate: 'input' is [height, width, channels] and 'classes' a number")
        blocks = []
        for index, entry in enumerate(data["blocks"]):
            values = dict(entry) if isinstance(entry, dict) else {}
            kind = values.pop("block", None)
            if not isinstance(kind, str) or kind not in BLOCKS:
                raise DseError(f"not a candidate: blocks[{index}]: unknown block {kind!r}")
            blocks.append(_checked(BLOCKS[kind], values, f"blocks[{index}]"))
        head = _checked(Head, data["head"], "head")
        training = _checked(Training, data["training"], "training")
        return cls.make((shape[0], shape[1], shape[2]), classes, tuple(blocks), head, training)


def load_candidate(path: Path) -> Candidate:
    """The candidate in a JSON file. Raises FileError."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS)
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(str(path), None, "", unread(error)) from None
    try:
        return Candidate.from_json(text)
    except DseError as error:
        raise FileError(str(path), None, "", str(error)) from None


def layer_prefix(index: int, block: Block) -> str:
    """What the layer names of a block begin with."""
    return f"b{index}_{block.kind}"


def block_index(error: NetworkError) -> int | None:
    """The index of the block that an error of `Candidate.make` points at; None for the head."""
    place = error.where.split("_")[0]
    return int(place[1:]) if place[:1] == "b" and place[1:].isdigit() else None


def within_limits(model: ModelT, where: str) -> ModelT:
    """The same values, when a candidate may hold them: width and expansion can lead beyond. Raises NetworkError."""
    try:
        return type(model).model_validate(model.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        raise NetworkError(where, f"{path_text(first['loc'])}: {complaint(type(model), first)}") from None


def _checked(model: type[ModelT], values: Any, where: str) -> ModelT:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = path_text((where, *first["loc"]))
        raise DseError(f"not a candidate: {place}: {complaint(model, first)}") from None
