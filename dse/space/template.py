"""What the network of a space is made of: width, stem, stages and head, any value of which may be open.

A space has one body, or a choice of several under `backbone`, each with its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dse._util.strict_yaml import Document, Path_, path_text, show
from dse.errors import FileError, NetworkError
from dse.network.blocks import BLOCKS, Block
from dse.network.head import Head
from dse.space.check import STAGE_KEYS, Checker, domain_of
from dse.space.domains import Domain

Chooser = Callable[[str, Domain], Any]
BODY_KEYS = ("width", "width_divisor", "stem", "stages", "head")


class Body:
    """One body, which stands at `path` in the file of its space. Raises FileError when it cannot be one."""

    def __init__(self, document: Document, path: Path_, tree: dict[str, Any]) -> None:
        self.document, self.path, self.tree = document, path, tree
        if "stages" not in tree:
            raise document.error(path, "missing key 'stages'")
        stages = tree["stages"]
        if not isinstance(stages, list) or not stages:
            raise document.error((*path, "stages"), f"came {show(stages)}, expected a list of stages")
        self._stages: list[tuple[Path_, dict[str, Any]]] = []
        if "stem" in tree:
            self._stages.append(((*path, "stem"), tree["stem"]))
        self._stages += [((*path, "stages", index), stage) for index, stage in enumerate(stages)]

    def check(self, checker: Checker) -> None:
        """Every option of every open value is valid by itself. Raises FileError."""
        checker.simple((*self.path, "width"), self.tree.get("width", 1.0), float, 0.05, 8.0)
        divisor = self.tree.get("width_divisor", 8)
        if type(divisor) is not int or not 1 <= divisor <= 64:
            raise self.document.error(
                (*self.path, "width_divisor"), f"came {show(divisor)}, expected a whole number 1 to 64"
            )
        for path, stage in self._stages:
            checker.stage(path, stage)
        checker.model(self.head_path, self.tree.get("head", {}), Head)

    @property
    def head_path(self) -> Path_:
        """Where the head stands."""
        return (*self.path, "head")

    @property
    def paths(self) -> list[Path_]:
        """Where stem and stages stand."""
        return [path for path, _ in self._stages]

    @property
    def num_stages(self) -> int:
        """Stages, the stem included."""
        return len(self._stages)

    def width(self, choose: Chooser) -> float:
        """The width multiplier."""
        return float(Reading(self.document, choose).value((*self.path, "width"), self.tree.get("width", 1.0)))

    def stage(self, index: int, choose: Chooser, width: float) -> tuple[Block, ...]:
        """The blocks of a stage, before they know their input."""
        path, tree = self._stages[index]
        return tuple(Reading(self.document, choose).stage(path, tree, width, self._divisor))

    def head(self, choose: Chooser, width: float) -> Head:
        """What follows the stages, before it knows its input."""
        read = Reading(self.document, choose)
        head: Head = read.model(self.head_path, self.tree.get("head", {}), Head)
        return head.at_width(width, self._divisor)

    @property
    def _divisor(self) -> int:
        return int(self.tree.get("width_divisor", 8))


class Reading:
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
