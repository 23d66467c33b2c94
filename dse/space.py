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

`Space.candidate` asks a function for every open value it meets (a random generator, an Optuna trial, a recorded
assignment) and returns the candidate: values of families that were not chosen are never asked for.
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse.blocks import BLOCKS, Block
from dse.candidate import Candidate, Head, block_index
from dse.domains import Domain, FloatRange
from dse.errors import FileError, ImpossibleError, NetworkError
from dse.network import Shape
from dse.resources import find, shipped
from dse.space_check import STAGE_KEYS, Checker, domain_of
from dse.strict_yaml import Document, Path_, complaint, load, parse, path_text, show
from dse.training import Training

Value = str | int | float | bool
Assignment = Mapping[str, Value]
Chooser = Callable[[str, Domain], Any]

SPACE_KEYS = ("space", "about", "resolution", "width", "width_divisor", "stem", "stages", "head", "training")
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
        for key in ("space", "stages"):
            if key not in self.tree:
                raise document.error((), f"missing key {key!r}")
        self.name: str = self._text("space")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,63}", self.name):
            raise document.error(
                ("space",), f"came {show(self.name)}, expected a name of letters, digits, '.', '_', '-'"
            )
        self.about: str = self._text("about") if "about" in self.tree else ""
        self.digest = hashlib.sha256(document.text.encode()).hexdigest()
        self._stages: list[tuple[Path_, dict[str, Any]]] = []
        stages = self.tree["stages"]
        if not isinstance(stages, list) or not stages:
            raise document.error(("stages",), f"came {show(stages)}, expected a list of stages")
        if "stem" in self.tree:
            self._stages.append((("stem",), self.tree["stem"]))
        self._stages += [(("stages", index), stage) for index, stage in enumerate(stages)]
        self.domains: dict[str, Domain] = {}
        self.facts: Facts | None = None
        if REFERENCE_KEY in self.tree:
            self.facts = document.check(Facts, self.tree[REFERENCE_KEY], (REFERENCE_KEY,))
        self._check()

    def at(self, **values: Value) -> Space:
        """The same space with other values at some places, such as `width` or `stages.2.repeats`. Raises FileError."""
        tree = copy.deepcopy(self.tree)
        for place, value in values.items():
            *path, last = (int(part) if part.isdecimal() else part for part in place.split("."))
            at: Any = tree
            for part in path:
                if at is tree and part in ("head", "training"):
                    at.setdefault(part, {})  # a file need not have them
                at = at[part] if _has(at, part) else None
            # A key may be new, an element of a list may not.
            if not (isinstance(at, dict) and isinstance(last, str)) and not _has(at, last):
                raise self.document.error((), f"there is nothing at {place!r} to be changed")
            at[last] = value
        return Space(replace(self.document, value=tree))

    # -- what a space is asked for

    def candidate(self, choose: Chooser, defaults: Defaults = Defaults()) -> Candidate:
        """The candidate whose open values `choose` gives. Raises NetworkError when they describe no network."""
        shape = self.image(choose, defaults)
        width = self.width(choose)
        blocks: list[Block] = []
        places: list[Path_] = []
        for number, (path, _) in enumerate(self._stages):
            for block in self.stage(number, choose, width):
                blocks.append(block)
                places.append(path)
        head = self.head(choose, width)
        settings = _Reading(self.document, choose).mapping(("training",), self.tree.get("training", {}))
        training = self._training(defaults.training, settings)
        try:
            return Candidate.make(shape, defaults.classes, tuple(blocks), head, training)
        except NetworkError as error:
            index = block_index(error)
            place = places[index] if index is not None else ("head",)
            raise NetworkError(path_text(place), error.problem) from None

    def image(self, choose: Chooser, defaults: Defaults = Defaults()) -> Shape:
        """The input of a candidate."""
        if "resolution" not in self.tree:
            return defaults.input_shape
        size = _Reading(self.document, choose).value(("resolution",), self.tree["resolution"])
        return size, size, defaults.input_shape[2]

    def width(self, choose: Chooser) -> float:
        """The width multiplier."""
        return float(_Reading(self.document, choose).value(("width",), self.tree.get("width", 1.0)))

    @property
    def num_stages(self) -> int:
        """Stages, the stem included."""
        return len(self._stages)

    def stage(self, index: int, choose: Chooser, width: float) -> tuple[Block, ...]:
        """The blocks of a stage, before they know their input."""
        path, tree = self._stages[index]
        return tuple(_Reading(self.document, choose).stage(path, tree, width, self._divisor))

    def head(self, choose: Chooser, width: float) -> Head:
        """What follows the stages, before it knows its input."""
        read = _Reading(self.document, choose)
        head: Head = read.model(("head",), self.tree.get("head", {}), Head)
        return head.at_width(width, self._divisor)

    @property
    def _divisor(self) -> int:
        return int(self.tree.get("width_divisor", 8))

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
        domains = self.domains
        total = 1.0
        nested: dict[str, dict[str, float]] = {}
        for path, domain in domains.items():
            if isinstance(domain, FloatRange):
                return math.inf
            owner, label = _owner(path, domains)
            if owner is None:
                if not any(_owner(other, domains)[0] == path for other in domains):
                    total *= sum(1 for _ in domain.values())
            else:
                family = nested.setdefault(owner, {})
                family[label] = family.get(label, 1.0) * sum(1 for _ in domain.values())
        for owner, families in nested.items():
            total *= sum(families.get(str(label), 1.0) for label in domains[owner].values())
        return total

    # -- reading and checking

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
        checker.simple(("width",), self.tree.get("width", 1.0), float, 0.05, 8.0)
        divisor = self.tree.get("width_divisor", 8)
        if type(divisor) is not int or not 1 <= divisor <= 64:
            raise self.document.error(("width_divisor",), f"came {show(divisor)}, expected a whole number 1 to 64")
        for path, stage in self._stages:
            checker.stage(path, stage)
        checker.model(("head",), self.tree.get("head", {}), Head)
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
        for path in [path for path, _ in self._stages] + [("head",)]:
            if path_text(path) == error.where:
                return self._impossible(path, error.problem)
        return self._impossible((), str(error))

    def _impossible(self, path: Path_, problem: str) -> ImpossibleError:
        line = self.document.line(path)
        return ImpossibleError(self.document.file, line, path_text(path), f"impossible network: {problem}")


def _has(tree: Any, part: str | int) -> bool:
    """Whether a mapping has a key, or a list a place."""
    if isinstance(tree, list):
        return isinstance(part, int) and part < len(tree)
    return isinstance(tree, dict) and part in tree


def _owner(path: str, domains: Mapping[str, Domain]) -> tuple[str | None, str]:
    """The choice of families that decides whether a value is asked for, and the family's name."""
    before, _, _ = path.rpartition(".")
    if before.rpartition(".")[2] in BLOCKS:
        owner, _, label = before.rpartition(".")
        if owner in domains:
            return owner, label
    return None, ""


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


class _Reading:
    """Turns the tree into concrete values, asking `choose` for each open one."""

    def __init__(self, document: Document, choose: Chooser) -> None:
        self.document, self.choose = document, choose

    def value(self, path: Path_, value: Any) -> Any:
        domain = domain_of(self.document, path, value)
        if domain is None:
            return value
        name = path_text(path)
        chosen = self.choose(name, domain)
        try:
            return domain.option(chosen)
        except (ValueError, TypeError) as error:
            raise NetworkError(name, str(error)) from None

    def mapping(self, path: Path_, values: dict[str, Any]) -> dict[str, Any]:
        return {key: self.value((*path, key), value) for key, value in values.items()}

    def model(self, path: Path_, values: dict[str, Any], model: type[Any]) -> Any:
        return self.check(model, path, self.mapping(path, values), values)

    def check(self, model: type[Any], path: Path_, chosen: dict[str, Any], given: dict[str, Any]) -> Any:
        """The chosen values as a model. Open ones that do not go together describe no network; fixed ones are wrong."""
        try:
            return self.document.check(model, chosen, path)
        except FileError as error:
            if chosen == given:
                raise
            raise NetworkError(path_text(path), error.problem) from None

    def stage(self, path: Path_, stage: dict[str, Any], width: float, divisor: int) -> Iterator[Block]:
        family = self.value((*path, "block"), stage["block"])
        name, own = (family, {}) if isinstance(family, str) else next(iter(family.items()))
        repeats = self.value((*path, "repeats"), stage.get("repeats", 1))
        scaled = self.value((*path, "scaled"), stage.get("scaled", True))
        values = {key: value for key, value in stage.items() if key not in STAGE_KEYS and key not in (own or {})}
        chosen = self.mapping(path, values) | self.mapping((*path, "block", name), own or {})
        block = self.check(BLOCKS[name], path, chosen, {**values, **(own or {})})
        if scaled:
            block = block.scaled(width, divisor, None if scaled is True else scaled)
        for repeat in range(repeats):
            yield block if repeat == 0 else block.replaced(stride=1)
