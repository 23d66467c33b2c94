"""A table of networks that were trained before: one row of a CSV file for each.

Its columns are told apart by their names, as `docs/tables.md` says:

- the open values of the space by their paths (`width`, `stages[0].block`, ...), empty where a value does not matter;
- or `id`, of a candidate, for a space that can be listed;
- `accuracy`, or one for each seed: `accuracy_1`, `accuracy_2`, ... as shares, or all in percent;
- the same after a part of the training, by its share of the epochs or of the images: `accuracy@epochs=0.33`,
  `accuracy_2@data=0.11`;
- costs by the names of metrics (`params`, `macs`, ...): those that are missing are computed, latency and energy always;
- `seconds` that a training took.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dse.cost.metrics import COSTS
from dse.cost.tflm.build import Build
from dse.cost.work import Work
from dse.errors import FileError, did_you_mean, unread
from dse.network.candidate import Candidate
from dse.screening.quick import QuickCosts
from dse.screening.sections import SectionCost
from dse.search.fidelity.rungs import SHARES
from dse.space.conditions import Assignment, Recorded, Value
from dse.space.domains import Choice, Domain, FloatRange
from dse.space.space import Defaults, Space

MAX_ROWS = 1_000_000
MOST_LISTED = 200_000  # candidates of a space, up to which a table may have ids alone
ID, SECONDS = "id", "seconds"
NEAR = 0.01  # of a third
ACCURACY = re.compile(r"accuracy(?:_(?P<seed>[0-9]+))?(?:@(?P<fidelity>\w+=[0-9]+(?:\.[0-9]+)?))?")
# Those that depend on a board are ranges, and computed for each.
COST_NAMES = tuple(metric.name for metric in COSTS if not metric.by_board)


class RowCost:
    """What a network costs: by the table where it says so, else as computed."""

    def __init__(self, computed: SectionCost, given: Mapping[str, float]) -> None:
        self._computed, self._given = computed, given

    def __getattr__(self, name: str) -> Any:
        return self._given[name] if name in self._given else getattr(self._computed, name)

    @property
    def work(self) -> Work:
        """Work on one image, by which latency and energy are known."""
        return self._computed.work

    def on(self, build: Build) -> RowCost:
        """The same with another TFLM library; an arena that the table gives stays."""
        return RowCost(self._computed.on(build), self._given)


@dataclass(frozen=True)
class Row:
    """One network."""

    assignment: dict[str, Value]
    candidate: Candidate
    accuracies: tuple[float, ...]  # of its seeds
    shorter: Mapping[str, tuple[float, ...]]  # after a part of the training: `epochs=0.33`
    given: Mapping[str, float]  # its costs, as far as the table has them
    seconds: float | None

    @property
    def accuracy(self) -> float:
        """The mean over its seeds."""
        return float(np.mean(self.accuracies))


@dataclass(frozen=True)
class Table:
    """Networks of a space, each once."""

    space: Space
    defaults: Defaults
    rows: list[Row]
    twins: int  # rows that were left out, because an earlier one is the same network

    @cached_property
    def by_id(self) -> dict[str, int]:
        """The row of each candidate."""
        return {row.candidate.id: index for index, row in enumerate(self.rows)}

    def shorter(self, what: str) -> dict[float, str]:
        """The shares of the training, in steps of the search, after which every row has an accuracy, and the names of
        those in a row; `what` was less, epochs or data."""
        found = {}
        for kind in self.rows[0].shorter:
            name, _, share = kind.partition("=")
            step = min(SHARES, key=lambda one: abs(one - float(share)))
            if name == what and abs(step - float(share)) < NEAR and step < 1:
                found[step] = kind
        return {step: kind for step, kind in sorted(found.items()) if all(row.shorter[kind] for row in self.rows)}

    @cached_property
    def costs(self) -> list[RowCost]:
        """What each row costs."""
        quick = QuickCosts(self.space, self.defaults)
        found = []
        for row in self.rows:
            computed = quick.of(row.assignment)
            assert computed is not None  # it is a candidate
            found.append(RowCost(computed, row.given))
        return found


def read_table(path: Path, space: Space, defaults: Defaults = Defaults()) -> Table:
    """The table in a CSV file. Raises FileError, which says what is wrong in which line and column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            lines = list(_numbered(reader, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(str(path), None, "", unread(error)) from None
    read = _Reader(path, space, defaults, columns)
    rows, known, twins = list[Row](), set[str](), 0
    for line, cells in lines:
        row = read.row(line, cells)
        if row.candidate.id in known:
            twins += 1
            continue
        known.add(row.candidate.id)
        rows.append(row)
    if not rows:
        raise FileError(str(path), None, "", "there is no row in this table")
    if max(max(row.accuracies) for row in rows) > 1:
        rows = [_of_percent(row, path) for row in rows]
    return Table(space, defaults, rows, twins)


def _numbered(reader: csv.DictReader[str], path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in enumerate(reader):
        if number >= MAX_ROWS:
            raise FileError(str(path), reader.line_num, "", f"more than {MAX_ROWS:,} rows")
        if None in cells or None in cells.values():
            raise FileError(str(path), reader.line_num, "", "not as many cells as there are columns")
        yield reader.line_num, cells


class _Reader:
    """Reads the rows of one table."""

    def __init__(self, path: Path, space: Space, defaults: Defaults, columns: list[str]) -> None:
        self._path, self._space, self._defaults = path, space, defaults
        found = {name: match for name in columns if (match := ACCURACY.fullmatch(name))}
        found = dict(sorted(found.items(), key=lambda one: int(one[1]["seed"] or 0)))
        self._accuracies = [name for name, match in found.items() if not match["fidelity"]]
        self._shorter: dict[str, list[str]] = {}
        for name, match in found.items():
            if match["fidelity"]:
                self._shorter.setdefault(match["fidelity"], []).append(name)
        self._costs = [name for name in columns if name in COST_NAMES]
        self._paths = [name for name in columns if name in space.domains]
        self._timed = SECONDS in columns
        known = {*found, *self._costs, *self._paths, ID, SECONDS}
        for name in columns:
            if name not in known:
                hint = did_you_mean(name, [*space.domains, *COST_NAMES, "accuracy", ID, SECONDS])
                raise self._error(1, name, f"unknown column{hint}")
        if len(set(columns)) < len(columns):
            raise self._error(1, "", "two columns have the same name")
        if not self._accuracies:
            raise self._error(1, "", "there is no column 'accuracy', nor 'accuracy_1'")
        if "accuracy" in self._accuracies and len(self._accuracies) > 1:
            raise self._error(1, "accuracy", "expected 'accuracy' alone, or one for each seed, 'accuracy_1' and so on")
        missing = [path for path in space.domains if path not in columns]
        self._by_id = dict[str, dict[str, Value]]()
        if missing and ID not in columns:
            raise self._error(1, missing[0], "this open value of the space has no column, and there is no column 'id'")
        self._listed = bool(missing)
        if missing:
            self._by_id = self._list()

    def row(self, line: int, cells: dict[str, str]) -> Row:
        """One row. Raises FileError."""
        assignment = self._by_id_of(line, cells) if self._listed else self._assignment(line, cells)
        chosen = self._space.choose(Recorded(assignment), self._defaults)
        if chosen.candidate is None:
            raise self._error(line, "", f"no network of the space: {chosen.problem}")
        given = {name: self._number(line, name, cells[name]) for name in self._costs if cells[name].strip()}
        return Row(
            dict(chosen.assignment),
            chosen.candidate,
            self._numbers(line, cells, self._accuracies, needed=True),
            {kind: self._numbers(line, cells, names, needed=False) for kind, names in self._shorter.items()},
            given,
            self._number(line, SECONDS, cells[SECONDS]) if self._timed and cells[SECONDS].strip() else None,
        )

    def _assignment(self, line: int, cells: dict[str, str]) -> Assignment:
        found = {}
        for path in self._paths:
            if text := cells[path].strip():
                try:
                    found[path] = value_in(self._space.domains[path], text)
                except ValueError as error:
                    raise self._error(line, path, str(error)) from None
        return found

    def _list(self) -> dict[str, dict[str, Value]]:
        size = self._space.size()
        if size > MOST_LISTED:
            raise self._error(
                1, ID, f"{self._space.name} has {size:,.0f} assignments, too many to look for ids among them; "
                "give a column for each of its open values",
            )  # fmt: skip
        return {candidate.id: values for values, candidate in self._space.candidates(self._defaults)}

    def _by_id_of(self, line: int, cells: dict[str, str]) -> Assignment:
        if (one := cells[ID].strip()) not in self._by_id:
            raise self._error(line, ID, f"came {one!r}, which is no candidate of {self._space.name} for such images")
        return self._by_id[one]

    def _numbers(self, line: int, cells: dict[str, str], names: Sequence[str], *, needed: bool) -> tuple[float, ...]:
        found = tuple(self._number(line, name, cells[name]) for name in names if cells[name].strip())
        if needed and not found:
            raise self._error(line, names[0], "there is no accuracy")
        return found

    def _number(self, line: int, name: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise self._error(line, name, f"came {text!r}, expected a number that is not negative")
        return number

    def _error(self, line: int, column: str, problem: str) -> FileError:
        return FileError(str(self._path), line, column, problem)


def value_in(domain: Domain, text: str) -> Value:
    """The value of a domain that a text names. Raises ValueError.

    >>> value_in(Choice((0.25, 0.5)), "0.250"), value_in(Choice(("none", True)), "true")
    (0.25, True)
    """
    if isinstance(domain, Choice):
        for label in domain.labels:
            if text.lower() == str(label).lower() or _equal(label, text):
                return label
        raise ValueError(f"came {text!r}, expected one of {', '.join(map(str, domain.labels))}")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"came {text!r}, expected a number")
    return domain.option(number if isinstance(domain, FloatRange) or number != int(number) else int(number))


def _equal(label: Value, text: str) -> bool:
    try:
        return not isinstance(label, (str, bool)) and float(text) == label
    except ValueError:
        return False


def _of_percent(row: Row, path: Path) -> Row:
    if max(row.accuracies) > 100:
        raise FileError(str(path), None, "accuracy", f"came {max(row.accuracies):g}, expected shares or percent")
    return Row(
        row.assignment,
        row.candidate,
        tuple(value / 100 for value in row.accuracies),
        {kind: tuple(value / 100 for value in values) for kind, values in row.shorter.items()},
        row.given,
        row.seconds,
    )
