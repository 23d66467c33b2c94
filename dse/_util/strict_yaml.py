"""YAML with line numbers, read safely: every key is expected or an error with an address.

A file becomes a `Document`: plain values and the line of each of them. What the values mean is left to
the pydantic models of the callers; `Document.check` turns their complaints into one `FileError`.
Duplicate keys are refused, and so are control characters, which would reach a terminal, and numbers that YAML 1.1
takes for others than they look (`010` is 8, `1:30` is 90). `1e-3` is a number, where YAML 1.1 would read text. Merge
keys (`<<`) are taken. Files are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dse._util.files import first_bytes
from dse.errors import FileError, FileErrors, did_you_mean

MAX_BYTES = 1 << 20
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MERGE = "tag:yaml.org,2002:merge"
# 010 and 1:30, which YAML 1.1 reads with the bases 8 and 60.
OTHER_BASES = re.compile(r"[-+]?(0[0-9_]+|[0-9_]+(:[0-9_]+)+(\.[0-9_]*)?)")
MAX_VALUES = 50_000  # anchors may repeat parts of a file: bounds what they expand to

Path_ = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class _Loader(yaml.SafeLoader):
    """The safe loader, which also reads 1e-3 as a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*)(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


class Mistakes:
    """Complaints about a file, kept until all of it is read, so that its user sees them at once."""

    def __init__(self) -> None:
        self.errors: list[FileError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A FileError inside is kept; what follows goes on."""
        try:
            yield
        except FileError as error:
            self.errors.append(error)

    def of_each(self, items: Iterable[ItemT], build: Callable[[ItemT], ResultT]) -> list[ResultT]:
        """What is built of each item, without those of which a FileError came."""
        built = []
        for item in items:
            with self.kept():
                built.append(build(item))
        return built

    def told(self) -> None:
        """Raises FileErrors, or FileError, when there are any."""
        if self.errors:
            raise FileErrors.of(self.errors)


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

    def mapping(
        self, path: Path_, value: Any, known: Iterable[str], mistakes: Mistakes | None = None
    ) -> dict[str, Any]:
        """`value` as a mapping with known keys only. Raises FileError, but where `mistakes` takes unknown keys."""
        if not isinstance(value, dict):
            raise self.error(path, f"came {show(value)}, expected a mapping with keys {', '.join(known)}")
        names = list(known)
        if unknown := [self.error((*path, key), unknown_key(key, names)) for key in value if key not in names]:
            if mistakes is None:
                raise FileErrors.of(unknown)
            mistakes.errors += unknown
        return {key: given for key, given in value.items() if key in names}

    def renamed(self, old: Path_, new: Path_) -> None:
        """Gives the values below one path their lines at another one too."""
        for known, line in list(self.lines.items()):
            if known[: len(old)] == old:
                self.lines[(*new, *known[len(old) :])] = line

    def check(self, model: type[ModelT], value: Any, path: Path_ = ()) -> ModelT:
        """`value` as a checked `model`. Raises FileError, FileErrors where several things are wrong."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise FileErrors.of(self._complaint(model, one, path) for one in error.errors()) from None

    def _complaint(self, model: type[BaseModel], error: Any, path: Path_) -> FileError:
        """One complaint at its place; of a key that is missing that is where it should stand."""
        place = error["loc"][:-1] if error["type"] == "missing" else error["loc"]
        return self.error((*path, *place), complaint(model, error))


def complaint(model: type[BaseModel], error: Any) -> str:
    """One pydantic complaint in dse's words: what came, what was expected, the nearest name."""
    if error["type"] == "extra_forbidden":
        holder = _model_at(model, error["loc"][:-1])
        return unknown_key(str(error["loc"][-1]), holder.model_fields)
    if error["type"] == "missing":
        return f"missing key {error['loc'][-1]!r}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    expected = error["msg"].replace("Input should be ", "").replace("a valid ", "a ")
    expected = expected.replace("a integer", "a whole number")
    if error["type"] == "model_type":
        fields = _model_at(model, error["loc"]).model_fields.items()
        expected = f"{{{', '.join(f'{name}: ...' for name, field in fields if field.is_required())}}}"
    text = f"came {show(error['input'])}, expected {expected}"
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        names = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        near = did_you_mean(error["input"], names)
        text += near if near != ";" else ""
    return text


def _model_at(model: type[BaseModel], place: Iterable[str | int]) -> type[BaseModel]:
    """The model of what stands at a place below another one, or the nearest around it."""
    for name in place:
        field = model.model_fields.get(str(name))
        inside = field and next(_models_in(field.annotation), None)
        model = inside or model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that nobody expects."""
    names = list(known)
    return f"unknown key {key!r}{did_you_mean(str(key), names)} known keys: {', '.join(names)}"


def show(value: Any) -> str:
    """A value as it appears in a message, cut to a readable length."""
    text = repr(_trimmed(value))
    return text if len(text) <= 80 else text[:77] + "..."


def _trimmed(value: Any) -> Any:
    """As much of a value as `show` may need: one may be larger than memory once it is written out."""
    match value:
        case str():
            return value[:100]
        case list():
            return [_trimmed(one) for one in value[:40]]
        case dict():
            return {key: _trimmed(one) for key, one in islice(value.items(), 40)}
        case _:
            return value


def path_text(path: Path_) -> str:
    """A path as a person writes it.

    >>> path_text(("stages", 2, "kernel"))
    'stages[2].kernel'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.isprintable() else ascii(part)
            text += f".{shown}" if text else shown
    return text


def load(path: Path) -> Document:
    """The document in the file at `path`. Raises FileError."""
    data = first_bytes(path, MAX_BYTES + 1)
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
        reader.mistakes.told()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        problem = f"not valid YAML: the character U+{error.character:04X} is not allowed"
        raise FileError(file, line, "", problem) from None
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
        self.mistakes = Mistakes()
        self.problems: dict[int, str] = {}  # by the node of a value
        self.read_values = 0  # those that are merged several times count each time

    def read(self, node: yaml.Node, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._count(line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _count(self, line: int) -> None:
        self.read_values += 1
        if self.read_values > MAX_VALUES:
            raise FileError(self.file, line, "", f"more than {MAX_VALUES} values")

    def _scalar(self, node: yaml.ScalarNode, path: Path_) -> Any:
        line = node.start_mark.line + 1
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, KeyError, IndexError, AttributeError):  # an explicit tag that the text does not fit
            raise FileError(self.file, line, path_text(path), f"{show(node.value)} is no {node.tag[-20:]}") from None
        if problem := self._problem(node, value):
            self.mistakes.errors.append(FileError(self.file, line, path_text(path), problem))
        return value

    def _problem(self, node: yaml.ScalarNode, value: Any) -> str:
        """What is wrong with a value, if anything; looked for once, however often the value is repeated."""
        if id(node) not in self.problems:
            problem = ""
            if isinstance(value, str) and CONTROL.search(value):
                problem = f"came {show(value)}, expected no control characters"
            elif isinstance(value, int | float) and node.style is None and OTHER_BASES.fullmatch(node.value):
                as_written = "" if ":" in node.value else node.value.replace("_", "").lstrip("+-0")
                others = f" or {as_written}" if as_written and as_written != str(value).lstrip("-") else ""
                problem = f"came {node.value}, which YAML 1.1 takes for {value}: write {value}{others}"
            self.problems[id(node)] = problem
        return self.problems[id(node)]

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        self._count(node.start_mark.line + 1)
        merged: dict[str, Any] = {}
        for value_node in (value for key, value in node.value if key.tag == MERGE):
            merged = self._merged(value_node, path) | merged
        own: dict[str, Any] = {}
        for key_node, value_node in ((key, value) for key, value in node.value if key.tag != MERGE):
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise FileError(self.file, line, path_text(path), f"a key must be text, came {show(key)}")
            if key in own:
                error = FileError(self.file, line, path_text((*path, key)), "this key stands twice")
                self.mistakes.errors.append(error)
                continue
            for known in (
                [known for known in self.lines if known[: len(path) + 1] == (*path, key)] if key in merged else ()
            ):
                del self.lines[known]  # those of the value that is merged, and replaced here
            self.lines[(*path, key)] = line
            own[key] = self.read(value_node, (*path, key))
        return merged | own

    def _merged(self, node: yaml.Node, path: Path_) -> dict[str, Any]:
        """What a merge key brings: the values of a mapping, or of several, of which the first counts."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                problem = "a merge key (<<) wants an anchored mapping, as *name"
                raise FileError(self.file, node.start_mark.line + 1, path_text(path), problem)
            result = self._mapping(part, path) | result
        return result
