"""A search space: a YAML file in which any value may be fixed or left open.

    width: {choice: [0.35, 0.5, 1.0]}
    stem: {block: conv, channels: 16, stride: 2}
    stages:
      - block: bneck                     # one family, its values beside it
        channels: {int: [16, 32], step: 8}
        repeats: {int: [1, 3]}
        expansion: {choice: [3, 6]}
      - block:                           # a choice of families, each with its own values
          choice:
            - fire: {bypass: {choice: [none, simple]}}
            - shuffle: {groups: {choice: [2, 4]}}
        channels: 48                     # beside the choice: values that all of them know
    head: {channels: 96}
    training: {learning_rate: {log: [1e-3, 1e-2]}}

Instead of width, stem, stages and head there may be a choice of whole networks, each with its own:

    backbone:
      choice:
        - mobilenet_v2: {width: {choice: [0.35, 0.5]}, stem: ..., stages: ..., head: ...}
        - cnn: {stages: ...}

The file is compiled once. What is open is a tree (`conditions`): values of families that were not chosen are never
given. `Space.choose` walks through it with a function that gives a value for every open one on the way (recorded ones,
random ones, the first ones, those of an Optuna trial) and builds the candidate.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import Document, Mistakes, Path_, load, parse, path_text, show
from dse.errors import FileError, ImpossibleError, NetworkError
from dse.network.candidate import Candidate
from dse.network.layers import Shape
from dse.network.training import NEEDS, Training
from dse.space.compile import BODY_KEYS, Compiler
from dse.space.conditions import Assignment, Chooser, Fixed, Random, Recorded, Value, assignments, size, walk
from dse.space.edit import edited
from dse.space.template import COLORS

SPACE_KEYS = ("space", "about", "resolution", "color", "backbone", *BODY_KEYS, "training")
REFERENCE_KEY = "reference"
CHECKED_SAMPLES = 64  # random candidates built when a space is read, so that an impossible network shows at once


@dataclass(frozen=True)
class Defaults:
    """What a task gives to every candidate of a space."""

    input_shape: Shape = (32, 32, 3)
    classes: int = 10
    training: Training = Training()


class Facts(BaseModel):
    """What the file of a network of the literature says beside the space, under `reference`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    classes: Annotated[int, Field(ge=1, le=100_000)]
    widths: list[float] = [1.0]  # the published ones
    resolutions: list[int] = []


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and the candidate of it or why there is none."""

    assignment: dict[str, Any]
    candidate: Candidate | None
    problem: NetworkError | None = None

    def unwrap(self) -> Candidate:
        """The candidate. Raises NetworkError when there is none."""
        if self.candidate is None:
            assert self.problem
            raise self.problem
        return self.candidate


class Space:
    """A checked space. `load_space` reads one."""

    def __init__(self, document: Document) -> None:
        self.document = document
        mistakes = Mistakes()
        self.tree = document.mapping((), document.value, (*SPACE_KEYS, REFERENCE_KEY), mistakes)
        self.name, self.about = "", ""
        self.facts: Facts | None = None
        with mistakes.kept():
            self.name = self._name()
        with mistakes.kept():
            self.about = self._text("about") if "about" in self.tree else ""
        with mistakes.kept():
            if REFERENCE_KEY in self.tree:
                self.facts = document.check(Facts, self.tree[REFERENCE_KEY], (REFERENCE_KEY,))
        self.digest = hashlib.sha256(document.text.encode()).hexdigest()
        compiler = Compiler(document, mistakes)
        self.template = compiler.template()
        self.domains = compiler.domains
        self.impossible = self._impossible_share()

    def _name(self) -> str:
        if "space" not in self.tree:
            raise self.document.error((), "missing key 'space'")
        name = self._text("space")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,63}", name):
            problem = f"came {show(name)}, expected a name of letters, digits, '.', '_', '-'"
            raise self.document.error(("space",), problem)
        return name

    def at(self, **values: Value) -> Space:
        """The same space with other values at some places, such as `width` or `stages.2.repeats`. Raises FileError."""
        bodies = self.template.bodies
        backbone = values.get("backbone", next(iter(bodies)))
        if "backbone" in values and (not backbone or backbone not in bodies):
            known = ", ".join(filter(None, bodies)) or "none, there is no choice of them"
            raise self.document.error(("backbone",), f"unknown backbone {show(backbone)}; known: {known}")
        places = {self.place(place, str(backbone)): value for place, value in values.items()}
        return Space(replace(self.document, value=edited(self.document, places)))

    def place(self, place: str, backbone: str | None = None) -> str:
        """Where a value of the network stands: where there are backbones, `width` is that of one, or of the first."""
        bodies = self.template.bodies
        body = backbone if backbone in bodies else next(iter(bodies))
        return f"backbone.{body}.{place}" if body and place.split(".")[0] in BODY_KEYS else place

    # -- its candidates

    def choose(self, choose: Chooser, defaults: Defaults = Defaults()) -> Chosen:
        """What `choose` gives for the open values that matter, and the candidate of it.

        It is asked in the order of the tree, until a value is missing or outside of its domain, or values do not go
        together.
        """
        way = walk(self.template.nodes, choose)
        return Chosen(way.chosen, None, way.problem) if way.problem else self._built(way.chosen, way.values, defaults)

    def candidate(self, choose: Chooser, defaults: Defaults = Defaults()) -> Candidate:
        """The candidate of what `choose` gives. Raises NetworkError when it is none."""
        return self.choose(choose, defaults).unwrap()

    def build(self, assignment: Assignment, defaults: Defaults = Defaults()) -> Candidate:
        """The candidate of an assignment. Raises NetworkError when it is none, lacks a value or has one outside of its
        domain."""
        return self.candidate(Recorded(assignment), defaults)

    def sample(self, rng: np.random.Generator, defaults: Defaults = Defaults()) -> tuple[dict[str, Value], Candidate]:
        """A random candidate and the values that lead to it. Raises NetworkError for an impossible one."""
        chosen = self.choose(Random(rng), defaults)
        return chosen.assignment, chosen.unwrap()

    def candidates(self, defaults: Defaults = Defaults()) -> Iterator[tuple[dict[str, Value], Candidate]]:
        """Every assignment that leads to a candidate, and the candidate, in the order of the file; the last value
        changes fastest, and a real range has its two ends."""
        for assignment in assignments(self.template.nodes):
            if candidate := self._built(assignment, assignment, defaults).candidate:
                yield assignment, candidate

    def size(self) -> float:
        """The number of assignments; infinite with a real range. Nested values count for their family only."""
        return size(self.template.nodes)

    def _built(self, assignment: dict[str, Any], values: Assignment, defaults: Defaults) -> Chosen:
        try:
            candidate = self.template.build(values, defaults.input_shape, defaults.classes, defaults.training)
        except NetworkError as error:
            return Chosen(assignment, None, error)
        return Chosen(assignment, candidate)

    # -- what its candidates may have

    def resolutions(self) -> list[int]:
        """The sizes of the image that may be asked for; none where the space leaves that to the task."""
        return [size for size in self.template.resolution.possible() if size]

    def inputs(self, defaults: Defaults = Defaults()) -> tuple[Shape, Shape]:
        """The smallest and the largest image that a candidate may take."""
        height, width, channels = defaults.input_shape
        heights = self.resolutions() or [height]
        colors = [COLORS[name] for name in self.template.color.possible() if name] or [channels]
        ends = [
            (size, size if self.resolutions() else width, count)
            for size, count in ((min(heights), min(colors)), (max(heights), max(colors)))
        ]
        return ends[0], ends[1]

    def idle_settings(self, defaults: Defaults = Defaults()) -> list[str]:
        """Of its training settings those that can have no effect, a sentence for each; none for a default."""
        given = self.template.training
        return [
            f"training.{name} has no effect without training.{needed}"
            for name, needed in NEEDS.items()
            if name in given
            and given[name] != Fixed(getattr(Training(), name))
            and not self.sources(defaults, (needed,))
        ]

    def sources(self, defaults: Defaults = Defaults(), keys: tuple[str, ...] = ("pretrained", "teacher")) -> list[str]:
        """The trained networks that its candidates may begin with or learn from, by name."""
        found: list[str] = []
        for key in keys:
            leaf = self.template.training.get(key, Fixed(getattr(defaults.training, key)))
            found += [str(name) for name in leaf.possible() if name]
        return found

    # -- reading and checking

    def _text(self, key: str) -> str:
        value = self.tree[key]
        if not isinstance(value, str):
            raise self.document.error((key,), f"came {show(value)}, expected text")
        return value

    def _impossible_share(self) -> float:
        """The share of random candidates that are no networks. Raises ImpossibleError when all of them are none."""
        rng = np.random.default_rng(0)
        samples = CHECKED_SAMPLES if self.domains else 1
        found = [self.choose(Random(rng)).problem for _ in range(samples)]
        problems = [problem for problem in found if problem]
        # One that is impossible is dropped by a search like one that is too large; if all are, the file is wrong.
        if len(problems) == samples:
            raise self._located(problems[0])
        return len(problems) / samples

    def _located(self, error: NetworkError) -> FileError:
        """The same complaint with the line at which the stage stands."""
        bodies = self.template.bodies.values()
        places: list[Path_] = [path for body in bodies for path in (*[s.path for s in body.stages], body.head.path)]
        path = next((path for path in places if path_text(path) == error.where), ())
        problem = error.problem if path else str(error)
        line = self.document.line(path)
        return ImpossibleError(self.document.file, line, path_text(path), f"impossible network: {problem}")


def load_space(name: str) -> Space:
    """The space in a file, or a shipped one by its name. Raises FileError, UnknownNameError."""
    return Space(load(find("search_spaces", name)))


def parse_space(text: str, file: str) -> Space:
    """The space in `text`. Raises FileError."""
    return Space(parse(text, file))


def list_references() -> Iterator[Path]:
    """The files of the shipped reference networks: spaces of size one, with what was published of them."""
    return shipped("search_spaces/reference")


def list_spaces() -> Iterator[Path]:
    """The files of the shipped spaces."""
    return shipped("search_spaces")
