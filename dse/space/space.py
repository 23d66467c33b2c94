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

`Space.candidate` asks a function for every open value it meets (a random generator, an Optuna trial, a recorded
assignment) and returns the candidate: values of families that were not chosen are never asked for.
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse._util.shipped import find, shipped
from dse._util.strict_yaml import Document, Path_, complaint, load, parse, path_text, show
from dse.errors import FileError, ImpossibleError, NetworkError
from dse.network.blocks import Block
from dse.network.candidate import Candidate, block_index
from dse.network.layers import Shape
from dse.network.training import NEEDS, Training
from dse.space.check import Checker, domain_of
from dse.space.domains import Choice, Domain, FloatRange
from dse.space.template import BODY_KEYS, Body, Chooser, Reading

Value = str | int | float | bool
Assignment = Mapping[str, Value]

SPACE_KEYS = ("space", "about", "resolution", "color", "backbone", *BODY_KEYS, "training")
COLORS = {"rgb": 3, "grey": 1}  # channels of the image
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


class Space:
    """A checked space. `load_space` reads one."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.tree = document.mapping((), document.value, (*SPACE_KEYS, REFERENCE_KEY))
        if "space" not in self.tree:
            raise document.error((), "missing key 'space'")
        self.name: str = self._text("space")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,63}", self.name):
            raise document.error(
                ("space",), f"came {show(self.name)}, expected a name of letters, digits, '.', '_', '-'"
            )
        self.about: str = self._text("about") if "about" in self.tree else ""
        self.digest = hashlib.sha256(document.text.encode()).hexdigest()
        self.bodies = self._bodies()
        self.domains: dict[str, Domain] = {}
        self.facts: Facts | None = None
        if REFERENCE_KEY in self.tree:
            self.facts = document.check(Facts, self.tree[REFERENCE_KEY], (REFERENCE_KEY,))
        self._check()

    def at(self, **values: Value) -> Space:
        """The same space with other values at some places, such as `width` or `stages.2.repeats`. Raises FileError."""
        tree = copy.deepcopy(self.tree)
        backbone = values.get("backbone", next(iter(self.bodies)))
        if "backbone" in values:
            if not backbone or backbone not in self.bodies:
                known = ", ".join(filter(None, self.bodies)) or "none, there is no choice of them"
                raise self.document.error(("backbone",), f"unknown backbone {show(backbone)}; known: {known}")
            tree["backbone"] = {backbone: copy.deepcopy(self.bodies[str(backbone)].tree)}
        for place, value in values.items():
            if place == "backbone":
                continue
            place = self.place(place, str(backbone))
            *path, last = (int(part) if part.isdecimal() else part for part in place.split("."))
            at: Any = tree
            for depth, part in enumerate(path):
                of_body = depth == 2 and path[0] == "backbone"
                if isinstance(at, dict) and part in ("head", "training") and (depth == 0 or of_body):
                    at.setdefault(part, {})  # a file need not have them
                at = _below(at, part)
            # A key may be new, an element of a list may not.
            if not (isinstance(at, dict) and isinstance(last, str)) and _below(at, last) is None:
                raise self.document.error((), f"there is nothing at {place!r} to be changed")
            at[last] = value
        return Space(replace(self.document, value=tree))

    def place(self, place: str, backbone: str | None = None) -> str:
        """Where a value of the network stands: where there are backbones, `width` is that of one, or of the first."""
        body = backbone if backbone in self.bodies else next(iter(self.bodies))
        return f"backbone.{body}.{place}" if body and place.split(".")[0] in BODY_KEYS else place

    # -- what a space is asked for

    def candidate(self, choose: Chooser, defaults: Defaults = Defaults()) -> Candidate:
        """The candidate whose open values `choose` gives. Raises NetworkError when they describe no network."""
        shape = self.image(choose, defaults)
        body = self.bodies[self.backbone(choose)]
        width = body.width(choose)
        blocks: list[Block] = []
        places: list[Path_] = []
        for number, path in enumerate(body.paths):
            for block in body.stage(number, choose, width):
                blocks.append(block)
                places.append(path)
        head = body.head(choose, width)
        settings = Reading(self.document, choose).mapping(("training",), self.tree.get("training", {}))
        training = self._training(defaults.training, settings)
        try:
            return Candidate.make(shape, defaults.classes, tuple(blocks), head, training)
        except NetworkError as error:
            index = block_index(error)
            place = places[index] if index is not None else body.head_path
            raise NetworkError(path_text(place), error.problem) from None

    def image(self, choose: Chooser, defaults: Defaults = Defaults()) -> Shape:
        """The input of a candidate."""
        read = Reading(self.document, choose)
        height, width, channels = defaults.input_shape
        if "resolution" in self.tree:
            height = width = read.value(("resolution",), self.tree["resolution"])
        if "color" in self.tree:
            channels = COLORS[read.value(("color",), self.tree["color"])]
        return height, width, channels

    def resolutions(self) -> list[int]:
        """The sizes of the image that may be asked for; none where the space leaves that to the task."""
        return [int(size) for size in self._possible("resolution", self.tree.get("resolution"))]

    def _possible(self, path: str, fixed: Any) -> list[Any]:
        """The values that may come at a path, where `fixed` stands if none is open; none for nothing there."""
        domain = self.domains.get(path)
        return list(domain.values()) if domain else [fixed] if fixed else []

    def inputs(self, defaults: Defaults = Defaults()) -> tuple[Shape, Shape]:
        """The smallest and the largest image that a candidate may take."""
        height, width, channels = defaults.input_shape
        heights = self.resolutions() or [height]
        colors = [COLORS[name] for name in self._possible("color", self.tree.get("color"))] or [channels]
        ends = [
            (size, size if self.resolutions() else width, count)
            for size, count in ((min(heights), min(colors)), (max(heights), max(colors)))
        ]
        return ends[0], ends[1]

    def idle_settings(self, defaults: Defaults = Defaults()) -> list[str]:
        """Of its training settings those that can have no effect, a sentence for each; none for a default."""
        given = self.tree.get("training", {})
        return [
            f"training.{name} has no effect without training.{needed}"
            for name, needed in NEEDS.items()
            if given.get(name, getattr(Training(), name)) != getattr(Training(), name)
            and not self.sources(defaults, (needed,))
        ]

    def sources(self, defaults: Defaults = Defaults(), keys: tuple[str, ...] = ("pretrained", "teacher")) -> list[str]:
        """The trained networks that its candidates may begin with or learn from, by name."""
        found: list[str] = []
        for key in keys:
            given = self.tree.get("training", {}).get(key, getattr(defaults.training, key))
            found += [str(name) for name in self._possible(f"training.{key}", given) if name]
        return found

    def backbone(self, choose: Chooser) -> str:
        """The name of the body; empty for the only one of a space without a choice of them."""
        if "" in self.bodies:
            return ""
        option = Reading(self.document, choose).value(("backbone",), self.tree["backbone"])
        return str(next(iter(option)))

    def from_assignment(self, assignment: Assignment, defaults: Defaults = Defaults()) -> Candidate:
        """The candidate of recorded values. Raises NetworkError, or FileError for a value outside its set."""

        def choose(path: str, domain: Domain) -> Value:
            if path not in assignment:
                raise NetworkError(path, f"no value given; known values: {', '.join(assignment) or 'none'}")
            return assignment[path]

        return self.candidate(choose, defaults)

    def sample(self, rng: np.random.Generator, defaults: Defaults = Defaults()) -> tuple[dict[str, Value], Candidate]:
        """A random candidate and the values that lead to it. Raises NetworkError for an impossible one."""
        assignment: dict[str, Value] = {}

        def choose(path: str, domain: Domain) -> Value:
            assignment[path] = domain.sample(rng)
            return assignment[path]

        return assignment, self.candidate(choose, defaults)

    def size(self) -> float:
        """The number of assignments; infinite with a real range. Nested values count for their family only."""
        if any(isinstance(domain, FloatRange) for domain in self.domains.values()):
            return math.inf
        below: dict[tuple[str, str], list[str]] = {}  # what is asked for only with this value of that choice
        for path in self.domains:
            below.setdefault(_owner(path, self.domains), []).append(path)

        def ways(owner: str, label: str) -> float:
            return math.prod(
                sum(ways(path, str(value)) for value in self.domains[path].values())
                for path in below.get((owner, label), [])
            )

        return ways("", "")

    # -- reading and checking

    def _bodies(self) -> dict[str, Body]:
        """The bodies by their names; one without a name where there is no choice."""
        if "backbone" not in self.tree:
            return {"": Body(self.document, (), self.tree)}
        if beside := [key for key in BODY_KEYS if key in self.tree]:
            raise self.document.error((beside[0],), f"came beside 'backbone', expected {beside[0]!r} inside of each")
        tree = self.tree["backbone"]
        domain = domain_of(self.document, ("backbone",), tree)
        options = list(domain.options) if isinstance(domain, Choice) else [tree]
        bodies = {}
        for index, option in enumerate(options):
            place: Path_ = ("backbone", "choice", index) if isinstance(domain, Choice) else ("backbone",)
            name, body = next(iter(option.items())) if isinstance(option, dict) and len(option) == 1 else ("", None)
            if not isinstance(body, dict) or not re.fullmatch(r"\w+", str(name)):
                raise self.document.error(place, f"came {show(option)}, expected one 'name: {{stages: ...}}'")
            self.document.mapping((*place, name), body, BODY_KEYS)
            self.document.renamed((*place, name), ("backbone", str(name)))
            bodies[str(name)] = Body(self.document, ("backbone", str(name)), body)
        return bodies

    def _text(self, key: str) -> str:
        value = self.tree[key]
        if not isinstance(value, str):
            raise self.document.error((key,), f"came {show(value)}, expected text")
        return value

    def _training(self, recipe: Training, settings: dict[str, Any]) -> Training:
        try:
            return Training.model_validate(recipe.model_dump() | settings)
        except ValidationError as error:
            first = error.errors()[0]
            raise self.document.error(("training", *first["loc"]), complaint(Training, first)) from None

    def _check(self) -> None:
        """Every option of every open value is valid by itself, and sampled candidates are networks."""
        checker = Checker(self.document)
        checker.simple(("resolution",), self.tree.get("resolution", 32), int, 8, 1024)
        for place, color in checker.options(("color",), self.tree.get("color", "rgb")):
            if color not in COLORS:
                raise self.document.error(place, f"came {show(color)}, expected {' or '.join(COLORS)}")
        if "backbone" in self.tree:
            checker.options(("backbone",), self.tree["backbone"])
        for body in self.bodies.values():
            body.check(checker)
        checker.model(("training",), self.tree.get("training", {}), Training)
        self.domains = checker.domains
        rng = np.random.default_rng(0)
        samples = CHECKED_SAMPLES if self.domains else 1
        problems = []
        for _ in range(samples):
            try:
                self.sample(rng)
            except NetworkError as error:
                problems.append(error)
        # One that is impossible is dropped by a search like one that is too large; if all are, the file is wrong.
        self.impossible = len(problems) / samples
        if len(problems) == samples:
            raise self._locate(problems[0])

    def _locate(self, error: NetworkError) -> FileError:
        """The same complaint with the line at which the stage stands."""
        for path in [path for body in self.bodies.values() for path in (*body.paths, body.head_path)]:
            if path_text(path) == error.where:
                return self._impossible(path, error.problem)
        return self._impossible((), str(error))

    def _impossible(self, path: Path_, problem: str) -> ImpossibleError:
        line = self.document.line(path)
        return ImpossibleError(self.document.file, line, path_text(path), f"impossible network: {problem}")


def _below(tree: Any, part: str | int) -> Any:
    """What stands below a key, a place of a list, or a name that may be chosen; None for nothing."""
    if isinstance(tree, list):
        return tree[part] if isinstance(part, int) and part < len(tree) else None
    if not isinstance(tree, dict):
        return None
    if part in tree or not isinstance(tree.get("choice"), list):
        return tree.get(part)
    return next((option[part] for option in tree["choice"] if isinstance(option, dict) and part in option), None)


def _owner(path: str, domains: Mapping[str, Domain]) -> tuple[str, str]:
    """The nearest choice that decides whether a value is asked for, and with which of its values; empty for none."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        owner = ".".join(parts[: end - 1])
        if owner in domains and parts[end - 1] in map(str, domains[owner].values()):
            return owner, parts[end - 1]
    return "", ""


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
