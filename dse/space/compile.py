"""Compiles a space file into a template: once, when the file is read.

Every option of every open value must be valid by itself, and what is wrong has its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from dse._util.strict_yaml import Document, Mistakes, Path_, complaint, path_text, show, unknown_key
from dse.errors import did_you_mean
from dse.network.blocks import BLOCKS, Block
from dse.network.head import Head
from dse.network.training import Training
from dse.space.conditions import Fixed, Leaf, Node, Open
from dse.space.domains import Choice, Domain, FloatRange, IntRange
from dse.space.template import ABSENT, COLORS, Body, Settings, Stage, Template, open_of

DOMAIN_KEYS = {"choice": (), "int": ("step",), "float": (), "log": ()}
OPEN = ("{choice: [a, b, ...]}", "{int: [low, high], step: n}", "{float: [low, high]}", "{log: [low, high]}")
BODY_KEYS = ("width", "width_divisor", "stem", "stages", "head")
STAGE_KEYS = ("block", "repeats", "scaled")

Check = Callable[[Path_, Any], None]  # of one option, at its place; raises FileError


class Compiler:
    """Compiles one document; `domains` has the domain of every open value by its path, in the order of the file.

    Raises FileError, here for bodies without stages and in `template` for all else: for all mistakes at once, with
    those that were found before.
    """

    def __init__(self, document: Document, mistakes: Mistakes) -> None:
        self.document = document
        self.mistakes = mistakes
        self.domains: dict[str, Domain] = {}
        self._settings: list[Settings[Any]] = []
        self._bodies: dict[str, tuple[Path_, dict[str, Any]]] = {}
        with mistakes.kept():
            self._bodies = self._outlines()

    def template(self) -> Template:
        """The template. Raises FileError."""
        tree = self.document.value
        resolution = self._number(("resolution",), tree, ABSENT, int, 8, 1024)
        color: Leaf = ABSENT
        with self.mistakes.kept():
            color = self._leaf(("color",), tree["color"], self._color) if "color" in tree else ABSENT
        backbone = self._domain(("backbone",), tree.get("backbone")) if self._bodies else None
        bodies = {name: self._body(path, body) for name, (path, body) in self._bodies.items()}
        training = self._leaves(("training",), tree.get("training", {}), Training)
        self.mistakes.told()
        for settings in self._settings:
            if not settings.nodes:  # what is fixed goes together in every candidate, or in none
                with self.mistakes.kept():
                    self.document.check(settings.model, settings.values({}), settings.path)
        self.mistakes.told()
        name: Leaf = Open("backbone", backbone) if backbone else Fixed(next(iter(bodies)))
        return Template(resolution, color, name, bodies, training)

    # -- bodies

    def _outlines(self) -> dict[str, tuple[Path_, dict[str, Any]]]:
        """The place and the mapping of every body by its name; one without a name where there is no choice."""
        document, tree = self.document, self.document.value
        if "backbone" not in tree:
            self._stages((), tree)
            return {"": ((), tree)}
        if beside := [key for key in BODY_KEYS if key in tree]:
            raise document.error((beside[0],), f"came beside 'backbone', expected {beside[0]!r} inside of each")
        given = tree["backbone"]
        several = domain_of(document, ("backbone",), given) is not None and "choice" in given
        found: dict[str, tuple[Path_, dict[str, Any]]] = {}
        for index, option in enumerate(given["choice"] if several else [given]):
            place: Path_ = ("backbone", "choice", index) if several else ("backbone",)
            name, body = next(iter(option.items())) if isinstance(option, dict) and len(option) == 1 else ("", None)
            if not isinstance(body, dict) or not re.fullmatch(r"\w+", str(name)):
                raise document.error(place, f"came {show(option)}, expected one 'name: {{stages: ...}}'")
            document.mapping((*place, name), body, BODY_KEYS)
            document.renamed((*place, name), ("backbone", name))
            self._stages(("backbone", name), body)
            found[name] = (("backbone", name), body)
        return found

    def _stages(self, path: Path_, tree: dict[str, Any]) -> list[tuple[Path_, Any]]:
        """Where stem and stages stand, and what stands there."""
        if "stages" not in tree:
            raise self.document.error(path, "missing key 'stages'")
        stages = tree["stages"]
        if not isinstance(stages, list) or not stages:
            raise self.document.error((*path, "stages"), f"came {show(stages)}, expected a list of stages")
        stem = [((*path, "stem"), tree["stem"])] if "stem" in tree else []
        return stem + [((*path, "stages", index), stage) for index, stage in enumerate(stages)]

    def _body(self, path: Path_, tree: dict[str, Any]) -> Body:
        width = self._number((*path, "width"), tree, Fixed(1.0), float, 0.05, 8.0)
        divisor = tree.get("width_divisor", 8)
        if type(divisor) is not int or not 1 <= divisor <= 64:
            problem = f"came {show(divisor)}, expected a whole number 1 to 64"
            self.mistakes.errors.append(self.document.error((*path, "width_divisor"), problem))
        stages = self.mistakes.of_each(self._stages(path, tree), lambda found: self._stage(*found))
        head = (*path, "head")
        return Body(width, divisor, stages, self._together(head, Head, self._leaves(head, tree.get("head", {}), Head)))

    def _stage(self, path: Path_, stage: Any) -> Stage:
        if not isinstance(stage, dict) or "block" not in stage:
            raise self.document.error(path, f"came {show(stage)}, expected a mapping with the key 'block'")
        shared = {key: value for key, value in stage.items() if key not in STAGE_KEYS}
        repeats = self._number((*path, "repeats"), stage, Fixed(1), int, 0, 64)
        scaled_path, scaled = (*path, "scaled"), stage.get("scaled", True)
        scaled_leaf = self._leaf(scaled_path, scaled)
        place = (*path, "block")
        domain = self._domain(place, stage["block"])
        families: dict[str, Settings[Block]] = {}
        for option_place, option in _options(place, stage["block"], domain):
            name, kind, own = self._family(option_place, option)
            block_type = BLOCKS[kind]
            self._leaf(scaled_path, scaled, partial(self._scaled, kind))
            wanted = self.document.mapping(path, shared, (*STAGE_KEYS, *block_type.model_fields), self.mistakes)
            known = {key: value for key, value in wanted.items() if key not in own}
            self.document.renamed((*option_place, name), (*place, name))
            own_leaves = self._leaves((*place, name), own, block_type)
            missing = [k for k, f in block_type.model_fields.items() if f.is_required() and k not in {**known, **own}]
            if missing:
                self.mistakes.errors.append(self.document.error(path, f"missing key {missing[0]!r} of block {kind!r}"))
            leaves = self._fields(path, known, block_type)
            families[name] = self._together(path, block_type, leaves | own_leaves)
        beside: tuple[Node, ...] = open_of([repeats, scaled_leaf])
        if not domain:
            ((name, settings),) = families.items()
            return Stage(path, Fixed(name), repeats, scaled_leaf, families, (*beside, *settings.nodes))
        below = {name: (*beside, *settings.nodes) for name, settings in families.items()}
        block = Open(path_text(place), domain, below)
        return Stage(path, block, repeats, scaled_leaf, families, (block,))

    def _family(self, place: Path_, family: Any) -> tuple[str, str, dict[str, Any]]:
        """The name of an option, its block, and the values beside that: an option has the name of its block, or another
        one and the key 'block'."""
        name, own = next(iter(family.items())) if isinstance(family, dict) and len(family) == 1 else (family, None)
        if not isinstance(name, str):
            raise self.document.error(place, f"came {show(family)}, expected a block, or one 'block: {{...}}'")
        if own is not None and not isinstance(own, dict):
            raise self.document.error(place, f"came {show(own)}, expected the values of block {name!r} as a mapping")
        own = dict(own or {})
        kind = own.pop("block", name)
        if not isinstance(kind, str) or kind not in BLOCKS:
            raise self.document.error(
                place, f"unknown block {kind!r}{did_you_mean(str(kind), BLOCKS)} known: {', '.join(BLOCKS)}"
            )
        if kind != name and (name in BLOCKS or not re.fullmatch(r"[A-Za-z]\w*", name)):
            raise self.document.error(
                place, f"came the name {name!r} for a {kind}, expected a word that is no block, as in wide_{kind}"
            )
        return name, kind, own

    # -- values

    def _domain(self, path: Path_, value: Any) -> Domain | None:
        """The domain of an open value, which is noted; None for a fixed one."""
        if domain := domain_of(self.document, path, value):
            self.domains[path_text(path)] = domain
        return domain

    def _leaf(self, path: Path_, value: Any, check: Check = lambda place, option: None) -> Leaf:
        """The value at a path, all of whose options pass a check: of a range its ends."""
        domain = self._domain(path, value)
        for place, option in _options(path, value, domain):
            check(place, option)
        return Open(path_text(path), domain) if domain else Fixed(value)

    def _number(self, path: Path_, tree: Mapping[str, Any], absent: Leaf, kind: type, low: float, high: float) -> Leaf:
        accepted: tuple[type, ...] = (int,) if kind is int else (int, float)

        def check(place: Path_, option: Any) -> None:
            if type(option) not in accepted or not low <= option <= high:
                what = "a whole number" if kind is int else "a number"
                problem = f"came {show(option)}, expected {what} from {low} to {high}{_as_open(option)}"
                raise self.document.error(place, problem)

        given = [tree[str(path[-1])]] if path[-1] in tree else []
        leaves = self.mistakes.of_each(given, lambda value: self._leaf(path, value, check))
        return leaves[0] if leaves else absent

    def _color(self, place: Path_, color: Any) -> None:
        if color not in list(COLORS):
            raise self.document.error(place, f"came {show(color)}, expected {' or '.join(COLORS)}")

    def _scaled(self, name: str, place: Path_, scaled: Any) -> None:
        """Whether the width multiplier applies to a block of this name, or to which of its values."""
        fields = BLOCKS[name].width_fields
        if isinstance(scaled, bool) or (isinstance(scaled, list) and set(map(str, scaled)) <= set(fields)):
            return
        raise self.document.error(
            place, f"came {show(scaled)}, expected true, false or a list of: {', '.join(fields) or 'nothing'}"
        )

    def _leaves(self, path: Path_, values: Any, model: type[BaseModel]) -> dict[str, Leaf]:
        """The values of a model that stand at a path."""
        known: dict[str, Any] = {}
        with self.mistakes.kept():
            known = self.document.mapping(path, values, model.model_fields, self.mistakes)
        return self._fields(path, known, model)

    def _fields(self, path: Path_, values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Leaf]:
        """The values of known keys, without those that are wrong."""
        return dict(
            self.mistakes.of_each(values.items(), lambda item: (item[0], self._field((*path, item[0]), item[1], model)))
        )

    def _field(self, path: Path_, value: Any, model: type[BaseModel]) -> Leaf:
        """One value of one key, by the model's own rules for that key."""
        key = str(path[-1])

        def check(place: Path_, option: Any) -> None:
            try:
                _rules_of(model, key).validate_python(option)
            except ValidationError as error:
                raise self.document.error(place, complaint(model, error.errors()[0]) + _as_open(option)) from None

        return self._leaf(path, value, check)

    def _together(self, path: Path_, model: type[Any], leaves: dict[str, Leaf]) -> Settings[Any]:
        self._settings.append(Settings(path, model, leaves))
        return self._settings[-1]


def domain_of(document: Document, path: Path_, value: Any) -> Domain | None:
    """The domain that a YAML value describes, or None for a fixed value. Raises FileError."""
    if not isinstance(value, dict) or not set(value) & set(DOMAIN_KEYS):
        return None
    kind = next(key for key in DOMAIN_KEYS if key in value)
    for key in value:
        if key != kind and key not in DOMAIN_KEYS[kind]:
            raise document.error((*path, key), unknown_key(key, (kind, *DOMAIN_KEYS[kind])))
    body = value[kind]
    if kind == "choice":
        if not isinstance(body, list) or not body:
            raise document.error((*path, kind), f"came {show(body)}, expected a list of values")
        labels = tuple(_label(document, (*path, kind, index), option) for index, option in enumerate(body))
        if len({(type(label), label) for label in labels}) < len(labels):
            raise document.error((*path, kind), f"came {show(body)}, expected every value once")
        return Choice(labels)
    wanted: tuple[type, ...] = (int,) if kind == "int" else (int, float)
    numbers = isinstance(body, list) and len(body) == 2 and all(type(v) in wanted for v in body)
    if not numbers or not body[0] <= body[1]:
        raise document.error((*path, kind), f"came {show(body)}, expected [low, high] with low <= high")
    if kind == "int":
        step = value.get("step", 1)
        if type(step) is not int or step < 1 or (body[1] - body[0]) % step:
            raise document.error((*path, "step"), f"came {show(step)}, expected a whole number that divides high - low")
        return IntRange(body[0], body[1], step)
    if kind == "log" and body[0] <= 0:
        raise document.error((*path, kind), f"came {show(body)}, expected low > 0")
    return FloatRange(float(body[0]), float(body[1]), kind == "log")


def _as_open(value: Any) -> str:
    """How a value that was refused is left open, where it looks as if that were meant."""
    if isinstance(value, list) and value:
        return f"; to leave it open write {{choice: {show(value)}}}"
    if isinstance(value, dict) and len(value) == 1:
        return f"; an open value is one of {', '.join(OPEN)}{did_you_mean(next(iter(value)), DOMAIN_KEYS).rstrip(';')}"
    return ""


def _label(document: Document, path: Path_, option: Any) -> str | int | float | bool:
    if isinstance(option, str | int | float | bool):
        return option
    if isinstance(option, dict) and len(option) == 1:
        return str(next(iter(option)))
    raise document.error(path, f"came {show(option)}, expected a plain value or one 'name: {{...}}'")


def _options(path: Path_, value: Any, domain: Domain | None) -> list[tuple[Path_, Any]]:
    """What may come at a path, each with its place: the options of a choice, the ends of a range, or what is fixed."""
    match domain:
        case None:
            return [(path, value)]
        case Choice():
            return [((*path, "choice", index), option) for index, option in enumerate(value["choice"])]
        case _:
            return [(path, domain.low), (path, domain.high)]


@cache
def _rules_of(model: type[BaseModel], key: str) -> TypeAdapter[Any]:
    """What the model wants of one key by itself."""
    field = model.model_fields[key]
    wanted: Any = Annotated[field.annotation, field]
    return TypeAdapter(wanted, config=ConfigDict(strict=True))
