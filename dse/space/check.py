"""Checks a space file: every option of every open value is valid by itself, and what is wrong has its line.

Gathers on the way what is open: the domain of every value, by its path.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from dse._util.strict_yaml import Document, Path_, complaint, path_text, show, unknown_key
from dse.errors import did_you_mean
from dse.network.blocks import BLOCKS
from dse.space.domains import Choice, Domain, FloatRange, IntRange

DOMAIN_KEYS = {"choice": (), "int": ("step",), "float": (), "log": ()}
STAGE_KEYS = ("block", "repeats", "scaled")


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
        return Choice(tuple(body), labels)
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


def _label(document: Document, path: Path_, option: Any) -> str | int | float | bool:
    if isinstance(option, str | int | float | bool):
        return option
    if isinstance(option, dict) and len(option) == 1:
        return str(next(iter(option)))
    raise document.error(path, f"came {show(option)}, expected a plain value or one 'name: {{...}}'")


class Checker:
    """Checks every option of every open value, and gathers the domains by name."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.domains: dict[str, Domain] = {}

    def options(self, path: Path_, value: Any) -> list[tuple[Path_, Any]]:
        """The values that may come at `path`: the ends of a range, all options of a choice, or the fixed one."""
        domain = domain_of(self.document, path, value)
        if domain is None:
            return [(path, value)]
        self.domains[path_text(path)] = domain
        if isinstance(domain, Choice):
            return [((*path, "choice", index), option) for index, option in enumerate(domain.options)]
        if isinstance(domain, IntRange):
            return [(path, number) for number in (domain.low, domain.high)]
        return [(path, number) for number in domain.values()]

    def simple(self, path: Path_, value: Any, kind: type, low: float, high: float) -> None:
        accepted: tuple[type, ...] = (int,) if kind is int else (int, float)
        for place, option in self.options(path, value):
            if type(option) not in accepted or not low <= option <= high:
                what = "a whole number" if kind is int else "a number"
                raise self.document.error(place, f"came {show(option)}, expected {what} from {low} to {high}")

    def model(self, path: Path_, values: Any, model: type[BaseModel], known: tuple[str, ...] = ()) -> None:
        names = (*known, *model.model_fields)
        self.document.mapping(path, values, names)
        for key, value in values.items():
            if key in known:
                continue
            for place, option in self.options((*path, key), value):
                self.field(place, model, key, option)

    def field(self, place: Path_, model: type[BaseModel], key: str, option: Any) -> None:
        """One value of one key, by the model's own rules for that key."""
        try:
            model.__pydantic_validator__.validate_assignment(model.model_construct(), key, option)
        except ValidationError as error:
            for one in error.errors():
                if one["type"] not in ("value_error", "frozen_instance") and one["loc"][:1] == (key,):
                    raise self.document.error(place, complaint(model, one)) from None

    def stage(self, path: Path_, stage: Any) -> None:
        if not isinstance(stage, dict) or "block" not in stage:
            raise self.document.error(path, f"came {show(stage)}, expected a mapping with the key 'block'")
        shared = {key: value for key, value in stage.items() if key not in STAGE_KEYS}
        self.simple((*path, "repeats"), stage.get("repeats", 1), int, 0, 64)
        scales = self.options((*path, "scaled"), stage.get("scaled", True))
        for place, family in self.options((*path, "block"), stage["block"]):
            name, own = self.family(place, family)
            for scaled_place, scaled in scales:
                self.scaled(scaled_place, scaled, name)
            self.document.mapping(path, shared, (*STAGE_KEYS, *BLOCKS[name].model_fields))
            own_place = (*path, "block", name)
            known = tuple(key for key in shared if key not in own)
            self.document.renamed((*place, name), own_place)
            self.model(own_place, own, BLOCKS[name])
            missing = [k for k, f in BLOCKS[name].model_fields.items() if f.is_required() and k not in (*known, *own)]
            if missing:
                raise self.document.error(path, f"missing key {missing[0]!r} of block {name!r}")
            for key in known:
                for option_place, option in self.options((*path, key), shared[key]):
                    self.field(option_place, BLOCKS[name], key, option)

    def scaled(self, place: Path_, scaled: Any, name: str) -> None:
        """Whether the width multiplier applies to a block of this name, or to which of its values."""
        fields = BLOCKS[name].width_fields
        if isinstance(scaled, bool) or (isinstance(scaled, list) and set(map(str, scaled)) <= set(fields)):
            return
        raise self.document.error(
            place, f"came {show(scaled)}, expected true, false or a list of: {', '.join(fields) or 'nothing'}"
        )

    def family(self, place: Path_, family: Any) -> tuple[str, dict[str, Any]]:
        name, own = next(iter(family.items())) if isinstance(family, dict) and len(family) == 1 else (family, None)
        if not isinstance(name, str):
            raise self.document.error(place, f"came {show(family)}, expected a block, or one 'block: {{...}}'")
        if name not in BLOCKS:
            raise self.document.error(
                place, f"unknown block {name!r}{did_you_mean(name, BLOCKS)} known: {', '.join(BLOCKS)}"
            )
        if own is not None and not isinstance(own, dict):
            raise self.document.error(place, f"came {show(own)}, expected the values of block {name!r} as a mapping")
        return name, own or {}
