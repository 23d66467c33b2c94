"""YAML with line numbers, read safely: every key is expected or an error with an address.

A file becomes a `Document`: plain values and the line of each of them. What the values mean is left to
the pydantic models of the callers; `Document.check` turns their complaints into one `FileError`.
Duplicate keys are refused, `1e-3` is a number (YAML 1.1 would read text), and files are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from dse.errors import FileError, did_you_mean, unread

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000  # anchors may repeat parts of a file: bounds what they expand to

Path_ = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """The safe loader, which also reads 1e-3 as a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*)(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


@dataclass(frozen=True)
class Document:
    """One YAML file: its values, its text, and the line at which each value stands."""

    file: str
    text: str
    value: Any
    lines: dict[Path_, int]

    def line(self, path: Path_) -> int | None:
        """The line of the value at `path`, or of the nearest thing around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def error(self, path: Path_, problem: str) -> FileError:
        """A FileError that points at `path`."""
        return FileError(self.file, self.line(path), path_text(path), problem)

    def mapping(self, path: Path_, value: Any, known: Iterable[str]) -> dict[str, Any]:
        """`value` as a mapping with known keys only. Raises FileError."""
        if not isinstance(value, dict):
            raise self.error(path, f"came {show(value)}, expected a mapping with keys {', '.join(known)}")
        names = list(known)
        for key in value:
            if key not in names:
                raise self.error((*path, key), unknown_key(key, names))
        return value

    def renamed(self, old: Path_, new: Path_) -> None:
        """Gives the values below one path their lines at another one too."""
        for known, line in list(self.lines.items()):
            if known[: len(old)] == old:
                self.lines[(*new, *known[len(old) :])] = line

    def check(self, model: type[ModelT], value: Any, path: Path_ = ()) -> ModelT:
        """`value` as a checked `model`. Raises FileError at the first thing that is wrong."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise self.error((*path, *first["loc"]), complaint(model, first)) from None


def complaint(model: type[BaseModel], error: Any) -> str:
    """One pydantic complaint in dse's words: what came, what was expected, the nearest name."""
    if error["type"] == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), model.model_fields)
    if error["type"] == "missing":
        return f"missing key {error['loc'][-1]!r}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    expected = error["msg"].replace("Input should be ", "").replace("a valid integer", "a whole number")
    text = f"came {show(error['input'])}, expected {expected}"
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        names = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        near = did_you_mean(error["input"], names)
        text += near if near != ";" else ""
    return text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that nobody expects."""
    names = list(known)
    return f"unknown key {key!r}{did_you_mean(str(key), names)} known keys: {', '.join(names)}"


def show(value: Any) -> str:
    """A value as it appears in a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def path_text(path: Path_) -> str:
    """A path as a person writes it.

    >>> path_text(("stages", 2, "kernel"))
    'stages[2].kernel'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def load(path: Path) -> Document:
    """The document in the file at `path`. Raises FileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(str(path), None, "", unread(error)) from None
    if len(data) > MAX_BYTES:
        raise FileError(str(path), None, "", f"larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FileError(str(path), None, "", "not a UTF-8 text file") from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """The document in `text`; `file` is the name that messages give it. Raises FileError."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            raise FileError(file, None, "", "the file is empty")
        reader = _Reader(file)
        value = reader.read(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise FileError(file, mark.line + 1 if mark else None, "", f"not valid YAML: {problem}") from None
    except RecursionError:
        raise FileError(file, None, "", "nested too deeply") from None
    return Document(file, text, value, reader.lines)


class _Reader:
    """Walks YAML nodes once; notes the line of every value."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self.scalars = _Loader("")

    def read(self, node: yaml.Node, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if len(self.lines) > MAX_VALUES:
            raise FileError(self.file, line, "", f"more than {MAX_VALUES} values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            return self.scalars.construct_object(node)
        except (ValueError, KeyError, IndexError, AttributeError):  # an explicit tag that the text does not fit
            raise FileError(self.file, line, path_text(path), f"{show(node.value)} is no {node.tag[-20:]}") from None

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalars.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise FileError(self.file, line, path_text(path), f"a key must be text, came {show(key)}")
            if key in result:
                raise FileError(self.file, line, path_text((*path, key)), "this key stands twice")
            self.lines[(*path, key)] = line
            result[key] = self.read(value_node, (*path, key))
        return result
