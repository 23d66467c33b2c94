"""What the candidates of a space are made of: image, width, stages, head and training, any value of which may be open.

Each part has its nodes in the tree of open values (`conditions`), and builds what it describes from the values of a
walk through them. A space has one body, or a choice of several under `backbone`, each with its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from dse._util.strict_yaml import Path_, complaint, path_text
from dse.errors import NetworkError
from dse.network.blocks import Block
from dse.network.candidate import Candidate, block_index
from dse.network.head import Head
from dse.network.layers import Shape
from dse.network.training import Training
from dse.space.conditions import Assignment, Fixed, Leaf, Node, Open

COLORS = {"rgb": 3, "grey": 1}  # channels of the image
ModelT = TypeVar("ModelT", bound=BaseModel)


def open_of(leaves: Iterable[Leaf]) -> tuple[Open, ...]:
    """Those that are open."""
    return tuple(leaf for leaf in leaves if isinstance(leaf, Open))


@dataclass(frozen=True)
class Settings(Generic[ModelT]):
    """The values of one model, which must go together: a rule of the tree."""

    path: Path_
    model: type[ModelT]
    leaves: Mapping[str, Leaf]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Its open values, and itself behind them."""
        found = open_of(self.leaves.values())
        return (*found, self) if found else ()

    def check(self, values: Assignment) -> None:
        """Raises NetworkError when the values describe no such model."""
        self.build(values)

    def values(self, values: Assignment) -> dict[str, Any]:
        """The values by their keys."""
        return {key: leaf.of(values) for key, leaf in self.leaves.items()}

    def build(self, values: Assignment) -> ModelT:
        """The model. Raises NetworkError."""
        try:
            return self.model.model_validate(self.values(values))
        except ValidationError as error:
            raise NetworkError(path_text(self.path), complaint(self.model, error.errors()[0])) from None


@dataclass(frozen=True)
class Stage:
    """Blocks of one family, which may be a choice of several."""

    path: Path_
    block: Leaf  # the name of the family
    repeats: Leaf
    scaled: Leaf
    families: Mapping[str, Settings[Block]]
    nodes: Sequence[Node]

    def build(self, values: Assignment, width: float, divisor: int) -> tuple[Block, ...]:
        """Its blocks, before they know their input. Raises NetworkError."""
        block = self.families[self.block.of(values)].build(values)
        if scaled := self.scaled.of(values):
            block = block.scaled(width, divisor, None if scaled is True else scaled)
        repeats = self.repeats.of(values)
        return (block, *[block.replaced(stride=1)] * (repeats - 1)) if repeats else ()


@dataclass(frozen=True)
class Body:
    """A network without its image and its training."""

    width: Leaf
    divisor: int
    stages: Sequence[Stage]  # the stem is the first, where there is one
    head: Settings[Head]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What it leaves open."""
        stages = chain.from_iterable(stage.nodes for stage in self.stages)
        return (*open_of([self.width]), *stages, *self.head.nodes)

    def build_head(self, values: Assignment, width: float) -> Head:
        """What follows the stages, before it knows its input. Raises NetworkError."""
        return self.head.build(values).at_width(width, self.divisor)


@dataclass(frozen=True)
class Template:
    """The parts of a space."""

    resolution: Leaf  # None where the task gives it, and so for the colour
    color: Leaf
    backbone: Leaf  # the name of the body; empty for the only one
    bodies: Mapping[str, Body]
    training: Mapping[str, Leaf]

    @cached_property
    def image_nodes(self) -> tuple[Open, ...]:
        """What the image leaves open."""
        return open_of([self.resolution, self.color])

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The tree of all that is open."""
        below = {name: body.nodes for name, body in self.bodies.items()}
        chosen = [Open(self.backbone.path, self.backbone.domain, below)] if isinstance(self.backbone, Open) else []
        network = chosen or below[self.backbone.of({})]
        return (*self.image_nodes, *network, *open_of(self.training.values()))

    def image(self, values: Assignment, given: Shape) -> Shape:
        """The input of a candidate, in a task that gives images of one shape."""
        height, width, channels = given
        if size := self.resolution.of(values):
            height = width = size
        color = self.color.of(values)
        return height, width, COLORS[color] if color else channels

    def build(self, values: Assignment, given: Shape, classes: int, recipe: Training) -> Candidate:
        """The candidate of the values of a walk through the nodes. Raises NetworkError when it is none."""
        body = self.bodies[self.backbone.of(values)]
        width = float(body.width.of(values))
        blocks: list[Block] = []
        places: list[Path_] = []
        for stage in body.stages:
            built = stage.build(values, width, body.divisor)
            blocks += built
            places += [stage.path] * len(built)
        head = body.build_head(values, width)
        settings = {key: leaf.of(values) for key, leaf in self.training.items()}
        try:
            training = recipe.with_settings(settings)
        except ValidationError as error:
            raise NetworkError("training", complaint(Training, error.errors()[0])) from None
        try:
            return Candidate.make(self.image(values, given), classes, tuple(blocks), head, training)
        except NetworkError as error:
            index = block_index(error)
            place = places[index] if index is not None else body.head.path
            raise NetworkError(path_text(place), error.problem) from None


ABSENT = Fixed(None)  # where the task says what the file does not
