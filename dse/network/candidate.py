"""A candidate: one network with its training, as plain data with a canonical JSON and a stable id.

Everything is written out: width applied, repeats unrolled, ratios turned into channels, values without effect
at their defaults. So two spellings of one network are one candidate, and a candidate needs no space to be read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dse._util.strict_yaml import complaint, path_text
from dse.errors import DseError, FileError, NetworkError, unread
from dse.network.blocks import BLOCKS, Block
from dse.network.builder import NetworkBuilder
from dse.network.head import Head
from dse.network.layers import Network, Shape
from dse.network.training import Training

ID_LENGTH = 12
MAX_CHARACTERS = 1 << 20  # of a file with a candidate
ModelT = TypeVar("ModelT", bound=BaseModel)


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
        builder = NetworkBuilder(input_shape)
        x, canonical = "input", list[Block]()
        for index, block in enumerate(blocks):
            if block.does_nothing(builder.shapes[x]):
                continue
            try:
                with builder.at(layer_prefix(len(canonical), block)):
                    canonical.append(within_limits(block.canonical(builder.shapes[x]), builder.where))
                    x = canonical[-1].lower(builder, x)
            except NetworkError as error:  # where it stands among those that were given
                raise NetworkError(layer_prefix(index, block), error.problem) from None
        head = within_limits(head.canonical(), "head")
        candidate = cls(input_shape, classes, tuple(canonical), head, training)
        with builder.at("head"):
            head.lower(builder, x, classes)
        candidate.__dict__["network"] = builder.network()  # it has just been written: fills the cached property
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
        """See `id_of`."""
        return id_of(self.to_json())

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


def id_of(canonical_json: str) -> str:
    """The id of a candidate: twelve hexadecimal digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical_json.encode()).hexdigest()[:ID_LENGTH]


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
